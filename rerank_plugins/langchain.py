"""Rerank in LangChain: `RerankCompressor` for retrievers and chains, `CrossEncoderModel` for its own reranker."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rerank_plugins.errors import InvalidTypeError, InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList

with extra("langchain", provides="langchain_core"):
    from langchain_core.callbacks import Callbacks
    from langchain_core.cross_encoders import BaseCrossEncoder
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.prompts import PromptTemplate, format_document
    from langchain_core.runnables import RunnableConfig, RunnableLambda
    from pydantic import Field, field_validator

    from rerank_plugins.adapter import ERROR_KEY, TRUNCATED_KEY, RerankFields

SCORE_KEY = "relevance_score"
_OWN_KEYS = (SCORE_KEY, ERROR_KEY, TRUNCATED_KEY)


class RerankCompressor(RerankFields, BaseDocumentCompressor):
    """Keep the documents that a cross-encoder finds most relevant, best first.

    The documents returned are copies: they keep id, type and metadata, and carry `metadata["relevance_score"]`; one
    that was cut to fit `max_length` carries `metadata["rerank_truncated"]` too. The list is a `ReportedList`, whose
    `.report` tells what was done. In a trace the work is a run named "Rerank".

    Examples:
        >>> retriever = ContextualCompressionRetriever(
        ...     base_compressor=RerankCompressor(top_n=5), base_retriever=store.as_retriever(search_kwargs={"k": 50})
        ... )
        >>> [document.metadata["relevance_score"] for document in retriever.invoke("who wrote hamlet")]
        [0.998, 0.41, 0.07, 0.02, 0.01]
    """

    document_text: str | Callable[[Document], str] | None = Field(
        default=None,
        description="The text that is ranked: None for page_content; a template such as '{title}: {page_content}' over "
        "the metadata; or a function of the Document.",
    )

    @field_validator("document_text")
    @classmethod
    def _check_template(cls, text: str | Callable[[Document], str] | None) -> str | Callable[[Document], str] | None:
        if isinstance(text, str) and not PromptTemplate.from_template(text).input_variables:
            raise InvalidValueError(f"document_text={text!r} names no field, so all documents would read alike.")
        return text

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> ReportedList[Document]:
        """Rerank documents.

        Args:
            documents: The candidates, in the retriever's order; left as they are.
            query: What the user asks.
            callbacks: Where the run is traced.

        Returns:
            Copies of the best `top_n`, best first, with the call's `.report`.

        Raises:
            RerankError: If reranking fails and `on_error` is "raise".
        """
        run = RunnableLambda(self._rerank)
        try:
            outputs = run.invoke({"query": query, "documents": documents}, _traced(callbacks))
        except Exception as error:
            if self.on_error == "raise":
                raise
            return self._hand_through(documents, error)
        return _documents_of(outputs)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> ReportedList[Document]:
        """Do what `compress_documents` does without blocking the event loop."""
        run = RunnableLambda(self._rerank, afunc=self._arerank)
        try:
            outputs = await run.ainvoke({"query": query, "documents": documents}, _traced(callbacks))
        except Exception as error:
            if self.on_error == "raise":
                raise
            return self._hand_through(documents, error)
        return _documents_of(outputs)

    def _rerank(self, call: dict[str, Any]) -> dict[str, Any]:
        texts = self._texts(call["documents"])
        results = self.core.rank(call["query"], texts, top_n=self.top_n, score_threshold=self.score_threshold)
        return _outputs(call["documents"], results)

    async def _arerank(self, call: dict[str, Any]) -> dict[str, Any]:
        texts = await asyncio.to_thread(self._texts, call["documents"])
        results = await self.core.arank(call["query"], texts, top_n=self.top_n, score_threshold=self.score_threshold)
        return _outputs(call["documents"], results)

    def _texts(self, documents: Sequence[Document]) -> list[str]:
        if self.document_text is None:
            return [document.page_content for document in documents]
        if isinstance(self.document_text, str):
            template = PromptTemplate.from_template(self.document_text)
            return [format_document(document, template) for document in documents]
        return [self.document_text(document) for document in documents]

    def _hand_through(self, documents: Sequence[Document], error: Exception) -> ReportedList[Document]:
        report = self._passthrough(error, len(documents))
        return ReportedList([_copy(each, {ERROR_KEY: report.error}) for each in documents[: report.kept]], report)


class CrossEncoderModel(BaseCrossEncoder):
    """The core as LangChain's `BaseCrossEncoder`, for `CrossEncoderReranker(model=CrossEncoderModel())`.

    Args:
        reranker: The core; None for the embedded model.
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


def _outputs(documents: Sequence[Document], results: ReportedList[RankResult]) -> dict[str, Any]:
    ranked = [_copy(documents[result.index], _marks(result)) for result in results]
    return {"documents": ReportedList(ranked, results.report), "report": asdict(results.report)}


def _documents_of(outputs: dict[str, Any]) -> ReportedList[Document]:
    documents: ReportedList[Document] = outputs["documents"]
    return documents


def _marks(result: RankResult) -> dict[str, Any]:
    return {SCORE_KEY: result.score} | ({TRUNCATED_KEY: True} if result.truncated else {})


def _copy(document: Document, marks: dict[str, Any]) -> Document:
    """Copy a document with new marks; those of an earlier rerank would be lies."""
    kept = {key: value for key, value in document.metadata.items() if key not in _OWN_KEYS}
    return document.model_copy(update={"metadata": {**kept, **marks}})
