"""Rerank in LlamaIndex: `RerankPostprocessor` for query and chat engines."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.results import RankResult, ReportedList

with extra("llama-index", provides="llama_index.core"):
    from llama_index.core.callbacks import CBEventType, EventPayload
    from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # it has no __all__
    from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
    from pydantic import Field

    from rerank_plugins.adapter import ERROR_KEY, TRUNCATED_KEY, RerankFields

dispatcher = get_dispatcher(__name__)

RETRIEVAL_SCORE_KEY = "retrieval_score"
# Tokens of a pair where the ranker does not say: the default of most cross-encoders.
_MAX_LENGTH = 512
# What a rerank says of itself: a later rerank replaces it.
_RERANK_KEYS = {ERROR_KEY, TRUNCATED_KEY}


@dataclass
class InstructedQuery(QueryBundle):
    """A query with an instruction of its own, for `query()`, `postprocess_nodes()` and whatever else takes a query.

    Attributes:
        instruction: What relevant means for this query. None: the postprocessor's own.

    Examples:
        >>> engine.query(InstructedQuery("sorting a list", instruction="Find code.")).source_nodes[0].text
        'sorted(items)'
    """

    instruction: str | None = None


class RerankPostprocessor(RerankFields, BaseNodePostprocessor):
    """Keep the nodes that a cross-encoder finds most relevant, best first.

    The returned `NodeWithScore` objects are new, with plain floats as scores; the ones passed in are not changed. A
    node whose text was truncated to fit `max_length` gets `metadata["rerank_truncated"]`, hidden from prompts. The list
    is a `ReportedList`: its `.report` describes the call.

    The ranked text is LlamaIndex's own: metadata first, then the content. Long metadata, such as that of extractors,
    would leave no room for the content. So the metadata before the content is limited to `max_length` bytes, about a
    quarter of the tokens. The rest follows the content, where truncation removes it first.

    Examples:
        >>> engine = index.as_query_engine(similarity_top_k=50, node_postprocessors=[RerankPostprocessor(top_n=5)])
        >>> [node.score for node in engine.query("who wrote hamlet").source_nodes]
        [0.998, 0.41, 0.07, 0.02, 0.01]
    """

    metadata_mode: MetadataMode = Field(
        default=MetadataMode.EMBED, description="Which metadata is ranked together with the node's content."
    )
    keep_retrieval_score: bool = Field(
        default=False, description="Keep the retriever's score as metadata['retrieval_score'], hidden from prompts."
    )

    @classmethod
    def class_name(cls) -> str:
        """Return the name for serialization."""
        return "RerankPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        with self._events(nodes, query) as done:
            try:
                results = self.core.rank(query, self._texts(nodes), **self._asked(query_bundle))
            except Exception as error:
                if self.on_error == "raise":
                    raise
                return done.set(self._unranked(nodes, error))
            return done.set(self._reranked(nodes, results))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        with self._events(nodes, query) as done:
            try:
                texts = await asyncio.to_thread(self._texts, nodes)
                results = await self.core.arank(query, texts, **self._asked(query_bundle))
            except Exception as error:
                if self.on_error == "raise":
                    raise
                return done.set(self._unranked(nodes, error))
            return done.set(self._reranked(nodes, results))

    def _asked(self, query: QueryBundle | None) -> dict[str, Any]:
        own = query.instruction if isinstance(query, InstructedQuery) else None
        return {
            "top_n": self.top_n,
            "score_threshold": self.score_threshold,
            "instruction": self.instruction if own is None else own,
        }

    @contextmanager
    def _events(self, nodes: list[NodeWithScore], query: str) -> Iterator["_Outcome"]:
        """Send start and end events to both of LlamaIndex's event systems; the end even after an error."""
        outcome = _Outcome()
        top_n, model = self.top_n or len(nodes), self.core.model
        dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=top_n, model_name=model))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: model,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: top_n,
        }
        try:
            with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
                yield outcome
                event.on_end(payload={EventPayload.NODES: outcome.nodes, **outcome.tags})
        finally:
            dispatcher.event(ReRankEndEvent(nodes=outcome.nodes, tags=outcome.tags))

    def _texts(self, nodes: list[NodeWithScore]) -> list[str]:
        limit = getattr(self.core, "max_length", None) or _MAX_LENGTH  # not every ranker counts tokens
        return [_text(_without_marks(node.node), self.metadata_mode, limit) for node in nodes]

    def _reranked(self, nodes: list[NodeWithScore], results: ReportedList[RankResult]) -> ReportedList[NodeWithScore]:
        return ReportedList([self._scored(nodes[result.index], result) for result in results], results.report)

    def _scored(self, node: NodeWithScore, result: RankResult) -> NodeWithScore:
        marks = self._retrieval_mark(node) | ({TRUNCATED_KEY: True} if result.truncated else {})
        return node.model_copy(update={"node": _marked(node.node, marks), "score": result.score})

    def _unranked(self, nodes: list[NodeWithScore], error: Exception) -> ReportedList[NodeWithScore]:
        report = self._passthrough(error, len(nodes))
        kept = (
            node.model_copy(update={"node": _marked(node.node, self._retrieval_mark(node) | {ERROR_KEY: report.error})})
            for node in nodes[: report.kept]
        )
        return ReportedList(kept, report)

    def _retrieval_mark(self, node: NodeWithScore) -> dict[str, Any]:
        return {RETRIEVAL_SCORE_KEY: node.score} if self.keep_retrieval_score else {}


class _Outcome:
    """What the end events report: nothing, unless the rerank is completed."""

    def __init__(self) -> None:
        self.nodes: list[NodeWithScore] = []
        self.tags: dict[str, Any] = {}

    def set(self, nodes: ReportedList[NodeWithScore]) -> ReportedList[NodeWithScore]:
        self.nodes, self.tags = nodes, {"rerank_report": asdict(nodes.report)}
        return nodes


def _query(query_bundle: QueryBundle | None) -> str:
    if query_bundle is None:
        raise InvalidValueError("There is no query to rank by. Pass query_bundle= or query_str=.")
    return query_bundle.query_str


def _text(node: BaseNode, mode: MetadataMode, limit: int) -> str:
    """Return the text to rank: LlamaIndex's own, but with at most `limit` bytes of metadata before the content.

    Bytes rather than characters, since a token has about four of them in most languages.
    """
    text, metadata = node.get_content(metadata_mode=mode), node.get_metadata_str(mode).strip()
    if _size(metadata) <= limit or metadata not in text:  # A node may have a text without metadata in any mode.
        return text
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for key, value in node.metadata.items():
        fits = _size(_with_metadata(node, {**before, key: value}).get_metadata_str(mode)) <= limit
        (before if fits else after)[key] = value
    start = _with_metadata(node, before).get_content(metadata_mode=mode)
    return f"{start}\n\n{_with_metadata(node, after).get_metadata_str(mode)}"


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def _with_metadata(node: BaseNode, metadata: dict[str, Any]) -> BaseNode:
    return node.model_copy(update={"metadata": metadata})


def _without_marks(node: BaseNode) -> BaseNode:
    """Leave out what an earlier rerank added: it is not part of the text, not even in MetadataMode.ALL."""
    marks = _RERANK_KEYS | ({RETRIEVAL_SCORE_KEY} & set(node.excluded_embed_metadata_keys))
    if node.metadata.keys().isdisjoint(marks):
        return node
    return _with_metadata(node, {key: value for key, value in node.metadata.items() if key not in marks})


def _marked(node: BaseNode, marks: dict[str, Any]) -> BaseNode:
    """Copy a node with new marks, hidden from prompts and embeddings, in place of an earlier rerank's."""
    if not marks and node.metadata.keys().isdisjoint(_RERANK_KEYS):
        return node
    kept = {key: value for key, value in node.metadata.items() if key not in _RERANK_KEYS}
    return node.model_copy(
        update={
            "metadata": {**kept, **marks},
            "excluded_embed_metadata_keys": list(dict.fromkeys([*node.excluded_embed_metadata_keys, *marks])),
            "excluded_llm_metadata_keys": list(dict.fromkeys([*node.excluded_llm_metadata_keys, *marks])),
        }
    )
