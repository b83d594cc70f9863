"""The postprocessor in LlamaIndex's query and chat engines, with both event systems and metadata."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import QueryBundle, Settings, SummaryIndex, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, MessageRole
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.chat_engine import CondenseQuestionChatEngine, ContextChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.extractors.interface import DEFAULT_NODE_TEXT_TEMPLATE
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode

from rerank_plugins import InvalidValueError, Reranker, ScorerRanker, ScoringError
from rerank_plugins.llama_index import InstructedQuery, RerankPostprocessor
from tests.fakes import FakeScorer
from tests.texts import DOCUMENTS, QUERY

TEXTS = [text for text in DOCUMENTS if text]


def nodes(**metadata: Any) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(id_=str(place), text=text, metadata=metadata), score=1 - place / 10)
        for place, text in enumerate(TEXTS)
    ]


def expected(bert: Reranker, top_n: int = 2) -> list[str]:
    return [str(result.index) for result in bert.rank(QUERY, TEXTS, top_n=top_n)]


def ids(found: list[NodeWithScore]) -> list[str]:
    return [node.node.node_id for node in found]


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex([node.node for node in nodes()], embed_model=MockEmbedding(embed_dim=8))


async def test_query_engine(index: VectorStoreIndex, bert: Reranker) -> None:
    retriever = index.as_retriever(similarity_top_k=len(TEXTS))
    reranker = RerankPostprocessor(reranker=bert, top_n=2)
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM(), node_postprocessors=[reranker])
    assert ids(engine.query(QUERY).source_nodes) == expected(bert)
    assert ids((await engine.aquery(QUERY)).source_nodes) == expected(bert)


async def test_index_as_query_engine(index: VectorStoreIndex, bert: Reranker) -> None:
    reranker = RerankPostprocessor(reranker=bert, top_n=2)
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=len(TEXTS), node_postprocessors=[reranker])
    assert ids(engine.query(QUERY).source_nodes) == expected(bert)


async def test_chat_engine(index: VectorStoreIndex, bert: Reranker) -> None:
    retriever = index.as_retriever(similarity_top_k=len(TEXTS))
    reranker = RerankPostprocessor(reranker=bert, top_n=2)
    engine = ContextChatEngine.from_defaults(retriever=retriever, llm=MockLLM(), node_postprocessors=[reranker])
    assert ids(engine.chat(QUERY).source_nodes) == expected(bert)
    assert ids((await engine.achat(QUERY)).source_nodes) == expected(bert)


class Thanked(MockLLM):
    """Condenses "thanks" to an empty query, since it is not a question."""

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        return CompletionResponse(text="" if "standalone question" in prompt else "You are welcome.")


async def test_a_chat_engines_blank_question_raises_unless_failures_are_passed_through(bert: Reranker) -> None:
    index = SummaryIndex([node.node for node in nodes()])
    history = [ChatMessage(role=MessageRole.USER, content=QUERY)]

    def chat(on_error: Any) -> CondenseQuestionChatEngine:
        reranker = RerankPostprocessor(reranker=bert, top_n=2, on_error=on_error)
        engine = index.as_query_engine(llm=MockLLM(), node_postprocessors=[reranker])
        return CondenseQuestionChatEngine.from_defaults(engine, llm=Thanked(), chat_history=history)

    with pytest.raises(InvalidValueError, match="query is empty or blank"):
        chat("raise").chat("thanks")
    for answer in (chat("passthrough").chat("thanks"), await chat("passthrough").achat("thanks")):
        assert ids(answer.source_nodes) == ids(nodes())[:2]
        assert all("query is empty or blank" in node.node.metadata["rerank_error"] for node in answer.source_nodes)


async def test_a_query_may_have_an_instruction_of_its_own(index: VectorStoreIndex) -> None:
    scorer = FakeScorer(takes_instruction=True)
    reranker = RerankPostprocessor(reranker=ScorerRanker(scorer), top_n=1, instruction="find passages")
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=3, node_postprocessors=[reranker])
    for query in (QUERY, InstructedQuery(QUERY), InstructedQuery(QUERY, instruction="find code")):
        engine.query(query)
        await engine.aquery(query)
    asked = [asked[0].instruction for asked in scorer.asked]
    assert asked == ["find passages"] * 4 + ["find code"] * 2


def test_a_model_that_takes_no_instruction_says_so(bert: Reranker) -> None:
    reranker = RerankPostprocessor(reranker=bert)
    with pytest.raises(InvalidValueError, match="instruction has no place in what"):
        reranker.postprocess_nodes(nodes(), InstructedQuery(QUERY, instruction="find code"))


class Observed(TextNode):
    """Records which threads read its text."""

    def get_content(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> str:
        self.metadata["threads"].append(threading.get_ident())
        return self.text


async def test_texts_are_built_off_the_event_loop(bert: Reranker) -> None:
    threads: list[int] = []
    node = Observed(text=TEXTS[0])
    node.metadata = {"threads": threads}
    await RerankPostprocessor(reranker=bert).apostprocess_nodes([NodeWithScore(node=node)], query_str=QUERY)
    assert threads
    assert threading.get_ident() not in threads


def test_a_query_string_will_do_and_none_will_not(bert: Reranker) -> None:
    reranker = RerankPostprocessor(reranker=bert, top_n=2)
    assert ids(reranker.postprocess_nodes(nodes(), query_str=QUERY)) == expected(bert)
    with pytest.raises(ValueError, match=r"There is no query to rank by. Pass query_bundle= or query_str="):
        reranker.postprocess_nodes(nodes())
    with pytest.raises(ValueError, match="no query"):
        RerankPostprocessor(reranker=bert, on_error="passthrough").postprocess_nodes([])


def test_new_objects_with_plain_floats_that_json_takes(bert: Reranker) -> None:
    given = nodes()
    outputs = RerankPostprocessor(reranker=bert).postprocess_nodes(given, query_str=QUERY)
    assert all(output is not node for output in outputs for node in given)
    assert all(type(output.score) is float for output in outputs)
    assert outputs[0].to_json()


def test_serialization_keeps_the_configuration(bert: Reranker) -> None:
    reranker = RerankPostprocessor(reranker=bert, top_n=3, keep_retrieval_score=True)
    other = RerankPostprocessor.from_dict(reranker.to_dict())
    assert (other.top_n, other.keep_retrieval_score, other.model) == (3, True, bert.model)
    assert reranker.to_dict()["class_name"] == "RerankPostprocessor"


class TestMetadata:
    """Which metadata is ranked, and what must not leak."""

    @pytest.mark.parametrize("mode", list(MetadataMode))
    def test_the_ranked_text_is_the_content_in_the_given_mode(self, bert: Reranker, mode: MetadataMode) -> None:
        given = nodes(title="hamlet", hidden="secret")
        for node in given:
            node.node.excluded_embed_metadata_keys = ["hidden"]
        reranker = RerankPostprocessor(reranker=bert, metadata_mode=mode, top_n=None)
        outputs = reranker.postprocess_nodes(given, query_str=QUERY)
        texts = [node.node.get_content(metadata_mode=mode) for node in given]
        assert [output.score for output in outputs] == [result.score for result in bert.rank(QUERY, texts)]

    def test_embed_is_the_default(self, bert: Reranker) -> None:
        assert RerankPostprocessor(reranker=bert).metadata_mode == MetadataMode.EMBED

    @pytest.mark.parametrize("mode", list(MetadataMode))
    def test_the_retrieval_score_is_kept_and_leaks_nowhere(self, bert: Reranker, mode: MetadataMode) -> None:
        given = nodes(title="hamlet")
        reranker = RerankPostprocessor(reranker=bert, keep_retrieval_score=True, top_n=None, metadata_mode=mode)
        outputs = reranker.postprocess_nodes(given, query_str=QUERY)
        kept = {output.node.node_id: output.node.metadata["retrieval_score"] for output in outputs}
        assert kept == {node.node.node_id: node.score for node in given}
        for output in outputs:
            assert "retrieval_score" not in output.node.get_content(metadata_mode=MetadataMode.LLM)
            assert "retrieval_score" not in output.node.get_content(metadata_mode=MetadataMode.EMBED)
        again = reranker.postprocess_nodes(outputs, query_str=QUERY)
        assert [output.score for output in again] == pytest.approx([output.score for output in outputs])
        assert all("retrieval_score" not in node.node.metadata for node in given)

    def test_the_error_leaks_nowhere(self, broken: Reranker) -> None:
        reranker = RerankPostprocessor(reranker=broken, on_error="passthrough")
        for output in reranker.postprocess_nodes(nodes(), query_str=QUERY):
            assert "rerank_error" in output.node.metadata
            assert "rerank_error" not in output.node.get_content(metadata_mode=MetadataMode.LLM)
            assert "rerank_error" not in output.node.get_content(metadata_mode=MetadataMode.EMBED)

    def test_a_failure_keeps_the_retrieval_score_where_it_is_asked_for(self, broken: Reranker) -> None:
        reranker = RerankPostprocessor(reranker=broken, on_error="passthrough", keep_retrieval_score=True)
        outputs = reranker.postprocess_nodes(nodes(), query_str=QUERY)
        assert [node.node.metadata["retrieval_score"] for node in outputs] == [1, 0.9, 0.8, 0.7, 0.6]

    def test_a_failure_keeps_the_retrievers_scores(self, broken: Reranker) -> None:
        reranker = RerankPostprocessor(reranker=broken, on_error="passthrough")
        assert [node.score for node in reranker.postprocess_nodes(nodes(), query_str=QUERY)] == [1, 0.9, 0.8, 0.7, 0.6]


class TestLongMetadata:
    """Long metadata, such as that of extractors, leaves room for the content within max_length."""

    QUESTIONS = "\n".join(f"{place}. what does the book say of it on page {place}" for place in range(1, 30))

    @pytest.mark.parametrize("template", ["{metadata_str}\n\n{content}", DEFAULT_NODE_TEXT_TEMPLATE])
    def test_the_answer_is_found(self, template: str) -> None:
        given = nodes(title="A book", questions=self.QUESTIONS, summary="The book says it. " * 50)
        for node in given:
            assert isinstance(node.node, TextNode)
            node.node.text_template = template
        reranker = RerankPostprocessor()
        outputs = reranker.postprocess_nodes(given, query_str=QUERY)
        assert outputs[0].node.node_id == expected(reranker.core, top_n=1)[0]
        assert outputs[0].score is not None
        assert outputs[1].score is not None
        assert outputs[0].score > 10 * outputs[1].score
        assert all(node.node.metadata["rerank_truncated"] for node in outputs)
        assert [node.node.metadata["questions"] for node in outputs] == [self.QUESTIONS] * len(outputs)

    @pytest.mark.parametrize(("long", "before", "after"), [(False, "ab", ""), (True, "a", "b")])
    def test_what_exceeds_max_length_bytes_follows_the_content(
        self, bert: Reranker, long: bool, before: str, after: str
    ) -> None:
        metadata = {"a": "hamlet", "hidden": "x" * 600, "b": "é" * 300 if long else "é" * 200}
        given = nodes(**metadata)
        for node in given:
            node.node.excluded_embed_metadata_keys = ["hidden"]
        outputs = RerankPostprocessor(reranker=bert, top_n=None).postprocess_nodes(given, query_str=QUERY)

        def shown(keys: str) -> str:
            return "\n".join(f"{key}: {metadata[key]}" for key in keys)

        texts = ["\n\n".join(part for part in (shown(before), text, shown(after)) if part) for text in TEXTS]
        assert [output.score for output in outputs] == [result.score for result in bert.rank(QUERY, texts)]

    def test_a_template_without_metadata_stays_without(self, bert: Reranker) -> None:
        given = nodes(questions=self.QUESTIONS)
        for node in given:
            assert isinstance(node.node, TextNode)
            node.node.text_template = "{content}"
        outputs = RerankPostprocessor(reranker=bert, top_n=None).postprocess_nodes(given, query_str=QUERY)
        assert [output.score for output in outputs] == [result.score for result in bert.rank(QUERY, TEXTS)]


@pytest.mark.parametrize("on_error", ["raise", "passthrough"])
def test_metadata_of_your_own_named_retrieval_score_is_kept_and_ranked(
    bert: Reranker, broken: Reranker, on_error: Any
) -> None:
    reranker = RerankPostprocessor(reranker=bert if on_error == "raise" else broken, on_error=on_error, top_n=None)
    outputs = reranker.postprocess_nodes(nodes(retrieval_score="high"), query_str=QUERY)
    assert all(output.node.metadata["retrieval_score"] == "high" for output in outputs)
    if on_error == "raise":
        texts = [f"retrieval_score: high\n\n{text}" for text in TEXTS]
        assert [output.score for output in outputs] == [result.score for result in bert.rank(QUERY, texts)]


class Collector(BaseEventHandler):
    """Records the instrumentation events of reranking."""

    events: list[BaseEvent]

    @classmethod
    def class_name(cls) -> str:
        return "Collector"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        if isinstance(event, ReRankStartEvent | ReRankEndEvent):
            self.events.append(event)


@pytest.fixture
def collector() -> Iterator[Collector]:
    root, made = get_dispatcher(), Collector(events=[])
    root.add_event_handler(made)
    yield made
    root.event_handlers.remove(made)


def call(reranker: RerankPostprocessor, given: list[NodeWithScore], asynchronous: bool) -> list[NodeWithScore]:
    if asynchronous:
        return asyncio.run(reranker.apostprocess_nodes(given, QueryBundle(QUERY)))
    return reranker.postprocess_nodes(given, QueryBundle(QUERY))


@pytest.mark.parametrize("asynchronous", [False, True])
class TestEvents:
    """Start and end come in pairs, in both event systems, whatever happens."""

    def test_success(self, bert: Reranker, collector: Collector, asynchronous: bool) -> None:
        outputs = call(RerankPostprocessor(reranker=bert, top_n=2), nodes(), asynchronous)
        start, end = collector.events
        assert isinstance(start, ReRankStartEvent)
        assert isinstance(end, ReRankEndEvent)
        assert (start.query, start.top_n, start.model_name, len(start.nodes)) == (QUERY, 2, bert.model, len(TEXTS))
        assert ids(end.nodes) == ids(outputs)
        assert end.tags["rerank_report"]["candidates"] == len(TEXTS)

    def test_top_n_none_is_the_number_of_nodes(self, bert: Reranker, collector: Collector, asynchronous: bool) -> None:
        call(RerankPostprocessor(reranker=bert, top_n=None), nodes(), asynchronous)
        assert [event.top_n for event in collector.events if isinstance(event, ReRankStartEvent)] == [len(TEXTS)]

    def test_empty_input(self, bert: Reranker, collector: Collector, asynchronous: bool) -> None:
        assert call(RerankPostprocessor(reranker=bert), [], asynchronous) == []
        assert [type(event) for event in collector.events] == [ReRankStartEvent, ReRankEndEvent]

    @pytest.mark.parametrize("on_error", ["raise", "passthrough"])
    def test_failure(self, broken: Reranker, collector: Collector, asynchronous: bool, on_error: Any) -> None:
        reranker = RerankPostprocessor(reranker=broken, on_error=on_error)
        if on_error == "raise":
            with pytest.raises(ScoringError, match="cannot be sorted"):
                call(reranker, nodes(), asynchronous)
        else:
            call(reranker, nodes(), asynchronous)
        start, end = collector.events
        assert isinstance(start, ReRankStartEvent)
        assert isinstance(end, ReRankEndEvent)
        assert len(end.nodes) == (0 if on_error == "raise" else 5)
        if on_error == "passthrough":
            assert "ScoringError" in end.tags["rerank_report"]["error"]

    def test_callback_event(self, bert: Reranker, asynchronous: bool) -> None:
        handler = LlamaDebugHandler(print_trace_on_end=False)
        reranker = RerankPostprocessor(reranker=bert, top_n=2, callback_manager=CallbackManager([handler]))
        outputs = call(reranker, nodes(), asynchronous)
        ((start, end),) = handler.get_event_pairs(CBEventType.RERANKING)
        assert start.payload is not None
        assert end.payload is not None
        assert start.payload[EventPayload.QUERY_STR] == QUERY
        assert (start.payload[EventPayload.TOP_K], start.payload[EventPayload.MODEL_NAME]) == (2, bert.model)
        assert ids(end.payload[EventPayload.NODES]) == ids(outputs)
        assert end.payload["rerank_report"]["kept"] == 2

    def test_callback_event_of_a_failure(self, broken: Reranker, asynchronous: bool) -> None:
        handler = LlamaDebugHandler(print_trace_on_end=False)
        reranker = RerankPostprocessor(reranker=broken, callback_manager=CallbackManager([handler]))
        with pytest.raises(ScoringError, match="cannot be sorted"):
            call(reranker, nodes(), asynchronous)
        ((_, end),) = handler.get_event_pairs(CBEventType.RERANKING)
        assert end.payload is not None
        assert isinstance(end.payload[EventPayload.EXCEPTION], ScoringError)


def test_the_settings_stay_alone(bert: Reranker) -> None:
    before = Settings.callback_manager
    RerankPostprocessor(reranker=bert).postprocess_nodes(nodes(), query_str=QUERY)
    assert Settings.callback_manager is before
