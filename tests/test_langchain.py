"""The compressor in LangChain's own retrievers, pipelines, chains and traces."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever, MultiQueryRetriever
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker, DocumentCompressorPipeline
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests
from langchain_text_splitters import CharacterTextSplitter
from pydantic import TypeAdapter

from rerank_plugins import (
    InvalidTypeError,
    InvalidValueError,
    ReportedList,
    Reranker,
    RerankError,
    ScorerRanker,
    ScoringError,
)
from rerank_plugins.langchain import CrossEncoderModel, RerankCompressor
from tests.fakes import FakeScorer
from tests.texts import DOCUMENTS, QUERY

TEXTS = [text for text in DOCUMENTS if text]


@pytest.fixture
def store() -> InMemoryVectorStore:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=32))
    store.add_documents([Document(id=str(place), page_content=text) for place, text in enumerate(TEXTS)])
    return store


@pytest.fixture
def retriever(store: InMemoryVectorStore, bert: Reranker) -> ContextualCompressionRetriever:
    return ContextualCompressionRetriever(
        base_compressor=RerankCompressor(reranker=bert, top_n=2),
        base_retriever=store.as_retriever(search_kwargs={"k": len(TEXTS)}),
    )


def expected(bert: Reranker, top_n: int = 2) -> list[str]:
    return [TEXTS[result.index] for result in bert.rank(QUERY, TEXTS, top_n=top_n)]


async def test_contextual_compression_retriever(retriever: ContextualCompressionRetriever, bert: Reranker) -> None:
    assert [document.page_content for document in retriever.invoke(QUERY)] == expected(bert)
    assert [document.page_content for document in await retriever.ainvoke(QUERY)] == expected(bert)


async def test_document_compressor_pipeline(bert: Reranker) -> None:
    class Shout(BaseDocumentTransformer):
        def transform_documents(self, documents: Any, **_: Any) -> list[Document]:
            return [Document(page_content=document.page_content.upper()) for document in documents]

        async def atransform_documents(self, documents: Any, **_: Any) -> list[Document]:
            return self.transform_documents(documents)

    splitter = CharacterTextSplitter(separator="\n", chunk_size=60, chunk_overlap=0)
    pipeline = DocumentCompressorPipeline(transformers=[splitter, RerankCompressor(reranker=bert, top_n=2), Shout()])
    documents = [Document(page_content=text) for text in TEXTS]
    for outputs in (
        pipeline.compress_documents(documents, QUERY),
        await pipeline.acompress_documents(documents, QUERY),
    ):
        assert [document.page_content for document in outputs] == [text.upper() for text in expected(bert)]


async def test_lcel_chain(retriever: ContextualCompressionRetriever, bert: Reranker) -> None:
    join = RunnableLambda(lambda documents: "\n".join(document.page_content for document in documents))
    chain = {"context": retriever | join, "question": RunnablePassthrough()} | RunnableLambda(
        lambda both: both["context"]
    )
    assert chain.invoke(QUERY) == "\n".join(expected(bert))
    assert await chain.ainvoke(QUERY) == "\n".join(expected(bert))
    assert chain.batch([QUERY, QUERY]) == ["\n".join(expected(bert))] * 2


class TestRunnable:
    """The compressor as a step of an LCEL chain, without a retriever class around it."""

    @pytest.fixture
    def chain(self, store: InMemoryVectorStore, bert: Reranker) -> Any:
        retriever = store.as_retriever(search_kwargs={"k": len(TEXTS)})
        compressor = RerankCompressor(reranker=bert, top_n=2)
        return {"query": RunnablePassthrough(), "documents": retriever} | compressor.as_runnable()

    async def test_every_way_to_call_a_chain(self, chain: Any, bert: Reranker) -> None:
        assert chain.invoke(QUERY).report.candidates == len(TEXTS)
        answers = [
            chain.invoke(QUERY),
            await chain.ainvoke(QUERY),
            *chain.batch([QUERY, QUERY]),
            *await chain.abatch([QUERY, QUERY]),
            *chain.stream(QUERY),
            *[chunk async for chunk in chain.astream(QUERY)],
        ]
        found = [[document.page_content for document in answer] for answer in answers]
        assert found == [expected(bert)] * 8

    def test_the_rerank_is_traced_under_it(self, chain: Any) -> None:
        recorder = Recorder()
        chain.invoke(QUERY, {"callbacks": [recorder]})
        assert recorder.parents["Rerank"] == "RerankCompressor"

    def test_a_failure_keeps_the_retrievers_order(self, broken: Reranker) -> None:
        runnable = RerankCompressor(reranker=broken, on_error="passthrough", top_n=1).as_runnable()
        (document,) = runnable.invoke({"query": QUERY, "documents": [Document(page_content=text) for text in TEXTS]})
        assert document.page_content == TEXTS[0]
        assert "ScoringError" in document.metadata["rerank_error"]

    @pytest.mark.parametrize(
        ("given", "named"), [([Document(page_content="a")], "a list"), ({"question": "a"}, r"keys \['question'\]")]
    )
    async def test_a_retrievers_output_alone_has_no_question(self, bert: Reranker, given: Any, named: str) -> None:
        runnable = RerankCompressor(reranker=bert, on_error="passthrough").as_runnable()
        with pytest.raises(InvalidTypeError, match=f"keys 'query' and 'documents', got .*{named}"):
            runnable.invoke(given)
        with pytest.raises(InvalidTypeError, match=r"'documents': retriever\} \| compressor"):
            await runnable.ainvoke(given)


class TestInstruction:
    """What relevant means, per compressor, per call, per input and per configuration."""

    CODE, POEM = "find code", "find a poem"

    @pytest.fixture
    def scorer(self) -> FakeScorer:
        return FakeScorer({"some code": 0.0, "a poem": 0.0, "bread": 50.0}, takes_instruction=True)

    @pytest.fixture
    def compressor(self, scorer: FakeScorer) -> RerankCompressor:
        return RerankCompressor(reranker=ScorerRanker(scorer), top_n=1)

    @pytest.fixture
    def documents(self) -> list[Document]:
        return [Document(page_content=text) for text in ("some code", "a poem", "bread")]

    async def test_per_call(self, compressor: RerankCompressor, documents: list[Document]) -> None:
        by_field = compressor.model_copy(update={"instruction": self.CODE})
        for instruction, expected in ((None, "some code"), (self.POEM, "a poem")):
            answers = [
                by_field.compress_documents(documents, "q", instruction=instruction),
                await by_field.acompress_documents(documents, "q", instruction=instruction),
            ]
            assert [best.page_content for (best,) in answers] == [expected] * 2
        assert compressor.compress_documents(documents, "q")[0].page_content == "bread"

    def test_in_a_retriever(self, compressor: RerankCompressor, documents: list[Document]) -> None:
        retriever = ContextualCompressionRetriever(
            base_compressor=compressor, base_retriever=RunnableLambda(lambda _: documents)
        ).configurable_fields(base_compressor=ConfigurableField(id="compressor"))
        code = RerankCompressor(reranker=compressor.reranker, top_n=1, instruction=self.CODE)
        assert retriever.invoke("q")[0].page_content == "bread"
        assert retriever.invoke("q", {"configurable": {"compressor": code}})[0].page_content == "some code"

    async def test_by_the_configuration_of_a_chain(
        self, compressor: RerankCompressor, documents: list[Document]
    ) -> None:
        step = compressor.as_runnable().configurable_fields(instruction=ConfigurableField(id="meaning"))
        chain = {"query": RunnablePassthrough(), "documents": RunnableLambda(lambda _: documents)} | step
        code: Any = {"configurable": {"meaning": self.CODE}}
        assert chain.invoke("q")[0].page_content == "bread"
        assert chain.invoke("q", code)[0].page_content == "some code"
        assert (await chain.ainvoke("q", code))[0].page_content == "some code"
        assert chain.with_config(code).invoke("q")[0].page_content == "some code"
        poem: Any = {"configurable": {"meaning": self.POEM}}
        assert [best.page_content for (best,) in chain.batch(["q", "q"], [code, poem])] == ["some code", "a poem"]
        assert "meaning" in step.config_schema().model_json_schema()["$defs"]["Configurable"]["properties"]

    async def test_by_the_input_of_a_step(self, compressor: RerankCompressor, documents: list[Document]) -> None:
        step = compressor.as_runnable().configurable_fields(instruction=ConfigurableField(id="meaning"))
        asked = {"query": "q", "documents": documents, "instruction": self.POEM}
        assert step.invoke(asked, {"configurable": {"meaning": self.CODE}})[0].page_content == "a poem"
        assert (await step.ainvoke(asked | {"instruction": None}))[0].page_content == "bread"

    def test_a_trace_shows_it(self, compressor: RerankCompressor, documents: list[Document]) -> None:
        recorder = Recorder()
        compressor.compress_documents(documents, "q", [recorder], instruction=self.CODE)
        assert recorder.inputs["Rerank"]["instruction"] == self.CODE
        compressor.compress_documents(documents, "q", [recorder])
        assert "instruction" not in recorder.inputs["Rerank"]

    @pytest.mark.parametrize("wrong", [3, ""])
    def test_a_wrong_one_is_the_cores_error(
        self, compressor: RerankCompressor, documents: list[Document], wrong: Any
    ) -> None:
        step = compressor.as_runnable().configurable_fields(instruction=ConfigurableField(id="meaning"))
        with pytest.raises(RerankError, match=r"instruction (must be a string|is empty)"):
            step.invoke({"query": "q", "documents": documents}, {"configurable": {"meaning": wrong}})

    def test_a_model_that_takes_none_says_so(self, documents: list[Document]) -> None:
        with pytest.raises(InvalidValueError, match="instruction has no place in what 'embedded' reads"):
            RerankCompressor().compress_documents(documents, "q", instruction=self.CODE)


async def test_a_blank_question_raises_unless_failures_are_passed_through(
    store: InMemoryVectorStore, bert: Reranker
) -> None:
    def retriever(on_error: Any) -> ContextualCompressionRetriever:
        compressor = RerankCompressor(reranker=bert, top_n=2, on_error=on_error)
        return ContextualCompressionRetriever(base_compressor=compressor, base_retriever=store.as_retriever())

    for question in ("", " \n"):
        with pytest.raises(InvalidValueError, match="query is empty or blank"):
            retriever("raise").invoke(question)
        found = retriever("passthrough").invoke(question)
        assert [each.id for each in found] == [each.id for each in store.as_retriever().invoke(question)[:2]]
        assert all("query is empty or blank" in each.metadata["rerank_error"] for each in found)
        assert await retriever("passthrough").ainvoke(question) == found


def test_documents_of_several_queries_are_merged_where_the_metadata_is_left_alone(
    store: InMemoryVectorStore, bert: Reranker
) -> None:
    def merged(**options: Any) -> list[Document]:
        compressor = RerankCompressor(reranker=bert, top_n=None, **options)
        base = store.as_retriever(search_kwargs={"k": len(TEXTS)})
        retriever = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=base)
        queries = RunnableLambda(lambda _: [QUERY, "hamlet shakespeare", "what did shakespeare write"])
        return MultiQueryRetriever(retriever=retriever, llm_chain=queries).invoke(QUERY)

    assert len(merged()) == 3 * len(TEXTS)
    ids = [document.id for document in merged(add_metadata=False)]
    assert sorted(map(str, ids)) == [str(place) for place in range(len(TEXTS))]


def test_cross_encoder_model_runs_langchains_own_reranker(bert: Reranker) -> None:
    compressor = CrossEncoderReranker(model=CrossEncoderModel(bert), top_n=2)
    documents = [Document(page_content=text) for text in TEXTS]
    assert [document.page_content for document in compressor.compress_documents(documents, QUERY)] == expected(bert)
    assert CrossEncoderModel(bert).score([]) == []
    assert CrossEncoderModel().reranker.model == "embedded"
    with pytest.raises(TypeError, match=r"reranker must be a Reranker, got 'BAAI/x'. Pass Reranker\('BAAI/x'\)"):
        CrossEncoderModel("BAAI/x")


class TestDocuments:
    """Copies that lose nothing."""

    def test_id_type_and_metadata_are_kept(self, bert: Reranker) -> None:
        class Page(Document):
            number: int = 0

        page = Page(id="p1", page_content=TEXTS[0], metadata={"source": "book"}, number=7)
        (output,) = RerankCompressor(reranker=bert).compress_documents([page], QUERY)
        assert isinstance(output, Page)
        assert (output.id, output.number, output.metadata["source"]) == ("p1", 7, "book")
        assert page.metadata == {"source": "book"}

    def test_the_new_score_wins_over_a_stale_one(self, bert: Reranker) -> None:
        document = Document(page_content=TEXTS[0], metadata={"relevance_score": 42})
        (output,) = RerankCompressor(reranker=bert).compress_documents([document], QUERY)
        assert output.metadata["relevance_score"] == bert.score([(QUERY, TEXTS[0])])[0]

    def test_metadata_can_be_left_alone(self, bert: Reranker, broken: Reranker) -> None:
        documents = [
            Document(id="a", page_content="hamlet " * 2000, metadata={"relevance_score": 42, "source": ["book"]}),
            Document(id="b", page_content=TEXTS[1]),
        ]
        ranked = RerankCompressor(reranker=bert, add_metadata=False).compress_documents(documents, QUERY)
        expected = bert.rank(QUERY, [document.page_content for document in documents])
        assert ranked == [documents[result.index] for result in expected]
        assert ranked.results == expected
        assert all(document is not given for document in ranked for given in documents)
        passed = RerankCompressor(reranker=broken, add_metadata=False, on_error="passthrough")
        kept = passed.compress_documents(documents, QUERY)
        assert (kept, kept.results) == (documents, [])
        assert "ScoringError" in str(kept.report.error)

    def test_the_results_stand_in_the_order_of_the_documents(self, bert: Reranker) -> None:
        ranked = RerankCompressor(reranker=bert).compress_documents(
            [Document(page_content=text) for text in TEXTS], QUERY
        )
        assert [document.metadata["relevance_score"] for document in ranked] == [each.score for each in ranked.results]

    def test_a_failure_keeps_the_first_stages_score(self, bert: Reranker, broken: Reranker) -> None:
        document = Document(page_content=TEXTS[0], metadata={"relevance_score": 0.7})
        compressor = RerankCompressor(reranker=broken, on_error="passthrough")
        (kept,) = compressor.compress_documents([document], QUERY)
        assert kept.metadata == {"relevance_score": 0.7, "rerank_error": kept.metadata["rerank_error"]}
        (ranked,) = RerankCompressor(reranker=bert).compress_documents([kept], QUERY)
        assert ranked.metadata == {"relevance_score": bert.score([(QUERY, TEXTS[0])])[0]}

    @pytest.mark.parametrize(
        "text", ["{title}: {page_content}", lambda each: f"{each.metadata['title']}: {each.page_content}"]
    )
    def test_document_text_may_add_the_title(self, bert: Reranker, text: Any) -> None:
        documents = [Document(page_content=each, metadata={"title": f"t{place}"}) for place, each in enumerate(TEXTS)]
        outputs = RerankCompressor(reranker=bert, document_text=text, top_n=None).compress_documents(documents, QUERY)
        texts = [f"t{place}: {each}" for place, each in enumerate(TEXTS)]
        scores = [result.score for result in bert.rank(QUERY, texts)]
        assert [output.metadata["relevance_score"] for output in outputs] == scores
        assert {output.page_content for output in outputs} == set(TEXTS)

    @pytest.mark.parametrize("text", ["no field", "", "{broken"])
    def test_a_wrong_template_is_refused_when_built(self, bert: Reranker, text: str) -> None:
        with pytest.raises(
            ValueError, match=r"document_text=.* (has no field|is not a template).*Write it as '{title}"
        ):
            RerankCompressor(reranker=bert, document_text=text)

    def test_missing_metadata_is_named_with_its_document(self, bert: Reranker) -> None:
        documents = [
            Document(page_content="a", metadata={"title": "t"}),
            Document(id="p7", page_content="b", metadata={"source": "s"}),
        ]
        compressor = RerankCompressor(reranker=bert, document_text="{title}: {page_content}")
        message = r"documents\[1\] \(id 'p7'\) has no metadata \['title'\], which document_text=.*it has \['source'\]"
        with pytest.raises(InvalidValueError, match=message):
            compressor.compress_documents(documents, QUERY)
        passing = compressor.model_copy(update={"on_error": "passthrough"})
        assert [each.page_content for each in passing.compress_documents(documents, QUERY)] == ["a", "b"]

    def test_metadata_that_does_not_fit_the_template_is_named_with_its_document(self, bert: Reranker) -> None:
        compressor = RerankCompressor(reranker=bert, document_text="{page:.1f} {page_content}")
        documents = [Document(page_content="a", metadata={"page": page}) for page in (1, "one")]
        with pytest.raises(
            InvalidValueError, match=r"metadata of documents\[1\] does not fit document_text=.*code 'f'"
        ):
            compressor.compress_documents(documents, QUERY)

    def test_metadata_does_not_hide_the_content(self, bert: Reranker) -> None:
        document = Document(page_content=TEXTS[1], metadata={"page_content": "other", "title": "t"})
        compressor = RerankCompressor(reranker=bert, document_text="{title}: {page_content}")
        (output,) = compressor.compress_documents([document], QUERY)
        assert output.metadata["relevance_score"] == bert.score([(QUERY, f"t: {TEXTS[1]}")])[0]

    def test_the_json_schema_leaves_the_function_out(self) -> None:
        schema = TypeAdapter(RerankCompressor.model_fields["document_text"].annotation).json_schema()
        assert schema == {"anyOf": [{"type": "string"}, {"type": "null"}]}


class Recorder(BaseCallbackHandler):
    """Records the runs of chains and retrievers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.names: dict[UUID, str] = {}
        self.parents: dict[str, str | None] = {}
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}

    def _start(self, name: str, run_id: UUID, parent_run_id: UUID | None) -> None:
        self.names[run_id] = name
        self.parents[name] = None if parent_run_id is None else self.names.get(parent_run_id)
        self.events.append(("start", name))

    def on_retriever_start(self, serialized: Any, query: str, **run: Any) -> None:
        self._start(run["name"], run["run_id"], run["parent_run_id"])

    def on_chain_start(self, serialized: Any, inputs: Any, **run: Any) -> None:
        self.inputs[run["name"]] = inputs
        self._start(run["name"], run["run_id"], run["parent_run_id"])

    def on_chain_end(self, outputs: Any, **run: Any) -> None:
        self.events.append(("end", self.names[run["run_id"]]))
        self.outputs[self.names[run["run_id"]]] = outputs

    def on_chain_error(self, error: BaseException, **run: Any) -> None:
        self.events.append((type(error).__name__, self.names[run["run_id"]]))


@pytest.mark.parametrize("asynchronous", [False, True])
class TestTraces:
    """The rerank is a run of its own under the retriever's."""

    def run(self, retriever: ContextualCompressionRetriever, asynchronous: bool) -> Recorder:
        recorder = Recorder()
        config: Any = {"callbacks": [recorder]}
        if asynchronous:
            asyncio.run(retriever.ainvoke(QUERY, config))
        else:
            retriever.invoke(QUERY, config)
        return recorder

    def test_success(self, retriever: ContextualCompressionRetriever, asynchronous: bool) -> None:
        recorder = self.run(retriever, asynchronous)
        assert [event for event in recorder.events if event[1] == "Rerank"] == [("start", "Rerank"), ("end", "Rerank")]
        assert recorder.parents["Rerank"] == "ContextualCompressionRetriever"
        assert recorder.outputs["Rerank"]["report"]["candidates"] == len(TEXTS)
        assert len(recorder.outputs["Rerank"]["documents"]) == 2

    @pytest.mark.parametrize("on_error", ["raise", "passthrough"])
    def test_failure(
        self,
        store: InMemoryVectorStore,
        broken: Reranker,
        asynchronous: bool,
        on_error: str,
    ) -> None:
        retriever = ContextualCompressionRetriever(
            base_compressor=RerankCompressor(reranker=broken, on_error=on_error), base_retriever=store.as_retriever()
        )
        recorder = Recorder()
        config: Any = {"callbacks": [recorder]}
        try:
            asyncio.run(retriever.ainvoke(QUERY, config)) if asynchronous else retriever.invoke(QUERY, config)
        except ScoringError:
            assert on_error == "raise"
        else:
            assert on_error == "passthrough"
        assert ("ScoringError", "Rerank") in recorder.events
        assert ("end", "Rerank") not in recorder.events


def test_the_list_carries_its_report(bert: Reranker) -> None:
    outputs = RerankCompressor(reranker=bert).compress_documents([Document(page_content=text) for text in TEXTS], QUERY)
    assert isinstance(outputs, ReportedList)
    assert outputs.report.candidates == len(TEXTS)


class KRetriever(BaseRetriever):
    """A thin retriever that returns `k` documents."""

    retriever: ContextualCompressionRetriever
    k: int = 5

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        compressor = self.retriever.base_compressor.model_copy(update={"top_n": k or self.k})
        ranked = self.retriever.model_copy(update={"base_compressor": compressor})
        return ranked.invoke(query, {"callbacks": run_manager.get_child()})


class TestStandardRetriever(RetrieversIntegrationTests):
    """LangChain's own tests of a retriever, through the compressor."""

    @pytest.fixture(autouse=True)
    def _wrap(self, retriever: ContextualCompressionRetriever) -> None:
        self._retriever = retriever

    @pytest.fixture
    def retriever(self, store: InMemoryVectorStore, bert: Reranker) -> Any:
        compressor = RerankCompressor(reranker=bert)
        base = store.as_retriever(search_kwargs={"k": len(TEXTS)})
        return KRetriever(retriever=ContextualCompressionRetriever(base_compressor=compressor, base_retriever=base))

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return KRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"retriever": self._retriever.retriever}

    @property
    def retriever_query_example(self) -> str:
        return QUERY
