"""What both adapters have in common: fields, failures, copies, and the core's order and scores."""

import copy
import json
import logging
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from rerank_plugins import (
    InvalidTypeError,
    InvalidValueError,
    ModelNotFoundError,
    ReportedList,
    Reranker,
    RerankError,
    ScorerRanker,
    ScoringError,
)
from rerank_plugins.caching.memory import MemoryCache
from rerank_plugins.langchain import RerankCompressor
from rerank_plugins.llama_index import RerankPostprocessor
from tests.event_loop import MANY, assert_documents_are_handled_elsewhere, assert_models_run_elsewhere, long_texts
from tests.fakes import FakeScorer
from tests.texts import DOCUMENTS, QUERY


class LangChain:
    """Rerank plain texts through LangChain's interface."""

    adapter = RerankCompressor

    def inputs(self, texts: list[str]) -> list[Document]:
        return [Document(id=str(index), page_content=text, metadata={"n": index}) for index, text in enumerate(texts)]

    def rerank(self, adapter: Any, inputs: list[Any], query: str = QUERY) -> ReportedList[Any]:
        result: ReportedList[Any] = adapter.compress_documents(inputs, query)
        return result

    async def arerank(self, adapter: Any, inputs: list[Any], query: str = QUERY) -> ReportedList[Any]:
        result: ReportedList[Any] = await adapter.acompress_documents(inputs, query)
        return result

    def index(self, output: Any) -> int:
        return int(output.id)

    def score(self, output: Any) -> float | None:
        score: float | None = output.metadata.get("relevance_score")
        return score

    def metadata(self, output: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = output.metadata
        return metadata

    def error(self, output: Any) -> str | None:
        error: str | None = self.metadata(output).get("rerank_error")
        return error


class LlamaIndex(LangChain):
    """Rerank plain texts through LlamaIndex's interface."""

    adapter = RerankPostprocessor

    def inputs(self, texts: list[str]) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(id_=str(place), text=text), score=0.5) for place, text in enumerate(texts)]

    def rerank(self, adapter: Any, inputs: list[Any], query: str = QUERY) -> ReportedList[Any]:
        result: ReportedList[Any] = adapter.postprocess_nodes(inputs, QueryBundle(query))
        return result

    async def arerank(self, adapter: Any, inputs: list[Any], query: str = QUERY) -> ReportedList[Any]:
        result: ReportedList[Any] = await adapter.apostprocess_nodes(inputs, QueryBundle(query))
        return result

    def index(self, output: Any) -> int:
        return int(output.node.node_id)

    def score(self, output: Any) -> float | None:
        score: float | None = output.score
        return score

    def metadata(self, output: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = output.node.metadata
        return metadata


@pytest.fixture(params=[LangChain, LlamaIndex])
def framework(request: pytest.FixtureRequest) -> LangChain:
    made: LangChain = request.param()
    return made


@pytest.fixture
def bert_onnx(open_reranker: Callable[..., Reranker]) -> Iterator[Reranker]:
    """A tiny model with a short max_length, for tests with long texts."""
    with open_reranker("bert-onnx", max_length=16) as opened:
        yield opened


def test_order_and_scores_are_the_cores(framework: LangChain, reranker: Reranker) -> None:
    expected = reranker.rank(QUERY, DOCUMENTS, top_n=4)
    outputs = framework.rerank(framework.adapter(reranker=reranker, top_n=4), framework.inputs(DOCUMENTS))
    assert [framework.index(output) for output in outputs] == [result.index for result in expected]
    assert [framework.score(output) for output in outputs] == [result.score for result in expected]
    assert all(type(framework.score(output)) is float for output in outputs)
    assert outputs.report.kept == 4


async def test_async_gives_the_results_of_sync(framework: LangChain, bert: Reranker) -> None:
    adapter, inputs = framework.adapter(reranker=bert), framework.inputs(DOCUMENTS)
    assert await framework.arerank(adapter, inputs) == framework.rerank(adapter, inputs)


def test_the_embedded_model_and_five_are_the_defaults(framework: LangChain) -> None:
    adapter = framework.adapter()
    assert (adapter.core.model, adapter.top_n, adapter.on_error) == ("embedded", 5, "raise")
    assert len(framework.rerank(adapter, framework.inputs(DOCUMENTS))) == 5


def test_top_n_none_keeps_all(framework: LangChain, bert: Reranker) -> None:
    outputs = framework.rerank(framework.adapter(reranker=bert, top_n=None), framework.inputs(DOCUMENTS))
    assert len(outputs) == len(DOCUMENTS)


def test_score_threshold(framework: LangChain, bert: Reranker) -> None:
    expected = bert.rank(QUERY, DOCUMENTS)
    adapter = framework.adapter(reranker=bert, score_threshold=expected[1].score)
    outputs = framework.rerank(adapter, framework.inputs(DOCUMENTS))
    assert [framework.index(output) for output in outputs] == [result.index for result in expected[:2]]


def test_nothing_in_nothing_out(framework: LangChain, bert: Reranker) -> None:
    outputs = framework.rerank(framework.adapter(reranker=bert), [])
    assert outputs == []
    assert outputs.report.candidates == 0


def test_inputs_stay_as_they_were(framework: LangChain, bert: Reranker) -> None:
    inputs = framework.inputs(DOCUMENTS)
    before = copy.deepcopy(inputs)
    framework.rerank(framework.adapter(reranker=bert), inputs)
    assert inputs == before


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"top_n": 0}, InvalidValueError, "top_n must be a positive integer or None, got 0"),
        ({"top_n": "3"}, InvalidTypeError, "top_n must be a positive integer or None, got str '3'"),
        ({"top_n": True}, InvalidTypeError, "top_n must be a positive integer or None, got bool True"),
        ({"top_n": 2.5}, InvalidTypeError, "top_n must be a positive integer or None, got float 2.5"),
        ({"score_threshold": "0.5"}, InvalidTypeError, "score_threshold must be a number or None, got str '0.5'"),
        ({"score_threshold": float("nan")}, InvalidValueError, "score_threshold must be a number or None, got NaN"),
        ({"on_error": "ignore"}, InvalidValueError, "on_error: Input should be 'raise' or 'passthrough', got 'ignore'"),
        ({"max_length": "x"}, InvalidTypeError, "max_length must be an integer, got 'x'"),
        ({"max_length": 8}, InvalidValueError, "max_length must be at least 16, got 8"),
        ({"dtype": "int4"}, InvalidValueError, "dtype must be one of 'auto', 'fp32', 'fp16', 'bf16', got 'int4'"),
        ({"backend": "jax"}, InvalidValueError, "backend must be one of 'auto', 'onnx', 'torch', or a Backend class"),
        (
            {"reranker": "BAAI/bge"},
            InvalidTypeError,
            "reranker must be a Reranker, .*got 'BAAI/bge'. Pass a model's name",
        ),
        ({"reranker": Reranker}, InvalidTypeError, "reranker must be a Reranker, .*got <class"),
        ({"top_k": 5}, InvalidTypeError, r"Rerank\w+ has no option 'top_k'. Did you mean 'top_n'\?"),
        ({"temperature": 1}, InvalidTypeError, "has no option 'temperature'. Its options are: .*top_n"),
    ],
)
def test_a_wrong_field_is_the_cores_own_error(
    framework: LangChain, fields: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        framework.adapter(**fields)


def test_a_wrong_field_of_one_framework_is_an_error_of_the_same_tree() -> None:
    with pytest.raises(InvalidTypeError, match=r"document_text: Input should be a valid string .*, got 3"):
        RerankCompressor(document_text=3)
    with pytest.raises(InvalidValueError, match="document_text='text' has no field"):
        RerankCompressor(document_text="text")
    with pytest.raises(InvalidValueError, match="metadata_mode: Input should be 'all', 'embed', 'llm' or 'none'"):
        RerankPostprocessor(metadata_mode="some")


def test_fields_have_a_json_schema(framework: LangChain) -> None:
    properties = framework.adapter.model_json_schema()["properties"]
    assert properties["backend"]["type"] == "string"
    assert properties["max_length"]["description"].startswith("Maximum tokens")
    assert "reranker" not in properties


def test_fields_that_made_the_core_cannot_change_under_it(framework: LangChain, bert: Reranker) -> None:
    """Not even in a copy, and not even with on_error="passthrough"."""
    changed = framework.adapter(reranker=bert, on_error="passthrough").model_copy(update={"max_length": 32})
    with pytest.raises(ValueError, match="fields were changed after it was loaded"):
        framework.rerank(changed, framework.inputs(DOCUMENTS))
    wrong = framework.adapter(reranker=bert, on_error="passthrough").model_copy(update={"top_n": -1})
    with pytest.raises(ValueError, match="top_n must be a positive integer"):
        framework.rerank(wrong, framework.inputs(DOCUMENTS))
    fewer = framework.adapter(reranker=bert).model_copy(update={"top_n": 1})
    assert len(framework.rerank(fewer, framework.inputs(DOCUMENTS))) == 1


def test_paths_are_models_too(framework: LangChain, model_folder: Callable[[str], Path]) -> None:
    adapter = framework.adapter(model=model_folder("bert"), cache_folder=Path("cache"))
    assert (adapter.model, adapter.cache_folder) == (str(model_folder("bert")), "cache")


def test_a_cut_document_says_so(framework: LangChain, bert: Reranker) -> None:
    outputs = framework.rerank(framework.adapter(reranker=bert), framework.inputs(["hamlet " * 2000, "bread"]))
    assert {framework.index(each): framework.metadata(each).get("rerank_truncated") for each in outputs} == {
        0: True,
        1: None,
    }


def test_marks_of_an_earlier_rerank_do_not_stay(framework: LangChain, bert: Reranker, broken: Reranker) -> None:
    failed = framework.rerank(framework.adapter(reranker=broken, on_error="passthrough"), framework.inputs(DOCUMENTS))
    good = framework.rerank(framework.adapter(reranker=bert), list(failed))
    assert all("rerank_error" not in framework.metadata(each) for each in good)
    cut = framework.rerank(framework.adapter(reranker=bert), framework.inputs(["hamlet " * 2000]))
    again = framework.rerank(framework.adapter(reranker=broken, on_error="passthrough"), list(cut))
    assert all("rerank_truncated" not in framework.metadata(each) for each in again)


def test_a_failure_keeps_the_scores_that_came_in(framework: LangChain, bert: Reranker, broken: Reranker) -> None:
    first = framework.rerank(framework.adapter(reranker=bert), framework.inputs(DOCUMENTS))
    second = framework.rerank(framework.adapter(reranker=broken, on_error="passthrough"), list(first))
    assert [framework.score(each) for each in second] == [framework.score(each) for each in first]
    assert all("ScoringError" in (framework.error(each) or "") for each in second)


async def test_async_keeps_the_model_off_the_event_loop(framework: LangChain, bert_onnx: Reranker) -> None:
    adapter = framework.adapter(reranker=bert_onnx)
    await assert_models_run_elsewhere(lambda texts: framework.arerank(adapter, framework.inputs(texts)))


async def test_many_long_documents_do_not_block_the_event_loop(framework: LangChain, bert_onnx: Reranker) -> None:
    adapter = framework.adapter(reranker=bert_onnx)
    inputs = framework.inputs(long_texts(MANY))
    await assert_documents_are_handled_elsewhere(lambda texts: framework.arerank(adapter, inputs[: len(texts)]))


def test_a_missing_model_is_the_cores_own_error(framework: LangChain) -> None:
    with pytest.raises(ModelNotFoundError, match="There is no folder '/no/model'"):
        framework.adapter(model="/no/model")


def test_the_configuration_reaches_the_core(framework: LangChain, model_folder: Callable[[str], Path]) -> None:
    adapter = framework.adapter(model=str(model_folder("bert")), max_length=32, activation="identity")
    assert (adapter.core.max_length, adapter.core.activation, adapter.core.backend) == (32, "identity", "torch")


class TestSharedReranker:
    """Fields show the options of a shared reranker; given ones must be equal to them."""

    def test_fields_show_its_options(self, framework: LangChain, bert: Reranker) -> None:
        assert framework.adapter(reranker=bert).model == bert.model

    @pytest.mark.parametrize(
        ("name", "own", "given"),
        [
            ("trust_remote_code", True, False),
            ("long_documents", "windows", "truncate"),
            ("max_queue", 10, 100_000),
            ("max_length", 32, 64),
            ("max_length", 32, None),
            ("timeout", 60.0, None),
        ],
    )
    def test_a_given_option_that_differs_is_refused(
        self, framework: LangChain, model_folder: Callable[[str], Path], name: str, own: object, given: object
    ) -> None:
        """Even where it is the default, which the reranker does not have."""
        with Reranker(model_folder("bert"), **{name: own}) as shared:
            assert getattr(framework.adapter(reranker=shared), name) == own
            assert getattr(framework.adapter(reranker=shared, **{name: own}), name) == own
            message = (
                f"{name}={given!r} contradicts the reranker, which was built with {name}={own!r}. Pass one of them"
            )
            with pytest.raises(InvalidValueError, match=re.escape(message)):
                framework.adapter(reranker=shared, **{name: given})

    def test_what_it_made_of_its_options_is_equal_too(self, framework: LangChain) -> None:
        with Reranker() as shared:
            adapter = framework.adapter(reranker=shared, model="embedded", max_length=256, device="cpu", backend="onnx")
            assert adapter.core is shared
            with pytest.raises(InvalidValueError, match="max_length=512 contradicts the reranker"):
                framework.adapter(reranker=shared, max_length=512)

    def test_a_token_that_differs_is_not_shown(self, framework: LangChain, bert: Reranker) -> None:
        with pytest.raises(InvalidValueError, match=r"token contradicts the reranker, .* another token") as caught:
            framework.adapter(reranker=bert, token="hf_secret")
        assert "secret" not in str(caught.value)

    def test_it_may_be_another_object_that_ranks(self, framework: LangChain, bert: Reranker) -> None:
        adapter = framework.adapter(reranker=Wrapped(bert), top_n=2)
        assert adapter.core.model == "wrapped"
        assert copy.deepcopy(adapter).core is adapter.core
        assert framework.rerank(adapter, framework.inputs(DOCUMENTS)) == framework.rerank(
            framework.adapter(reranker=bert, top_n=2), framework.inputs(DOCUMENTS)
        )

    @pytest.mark.parametrize("options", [{"device": "cpu"}, {"max_length": None}])
    def test_no_option_applies_to_such_an_object(
        self, framework: LangChain, bert: Reranker, options: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidValueError, match="does not apply to reranker=, a Wrapped with options of its own"):
            framework.adapter(reranker=Wrapped(bert), **options)
        changed = framework.adapter(reranker=Wrapped(bert)).model_copy(update={"max_length": 32})
        with pytest.raises(InvalidValueError, match="fields were changed after it was loaded"):
            framework.rerank(changed, framework.inputs(DOCUMENTS))


class TestInstruction:
    """A field that goes with each call, so that adapters of one reranker can have different ones."""

    @pytest.fixture
    def scorer(self) -> FakeScorer:
        return FakeScorer(takes_instruction=True)

    async def test_it_reaches_the_scorer(self, framework: LangChain, scorer: FakeScorer) -> None:
        adapter = framework.adapter(reranker=ScorerRanker(scorer), instruction="find code")
        framework.rerank(adapter, framework.inputs(DOCUMENTS))
        await framework.arerank(adapter, framework.inputs(DOCUMENTS))
        changed = adapter.model_copy(update={"instruction": "find poems"})
        framework.rerank(changed, framework.inputs(DOCUMENTS))
        framework.rerank(adapter, framework.inputs(DOCUMENTS))
        assert [asked[0].instruction for asked in scorer.asked] == ["find code", "find code", "find poems", "find code"]

    def test_it_replaces_that_of_a_shared_reranker(self, framework: LangChain, scorer: FakeScorer) -> None:
        shared = ScorerRanker(scorer, instruction="find poems")
        assert framework.adapter(reranker=shared).instruction == "find poems"
        for adapter in (
            framework.adapter(reranker=shared),
            framework.adapter(reranker=shared, instruction="find code"),
        ):
            framework.rerank(adapter, framework.inputs(DOCUMENTS))
        assert [asked[0].instruction for asked in scorer.asked] == ["find poems", "find code"]

    def test_a_model_that_takes_none_makes_no_adapter(self, framework: LangChain, bert: Reranker) -> None:
        with pytest.raises(InvalidValueError, match="instruction has no place in what 'embedded' reads"):
            framework.adapter(instruction="find code")
        with pytest.raises(InvalidValueError, match="instruction has no place in what"):
            framework.adapter(reranker=bert, instruction="find code")

    def test_a_wrong_one(self, framework: LangChain, scorer: FakeScorer) -> None:
        with pytest.raises(InvalidValueError, match="instruction is empty or blank, got ''"):
            framework.adapter(reranker=ScorerRanker(scorer), instruction="")
        with pytest.raises(InvalidTypeError, match="instruction must be a string, got int 3"):
            framework.adapter(reranker=ScorerRanker(scorer), instruction=3)

    def test_it_is_dumped(self, framework: LangChain, scorer: FakeScorer) -> None:
        adapter = framework.adapter(reranker=ScorerRanker(scorer), instruction="find code")
        assert json.loads(adapter.model_dump_json())["instruction"] == "find code"


class Wrapped:
    """Ranks as a `Reranker` does and has no options."""

    model = "wrapped"

    def __init__(self, reranker: Reranker) -> None:
        self.rank, self.arank = reranker.rank, reranker.arank


class TestFailure:
    """A failing reranker raises, or keeps the retriever's order and flags it."""

    def test_raise(self, framework: LangChain, broken: Reranker) -> None:
        with pytest.raises(ScoringError, match="which cannot be sorted"):
            framework.rerank(framework.adapter(reranker=broken), framework.inputs(DOCUMENTS))

    async def test_raise_async(self, framework: LangChain, broken: Reranker) -> None:
        with pytest.raises(ScoringError, match="which cannot be sorted"):
            await framework.arerank(framework.adapter(reranker=broken), framework.inputs(DOCUMENTS))

    async def test_passthrough(self, framework: LangChain, broken: Reranker, caplog: pytest.LogCaptureFixture) -> None:
        adapter = framework.adapter(reranker=broken, on_error="passthrough", top_n=3, score_threshold=0.99)
        inputs = framework.inputs(DOCUMENTS)
        before = copy.deepcopy(inputs)
        with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
            outputs = framework.rerank(adapter, inputs)
        assert [framework.index(output) for output in outputs] == [0, 1, 2]
        assert all("ScoringError: The model answered nan" in (framework.error(output) or "") for output in outputs)
        assert outputs.report.error == framework.error(outputs[0])
        assert (outputs.report.candidates, outputs.report.kept) == (len(DOCUMENTS), 3)
        assert inputs == before
        assert "Reranking failed (ScoringError)" in caplog.text
        assert await framework.arerank(adapter, inputs) == outputs

    def test_passthrough_without_top_n_keeps_all(self, framework: LangChain, broken: Reranker) -> None:
        adapter = framework.adapter(reranker=broken, on_error="passthrough", top_n=None)
        assert len(framework.rerank(adapter, framework.inputs(DOCUMENTS))) == len(DOCUMENTS)

    def test_a_blank_query(self, framework: LangChain, bert: Reranker) -> None:
        with pytest.raises(ValueError, match="query is empty or blank"):
            framework.rerank(framework.adapter(reranker=bert), framework.inputs(DOCUMENTS), query=" ")
        adapter = framework.adapter(reranker=bert, on_error="passthrough")
        assert framework.rerank(adapter, framework.inputs(DOCUMENTS), query=" ").report.error is not None

    def test_no_text_in_the_log(self, framework: LangChain, broken: Reranker, caplog: pytest.LogCaptureFixture) -> None:
        adapter = framework.adapter(reranker=broken, on_error="passthrough")
        framework.rerank(adapter, framework.inputs(["a secret"]))
        assert "secret" not in caplog.text
        assert "ScoringError" in caplog.text


class TestCopies:
    """A copy shares the loaded core; a dump builds an equal adapter; a pickle loads again."""

    def test_copies_share_the_core(self, framework: LangChain, bert: Reranker) -> None:
        adapter = framework.adapter(reranker=bert, top_n=2)
        for other in (copy.copy(adapter), copy.deepcopy(adapter), adapter.model_copy(), adapter.model_copy(deep=True)):
            assert other is not adapter
            assert other.core is bert
            assert other.top_n == 2

    def test_copies_share_a_cache(self, framework: LangChain, model_folder: Callable[[str], Path]) -> None:
        adapter = framework.adapter(model=model_folder("bert"), cache=MemoryCache())
        assert copy.deepcopy(adapter).core is adapter.core
        assert pickle.loads(pickle.dumps(adapter)).core is not adapter.core

    def test_a_dump_builds_an_equal_adapter(self, framework: LangChain, bert: Reranker) -> None:
        adapter = framework.adapter(reranker=bert, top_n=2, score_threshold=0.1)
        dump = json.loads(adapter.model_dump_json())
        assert "reranker" not in dump
        dump.pop("class_name", None)
        other = framework.adapter(**dump)
        assert other.model_dump() == adapter.model_dump()
        inputs = framework.inputs(DOCUMENTS)
        assert framework.rerank(other, inputs) == framework.rerank(adapter, inputs)

    def test_a_pickle_loads_again(self, framework: LangChain, bert: Reranker) -> None:
        adapter, inputs = framework.adapter(reranker=bert, top_n=2), framework.inputs(DOCUMENTS)
        other = pickle.loads(pickle.dumps(adapter))
        assert other.core is not bert
        assert framework.rerank(other, inputs) == framework.rerank(adapter, inputs)

    def test_a_token_is_neither_shown_nor_dumped(self, framework: LangChain) -> None:
        adapter = framework.adapter(token="hf_secret")
        assert "hf_secret" not in repr(adapter) + adapter.model_dump_json() + repr(adapter.core.config)


def test_errors_of_the_core_are_one_family() -> None:
    assert issubclass(ModelNotFoundError, RerankError)
    assert issubclass(ScoringError, RerankError)
