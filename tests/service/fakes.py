"""Rankers without a model, for tests of the code that hosts them."""

import asyncio
import threading
from collections.abc import Sequence

from rerank_plugins import ScorerRanker
from rerank_plugins.results import RankResult, ReportedList, RerankReport

REPORT = RerankReport(model="fake", candidates=0, kept=0)


class FakeRanker:
    """Keeps the order it is given, or fails, or waits, as a test sets it.

    Attributes:
        loading: Warming up waits until it is set; it is set from the start.
        answering: A call waits until it is set; it is set from the start.
        error: What calls raise.
        warmup_error: What warming up raises.
        busy_seconds: How long it claims to be busy.
        closed: Whether `close` was called.
    """

    def __init__(self) -> None:
        self.loading, self.answering = threading.Event(), asyncio.Event()
        self.loading.set()
        self.answering.set()
        self.error: Exception | None = None
        self.warmup_error: Exception | None = None
        self.busy_seconds = 0.0
        self.closed = False

    async def arank(
        self, query: str, documents: Sequence[str], *, top_n: int | None = None, instruction: str | None = None
    ) -> ReportedList[RankResult]:
        await self.answering.wait()
        if self.error is not None:
            raise self.error
        results = [RankResult(index=index, score=0.5, raw_score=0.0) for index in range(len(documents))]
        return ReportedList(results[:top_n], REPORT)

    def warmup(self) -> None:
        self.loading.wait()
        if self.warmup_error is not None:
            raise self.warmup_error

    def close(self) -> None:
        self.closed = True


class HostedRanker(ScorerRanker):
    """A `ScorerRanker` with what a service asks of a `Reranker` beside ranking."""

    busy_seconds = 0.0

    def warmup(self) -> None:
        pass

    def close(self) -> None:
        self.scorer.close()
