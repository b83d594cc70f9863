"""Rerank in LangChain: `RerankCompressor` for retrievers and chains, `CrossEncoderModel` for LangChain's reranker."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rerank_plugins.errors import InvalidTypeError, InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList, RerankReport

with extra("langchain", provides="langchain_core"):
    from langchain_core.callbacks import Callbacks
    from langchain_core.cross_encoders import BaseCrossEncoder
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.prompts import PromptTemplate
    from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
    from pydantic import Field, field_validator
    from pydantic.json_schema import SkipJsonSchema

    from rerank_plugins.adapter import ERROR_KEY, TRUNCATED_KEY, RerankFields

SCORE_KEY = "relevance_score"


class RankedDocuments(ReportedList[Document]):
    """A plain list of documents, best first, with the report of the call and the result of each document.

    Attributes:
        results: The `RankResult` of each document, in the same order. Empty if reranking failed and the documents are
            in the retriever's order.
    """

    results: list[RankResult]

    def __init__(self, documents: Iterable[Document], report: RerankReport, results: Iterable[RankResult] = ()) -> None:
        super().__init__(documents, report)
        self.results = list(results)


class RerankCompressor(RerankFields, BaseDocumentCompressor):
    """Keep the documents that a cross-encoder finds most relevant, best first.

    The returned documents are copies. They keep id, type and metadata, and get `metadata["relevance_score"]`; a
    document that was truncated to fit `max_length` also gets `metadata["rerank_truncated"]`. In a trace, the rerank is
    a run named "Rerank".

    Examples:
        >>> retriever = ContextualCompressionRetriever(
        ...     base_compressor=RerankCompressor(top_n=5), base_retriever=store.as_retriever(search_kwargs={"k": 50})
        ... )
        >>> [document.metadata["relevance_score"] for document in retriever.invoke("who wrote hamlet")]
        [0.998, 0.41, 0.07, 0.02, 0.01]
    """

    # JSON schemas leave the function out: JSON has none.
    document_text: str | SkipJsonSchema[Callable[[Document], str]] | None = Field(
        default=None,
        description="The text to rank. None: page_content. Otherwise a template over the metadata, such as '{title}: "
        "{page_content}', or a function of the Document.",
    )
    add_metadata: bool = Field(
        default=True,
        description="Add relevance_score, rerank_truncated and rerank_error to the metadata. False: return documents "
        "that equal the ones passed in.",
    )

    @field_validator("document_text")
    @classmethod
    def _check_template(cls, text: str | Callable[[Document], str] | None) -> str | Callable[[Document], str] | None:
        if isinstance(text, str):
            _parse(text)
        return text

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> RankedDocuments:
        """Rerank documents.

        Args:
            documents: The candidates, in the retriever's order. They are not changed.
            query: The user's question.
            callbacks: LangChain callbacks, which trace the run.

        Returns:
            Copies of the best `top_n` documents, best first, with the call's `.report` and each one's `.results`.

        Raises:
            RerankError: If reranking fails and `on_error` is "raise".

        Examples:
            >>> ranked = RerankCompressor(top_n=5).compress_documents(documents, "who wrote hamlet")
            >>> ranked[0].metadata["relevance_score"], ranked.report.candidates
            (0.998, 50)
        """
        run = RunnableLambda(self._rerank)
        try:
            outputs = run.invoke({"query": query, "documents": documents}, _traced(callbacks))
        except Exception as error:
            if self.on_error == "raise":
                raise
            return self._unranked(documents, error)
        return _documents_of(outputs)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> RankedDocuments:
        """Do what `compress_documents` does without blocking the event loop."""
        run = RunnableLambda(self._rerank, afunc=self._arerank)
        try:
            outputs = await run.ainvoke({"query": query, "documents": documents}, _traced(callbacks))
        except Exception as error:
            if self.on_error == "raise":
                raise
            return self._unranked(documents, error)
        return _documents_of(outputs)

    def as_runnable(self) -> Runnable[dict[str, Any], RankedDocuments]:
        """Return a runnable for LCEL chains, from `{"query": ..., "documents": ...}` to the reranked documents.

        Reranking needs the question, which is not part of a retriever's output, so a chain passes both.

        Raises:
            RerankError: When invoked, if the input lacks either key, or if reranking fails and `on_error` is "raise".

        Examples:
            >>> reranker = RerankCompressor(top_n=5).as_runnable()
            >>> chain = {"query": RunnablePassthrough(), "documents": retriever} | reranker
            >>> chain.invoke("who wrote hamlet")[0].page_content
            'Shakespeare wrote Hamlet.'
        """

        def compress(inputs: dict[str, Any], config: RunnableConfig) -> RankedDocuments:
            documents, query = _checked(inputs)
            return self.compress_documents(documents, query, config.get("callbacks"))

        async def acompress(inputs: dict[str, Any], config: RunnableConfig) -> RankedDocuments:
            documents, query = _checked(inputs)
            return await self.acompress_documents(documents, query, config.get("callbacks"))

        return RunnableLambda(compress, afunc=acompress, name=type(self).__name__)

    def _rerank(self, call: dict[str, Any]) -> dict[str, Any]:
        texts = self._texts(call["documents"])
        results = self.core.rank(call["query"], texts, top_n=self.top_n, score_threshold=self.score_threshold)
        return self._outputs(call["documents"], results)

    async def _arerank(self, call: dict[str, Any]) -> dict[str, Any]:
        texts = await asyncio.to_thread(self._texts, call["documents"])
        results = await self.core.arank(call["query"], texts, top_n=self.top_n, score_threshold=self.score_threshold)
        return self._outputs(call["documents"], results)

    def _texts(self, documents: Sequence[Document]) -> list[str]:
        if self.document_text is None:
            return [document.page_content for document in documents]
        if isinstance(self.document_text, str):
            template = _parse(self.document_text)
            return [_fill(template, document, place) for place, document in enumerate(documents)]
        return [self.document_text(document) for document in documents]

    def _outputs(self, documents: Sequence[Document], results: ReportedList[RankResult]) -> dict[str, Any]:
        ranked = [self._copy(documents[result.index], _ranking_metadata(result)) for result in results]
        return {"documents": RankedDocuments(ranked, results.report, results), "report": asdict(results.report)}

    def _unranked(self, documents: Sequence[Document], error: Exception) -> RankedDocuments:
        report = self._passthrough(error, len(documents))
        return RankedDocuments(
            [self._copy(document, {ERROR_KEY: report.error}) for document in documents[: report.kept]], report
        )

    def _copy(self, document: Document, added: dict[str, Any]) -> Document:
        """Copy a document; what an earlier rerank said of itself is replaced, everything else is kept."""
        metadata = document.metadata
        if self.add_metadata:
            metadata = {key: value for key, value in metadata.items() if key not in (ERROR_KEY, TRUNCATED_KEY)} | added
        return document.model_copy(update={"metadata": dict(metadata)})


class CrossEncoderModel(BaseCrossEncoder):
    """A `Reranker` as LangChain's `BaseCrossEncoder`, for `CrossEncoderReranker(model=CrossEncoderModel())`.

    Args:
        reranker: The Reranker. None: the embedded model.

    Raises:
        InvalidTypeError: If it is not a Reranker.
    """

    def __init__(self, reranker: Reranker | None = None) -> None:
        if reranker is not None and not isinstance(reranker, Reranker):
            raise InvalidTypeError(f"reranker must be a Reranker, got {reranker!r}. Pass Reranker({reranker!r}).")
        self.reranker = reranker or Reranker()

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score (query, document) pairs, in the order given."""
        return self.reranker.score(text_pairs)


def _traced(callbacks: Callbacks | None) -> RunnableConfig:
    return {"callbacks": callbacks, "run_name": "Rerank"}


def _documents_of(outputs: dict[str, Any]) -> RankedDocuments:
    documents: RankedDocuments = outputs["documents"]
    return documents


def _ranking_metadata(result: RankResult) -> dict[str, Any]:
    return {SCORE_KEY: result.score} | ({TRUNCATED_KEY: True} if result.truncated else {})


def _checked(inputs: object) -> tuple[Sequence[Document], str]:
    """Return the documents and the query of a runnable's input."""
    if isinstance(inputs, Mapping) and {"query", "documents"} <= inputs.keys():
        return inputs["documents"], inputs["query"]
    given = f"a dict with the keys {list(inputs)}" if isinstance(inputs, Mapping) else f"a {type(inputs).__name__}"
    raise InvalidTypeError(
        f"as_runnable() takes a dict with the keys 'query' and 'documents', got {given}. Write the chain as "
        "{'query': RunnablePassthrough(), 'documents': retriever} | compressor.as_runnable()."
    )


def _parse(text: str) -> PromptTemplate:
    remedy = "Write it as '{title}: {page_content}'."
    try:
        template = PromptTemplate.from_template(text)
    except ValueError as error:
        raise InvalidValueError(f"document_text={text!r} is not a template: {error}. {remedy}") from error
    if not template.input_variables:
        raise InvalidValueError(f"document_text={text!r} has no field, so all texts would be the same. {remedy}")
    return template


def _fill(template: PromptTemplate, document: Document, place: int) -> str:
    values = {**document.metadata, "page_content": document.page_content}
    name = f"documents[{place}]" + (f" (id {document.id!r})" if document.id else "")
    if missing := [field for field in template.input_variables if field not in values]:
        raise InvalidValueError(
            f"{name} has no metadata {missing}, which document_text={template.template!r} needs; it has "
            f"{list(document.metadata)}. Add the metadata, or pass a function of the Document as document_text."
        )
    try:
        return template.format(**{field: values[field] for field in template.input_variables})
    except (ValueError, TypeError) as error:
        raise InvalidValueError(
            f"The metadata of {name} does not fit document_text={template.template!r}: {error}. Change the template, "
            "or pass a function of the Document as document_text."
        ) from error
