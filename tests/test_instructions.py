"""One instruction, every way to give it: it decides the scores, and the cache knows it by one key."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from typer.testing import CliRunner

from rerank_plugins import InvalidValueError, RerankConfig, Reranker
from rerank_plugins.caching.memory import MemoryCache
from rerank_plugins.cli import app
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.evaluation.evaluator import evaluate
from rerank_plugins.langchain import RerankCompressor
from rerank_plugins.llama_index import InstructedQuery, RerankPostprocessor
from rerank_plugins.options import ServiceSettings
from tests.evaluation.conftest import write_dataset
from tests.fakes import FakeScorer, controlled
from tests.service.conftest import running
from tests.service.fakes import HostedRanker
from tests.texts import DOCUMENTS, QUERY
from tests.tiny_models import SHAPE

CODE = "find passages about code"
TEXTS = [text for text in DOCUMENTS if text]
# Its folder declares neither, as that of Qwen3-Reranker.
PROMPTED: dict[str, Any] = {"prompt": "qwen3", "head": "tokens:yes,no", "max_length": 512}

Make = Callable[..., Any]


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 with a byte-level tokenizer of the words of the tests."""
    return save_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(params=["fake", "decoder"])
def make(request: pytest.FixtureRequest, decoder: Path) -> Iterator[Make]:
    """Make what takes an instruction, with the keywords of a `ScorerRanker`: a fake scorer, or a real model."""
    if request.param == "fake":
        yield lambda **options: HostedRanker(FakeScorer(takes_instruction=True), **options)
        return
    with Reranker(decoder, **PROMPTED):  # keeps the model in memory from one Reranker to the next
        yield lambda **options: Reranker(decoder, **PROMPTED | options)


def save_decoder(folder: Path) -> Path:
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=control, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([*TEXTS, *["yes", "no"] * 50], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=control[2], pad_token=control[0])
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(), num_key_value_heads=2, head_dim=8, max_position_embeddings=1024, **SHAPE
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def by_index(results: Any) -> list[float]:
    return [result.score for result in sorted(results, key=lambda each: each.index)]


def by_rank_many(ranker: Any, **given: Any) -> list[float]:
    return by_index(ranker.rank_many([QUERY], [TEXTS], **given)[0])


def by_arank(ranker: Any, **given: Any) -> list[float]:
    return by_index(asyncio.run(ranker.arank(QUERY, TEXTS, **given)))


def by_score(ranker: Any, **given: Any) -> list[float]:
    return list(ranker.score([(QUERY, text) for text in TEXTS], **given))


def by_langchain(ranker: Any, **given: Any) -> list[float]:
    documents = [Document(page_content=text) for text in TEXTS]
    ranked = RerankCompressor(reranker=ranker, top_n=None, **given).compress_documents(documents, QUERY)
    return by_index(ranked.results)


def by_llama_index(ranker: Any, **given: Any) -> list[float]:
    nodes = [NodeWithScore(node=TextNode(id_=str(place), text=text)) for place, text in enumerate(TEXTS)]
    postprocessor = RerankPostprocessor(reranker=ranker, top_n=None)
    ranked = postprocessor.postprocess_nodes(nodes, InstructedQuery(QUERY, **given))
    return [node.score or 0.0 for node in sorted(ranked, key=lambda each: int(each.node.node_id))]


def by_service(ranker: Any, **given: Any) -> list[float]:
    with running(ServiceSettings(), RerankConfig(), load=lambda: ranker) as service:
        answer = service.post("/v1/rerank", {"query": QUERY, "documents": TEXTS, **given}).json()
    return [row["relevance_score"] for row in sorted(answer["results"], key=lambda each: int(each["index"]))]


@pytest.mark.parametrize("way", [by_rank_many, by_arank, by_score, by_langchain, by_llama_index, by_service])
def test_every_way_gives_the_scores_of_the_core(make: Make, way: Callable[..., list[float]]) -> None:
    plain = by_index(make(activation="identity").rank(QUERY, TEXTS))
    expected = by_index(make(activation="identity").rank(QUERY, TEXTS, instruction=CODE))
    assert expected != plain
    assert way(make(activation="identity")) == pytest.approx(plain)
    assert way(make(activation="identity"), instruction=CODE) == pytest.approx(expected)
    assert way(make(activation="identity", instruction=CODE)) == pytest.approx(expected)


def test_an_evaluation_has_the_scores_of_the_core(make: Make, tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path / "tiny"))
    candidates = {"q1": ["d0", "d1", "d2"]}
    texts = [dataset.passages[each].full_text for each in candidates["q1"]]
    ranker = make(activation="identity")
    scored = evaluate(dataset, candidates, ranker, instruction=CODE).scored["q1"]
    expected = by_index(ranker.rank(dataset.queries["q1"], texts, instruction=CODE))
    assert [each.score for each in scored] == pytest.approx(expected)


def test_the_rankers_own_has_the_key_of_a_calls_own(make: Make) -> None:
    for first, second in (({}, {"instruction": CODE}), ({"instruction": CODE}, {})):
        cache = MemoryCache()
        make(cache=cache, **first).rank(QUERY, TEXTS, **second)
        again = make(cache=cache, **second).rank(QUERY, TEXTS, **first).report
        assert (again.scored, again.cached) == (0, len(TEXTS))
        for other in ({}, {"instruction": "find poems"}):
            report = make(cache=cache).rank(QUERY, TEXTS, **other).report
            assert (report.scored, report.cached) == (len(TEXTS), 0)


def test_the_command_line_has_the_scores_of_the_core(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = [part for name, value in PROMPTED.items() for part in (f"--{name.replace('_', '-')}", str(value))]

    def scores(*more: str) -> list[float]:
        arguments = ["rank", QUERY, "-", "--format", "lines", "--json", "--model", str(decoder), *flags, *more]
        done = CliRunner().invoke(app, arguments, input="\n".join(TEXTS))
        assert done.exit_code == 0, done.output
        return [row["score"] for row in sorted(json.loads(done.stdout)["results"], key=lambda each: int(each["index"]))]

    with Reranker(decoder, **PROMPTED) as reranker:
        expected = by_index(reranker.rank(QUERY, TEXTS, instruction=CODE))
        assert scores() == pytest.approx(by_index(reranker.rank(QUERY, TEXTS)))
    assert scores("--instruction", CODE) == pytest.approx(expected)
    monkeypatch.setenv("RERANK_INSTRUCTION", CODE)
    assert scores() == pytest.approx(expected)


class TestRefusal:
    """A model whose template has no place for an instruction."""

    def test_no_reranker_is_made_and_the_model_is_freed(self, model_folder: Callable[[str], Path]) -> None:
        backend, controls = controlled()
        with pytest.raises(InvalidValueError, match=r"instruction has no place in what '.*bert-onnx' reads"):
            Reranker(model_folder("bert-onnx"), backend=backend, instruction=CODE)
        controls.wait_for_a_close()
        assert (controls.loads, controls.closes) == (1, 1)

    def test_a_call_is_refused_and_the_next_one_answered(self, reranker: Reranker) -> None:
        with pytest.raises(InvalidValueError, match="Leave it out, put it into the query, or use a model whose prompt"):
            reranker.rank(QUERY, TEXTS, instruction=CODE)
        assert (reranker.takes_instruction, reranker.instruction) == (False, None)
        assert len(reranker.rank(QUERY, TEXTS)) == len(TEXTS)
