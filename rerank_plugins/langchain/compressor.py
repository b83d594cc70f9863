"""`RerankCompressor`, for retrievers, and the step that it is in a chain."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from rerank_plugins.errors import InvalidTypeError
from rerank_plugins.extras import extra
from rerank_plugins.results import RankResult, ReportedList

with extra("langchain", provides="langchain_core"):
    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun, Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableSerializable
    from pydantic import Field, SkipValidation, field_validator
    from pydantic.json_schema import SkipJsonSchema

    from rerank_plugins.adapter import ERROR_KEY, TRUNCATED_KEY, RerankFields
    from rerank_plugins.langchain.documents import RankedDocuments
    from rerank_plugins.langchain.texts import fill_template, parse_template

SCORE_KEY = "relevance_score"


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
            parse_template(text)
        return text

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
        *,
        instruction: str | None = None,
    ) -> RankedDocuments:
        """Rerank documents.

        Args:
            documents: The candidates, in the retriever's order. They are not changed.
            query: The user's question.
            callbacks: LangChain callbacks, which trace the run.
            instruction: What relevant means in this call. None: the field's.

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
            outputs = run.invoke(self._call(documents, query, instruction), _traced(callbacks))
        except Exception as error:
            if self.on_error == "raise":
                raise
            return self._unranked(documents, error)
        return _documents_of(outputs)

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
        *,
        instruction: str | None = None,
    ) -> RankedDocuments:
        """Do what `compress_documents` does without blocking the event loop."""
        run = RunnableLambda(self._rerank, afunc=self._arerank)
        try:
            outputs = await run.ainvoke(self._call(documents, query, instruction), _traced(callbacks))
        except Exception as error:
            if self.on_error == "raise":
                raise
            return self._unranked(documents, error)
        return _documents_of(outputs)

    def as_runnable(self) -> "RerankStep":
        """Return a runnable for LCEL chains, from `{"query": ..., "documents": ...}` to the reranked documents.

        Reranking needs the question, which is not part of a retriever's output, so a chain passes both. An
        `"instruction"` beside them is that call's own.

        Raises:
            RerankError: When invoked, if the input lacks either key, or if reranking fails and `on_error` is "raise".

        Examples:
            >>> reranker = RerankCompressor(top_n=5).as_runnable()
            >>> chain = {"query": RunnablePassthrough(), "documents": retriever} | reranker
            >>> chain.invoke("who wrote hamlet")[0].page_content
            'Shakespeare wrote Hamlet.'
        """
        return RerankStep(compressor=self, name=type(self).__name__)

    def _call(self, documents: Sequence[Document], query: str, instruction: str | None) -> dict[str, Any]:
        """Return what a trace shows as the input of the run."""
        call = {"query": query, "documents": documents}
        meant = self.instruction if instruction is None else instruction
        return call if meant is None else {**call, "instruction": meant}

    def _rerank(self, call: dict[str, Any]) -> dict[str, Any]:
        texts = self._texts(call["documents"])
        results = self.core.rank(call["query"], texts, **self._asked(call))
        return self._outputs(call["documents"], results)

    async def _arerank(self, call: dict[str, Any]) -> dict[str, Any]:
        texts = await asyncio.to_thread(self._texts, call["documents"])
        results = await self.core.arank(call["query"], texts, **self._asked(call))
        return self._outputs(call["documents"], results)

    def _asked(self, call: dict[str, Any]) -> dict[str, Any]:
        return {
            "top_n": self.top_n,
            "score_threshold": self.score_threshold,
            "instruction": call.get("instruction"),
        }

    def _texts(self, documents: Sequence[Document]) -> list[str]:
        if self.document_text is None:
            return [document.page_content for document in documents]
        if isinstance(self.document_text, str):
            template = parse_template(self.document_text)
            return [fill_template(template, document, place) for place, document in enumerate(documents)]
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


class RerankStep(RunnableSerializable[dict[str, Any], RankedDocuments]):
    """A `RerankCompressor` as a step of an LCEL chain: what `as_runnable()` returns.

    The instruction may come with each input, or from a chain's configuration:

    Examples:
        >>> step = compressor.as_runnable().configurable_fields(instruction=ConfigurableField(id="instruction"))
        >>> chain = {"query": RunnablePassthrough(), "documents": retriever} | step
        >>> chain.invoke("sorting a list", {"configurable": {"instruction": "Find code."}})[0].page_content
        'sorted(items)'
    """

    compressor: RerankCompressor = Field(description="What reranks.")
    instruction: Annotated[str | None, SkipValidation] = Field(
        default=None, description="What relevant means where the input does not say it. None: the compressor's own."
    )

    def invoke(
        self,
        input: dict[str, Any],  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> RankedDocuments:
        """Rerank the `documents` of an input by its `query`, and its `instruction` if it has one."""
        return self._call_with_config(self._compress, input, config, **kwargs)

    async def ainvoke(
        self,
        input: dict[str, Any],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> RankedDocuments:
        """Do what `invoke` does without blocking the event loop."""
        return await self._acall_with_config(self._acompress, input, config, **kwargs)

    def _compress(self, inputs: dict[str, Any], run_manager: CallbackManagerForChainRun) -> RankedDocuments:
        documents, query, instruction = self._checked(inputs)
        callbacks = run_manager.get_child()
        return self.compressor.compress_documents(documents, query, callbacks, instruction=instruction)

    async def _acompress(self, inputs: dict[str, Any], run_manager: AsyncCallbackManagerForChainRun) -> RankedDocuments:
        documents, query, instruction = self._checked(inputs)
        callbacks = run_manager.get_child()
        return await self.compressor.acompress_documents(documents, query, callbacks, instruction=instruction)

    def _checked(self, inputs: object) -> tuple[Sequence[Document], str, str | None]:
        """Return documents, query and instruction of an input."""
        if isinstance(inputs, Mapping) and {"query", "documents"} <= inputs.keys():
            own = inputs.get("instruction")
            return inputs["documents"], inputs["query"], self.instruction if own is None else own
        given = f"a dict with the keys {list(inputs)}" if isinstance(inputs, Mapping) else f"a {type(inputs).__name__}"
        raise InvalidTypeError(
            f"as_runnable() takes a dict with the keys 'query' and 'documents', got {given}. Write the chain as "
            "{'query': RunnablePassthrough(), 'documents': retriever} | compressor.as_runnable()."
        )


def _traced(callbacks: Callbacks | None) -> RunnableConfig:
    return {"callbacks": callbacks, "run_name": "Rerank"}


def _documents_of(outputs: dict[str, Any]) -> RankedDocuments:
    documents: RankedDocuments = outputs["documents"]
    return documents


def _ranking_metadata(result: RankResult) -> dict[str, Any]:
    return {SCORE_KEY: result.score} | ({TRUNCATED_KEY: True} if result.truncated else {})
