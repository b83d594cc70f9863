"""Packed rows, graphs and memory that runs out, on a GPU in half precision."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rerank_plugins import Reranker
from rerank_plugins.backends.networks.base import accepted_inputs
from rerank_plugins.backends.packing import PackedRows, enable, run
from rerank_plugins.backends.packing.graphs import GraphedEncoder
from rerank_plugins.backends.packing.network import PackedNetwork
from rerank_plugins.backends.packing.projections import join_projections
from tests.backends.packing.batches import batch, random_rows, tensors
from tests.backends.packing.test_classifiers import classifier, network, pairs
from tests.backends.packing.test_decoders import decoder, padded, prompts_and_documents
from tests.test_reranker import logits
from tests.texts import DOCUMENTS, QUERY

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
# Of logits of about 1, after three layers in fp16; of larger ones, in which fp16 has steps of a thousandth, a share.
NEAR, SHARE = 0.03, 0.01


@pytest.fixture
def few_megabytes() -> Iterator[Callable[[float], None]]:
    """Limit the memory of the device to what is in use and some megabytes."""

    def limit(megabytes: float) -> None:
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + megabytes * 1e6) / total)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)


@torch.inference_mode()
@pytest.mark.parametrize(
    "name", ["bert", "xlm-roberta", "electra", "modernbert", "modernbert, mean", "qwen3", "gemma3"]
)
def test_classifiers_in_half_precision_use_the_kernel(name: str) -> None:
    model = classifier(name)
    inputs = pairs(model)
    expected = model(**tensors(inputs)).logits[:, 0]
    model = model.to("cuda", torch.float16)
    packed = PackedNetwork(network(model))
    rows = packed.lay_out(inputs)
    torch.testing.assert_close(packed.scores(rows).float().cpu(), expected, atol=NEAR, rtol=NEAR)
    assert all(call.flash for call in rows.calls)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "qwen3"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_roundings_do_not_make_a_model_pad(name: str, dtype: torch.dtype) -> None:
    deep = classifier(name, num_hidden_layers=24, initializer_range=0.1).to("cuda", dtype)
    # Where the scores with and without padding were too far apart, it would raise.
    assert PackedNetwork(network(deep)).flash


@torch.inference_mode()
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "name", ["qwen2", "qwen3", "llama", "gemma", "gemma2", "gemma3", "mistral", "modernbert-decoder"]
)
def test_decoders_in_half_precision(name: str, shared: bool) -> None:
    model: Any = decoder(name)
    inputs = prompts_and_documents()
    expected = padded(model, inputs, lambda output: output.logits)
    model = model.to("cuda", torch.float16)
    enable(model)
    rows = PackedRows.of(inputs, shared_prefixes=shared, device="cuda")
    found = run(model, rows).float().cpu()
    assert (found - expected).norm() / expected.norm() < NEAR
    assert all(call.flash for call in rows.calls) == (name != "gemma2"), "no kernel has its soft limit"


@torch.inference_mode()
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "modernbert", "qwen3", "gemma3"])
def test_graphs_give_the_scores_of_a_pass_without(name: str) -> None:
    model = classifier(name).to("cuda", torch.float16)
    packed = PackedNetwork(network(model))
    join_projections(packed.encoder)
    types = "token_type_ids" in accepted_inputs(model)
    graphs = GraphedEncoder(packed.encode, model.device, types=types, shares=packed.shares)
    eager = packed.encode
    (prompt,) = random_rows(40, seed=9)
    for seed, lengths in enumerate([(100, 7, 60), (210, 3), (9,), (100, 7, 60), (200,) * 40, (130,) * 90, (3,) * 20]):
        rows = random_rows(*lengths, seed=seed)
        for each in (rows, [prompt + row for row in rows]):
            inputs = batch(each, pad=model.config.pad_token_id)
            if types:
                inputs["token_type_ids"] = inputs["attention_mask"] * (inputs["input_ids"] % 2)
            scores = []
            for encode in (eager, graphs, graphs):
                packed.encode = encode
                scores.append(packed.scores(packed.lay_out(inputs)).float())
            torch.testing.assert_close(scores[1], scores[0], atol=NEAR, rtol=NEAR)
            assert torch.equal(scores[2], scores[1])
    captured = [graph for graph in graphs._graphs.values() if graph is not None]
    assert len(captured) == len(graphs._graphs) >= 3


def test_all_graphs_are_captured_when_a_model_is_warmed_up(model_folder: Callable[[str], Path]) -> None:
    with Reranker(model_folder("xlm-roberta"), device="cpu") as cpu, Reranker(model_folder("xlm-roberta")) as gpu:
        gpu.warmup()
        graphs = gpu._local._model.backend._network._packed._graphs
        assert None not in graphs._graphs.values()
        assert 0 < graphs.memory < 1e9
        documents = DOCUMENTS * 20
        found, report = gpu.rank(QUERY, documents), gpu.rank(QUERY, documents).report
        assert logits(found) == pytest.approx(logits(cpu.rank(QUERY, documents)), abs=NEAR, rel=SHARE)
        assert report.padding == 0


def test_many_callers_of_one_gpu(model_folder: Callable[[str], Path]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    lists = [[f"{text} {place}" for place in range(count) for text in DOCUMENTS] for count in (1, 3, 9, 2, 5, 7)]
    with Reranker(model_folder("bert")) as gpu, ThreadPoolExecutor(6) as callers:
        alone = [logits(gpu.rank(QUERY, documents)) for documents in lists]
        for found in callers.map(lambda place: (place % 6, logits(gpu.rank(QUERY, lists[place % 6]))), range(60)):
            assert found[1] == pytest.approx(alone[found[0]], abs=NEAR, rel=SHARE)


def test_memory_that_runs_out_halves_the_batches(
    model_folder: Callable[[str], Path], few_megabytes: Callable[[float], None]
) -> None:
    documents = [f"{text} {place}" * 3 for place in range(3_000) for text in DOCUMENTS]
    with Reranker(model_folder("bert"), max_batch_tokens=2_000_000) as gpu:
        expected = logits(gpu.rank(QUERY, documents))
        few_megabytes(60)
        found = gpu.rank(QUERY, documents)
        assert logits(found) == pytest.approx(expected, abs=NEAR, rel=SHARE)
        budget = gpu._local._model.scheduler._queue._memory_budget
        assert budget is not None
        assert budget < 2_000_000


def test_a_model_with_attention_of_its_own_runs_with_padding(model_folder: Callable[[str], Path]) -> None:
    with Reranker(model_folder("deberta"), device="cpu") as cpu, Reranker(model_folder("deberta")) as gpu:
        assert gpu._local._model.backend.pads
        assert logits(gpu.rank(QUERY, DOCUMENTS)) == pytest.approx(
            logits(cpu.rank(QUERY, DOCUMENTS)), abs=NEAR, rel=SHARE
        )


def test_single_precision_packs_without_the_kernel(model_folder: Callable[[str], Path]) -> None:
    with (
        Reranker(model_folder("modernbert"), device="cpu") as cpu,
        Reranker(model_folder("modernbert"), dtype="fp32") as gpu,
    ):
        gpu.warmup()
        assert not gpu._local._model.backend.pads
        assert logits(gpu.rank(QUERY, DOCUMENTS)) == pytest.approx(logits(cpu.rank(QUERY, DOCUMENTS)), abs=1e-2)
