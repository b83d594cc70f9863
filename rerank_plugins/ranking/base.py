"""What adapters, service, command line and evaluation ask of whatever ranks."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rerank_plugins.results import RankResult, ReportedList


@runtime_checkable
class Ranker(Protocol):
    """Something that sorts documents by relevance to a query, and reports what it did.

    `Reranker` is one; whatever combines several of them is another.

    Attributes:
        model: What reports and traces call it.
    """

    @property
    def model(self) -> str: ...  # noqa: D102 - see Attributes

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        instruction: str | None = None,
    ) -> ReportedList[RankResult]:
        """Sort documents by relevance to the query, best first."""
        ...

    async def arank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        instruction: str | None = None,
    ) -> ReportedList[RankResult]:
        """Do what `rank` does without blocking the event loop."""
        ...
