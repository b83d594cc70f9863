"""The scorer contract, for all scorers of the package and one that behaves like a server."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest

from rerank_plugins import (
    DeadlineExceededError,
    DocumentScore,
    OutOfMemoryError,
    QueryDocuments,
    RerankConfig,
    Reranker,
    Scored,
    Scorer,
    ScoreScale,
)
from rerank_plugins.caching import open_cache
from rerank_plugins.contracts import ScorerContract
from rerank_plugins.models.spec import resolve
from rerank_plugins.scorers.cached import CachedScorer
from rerank_plugins.scorers.fallback import FallbackScorer
from rerank_plugins.scorers.local import LocalScorer
from rerank_plugins.scores import Usage
from tests.fakes import FakeScorer


def local() -> LocalScorer:
    config = RerankConfig()
    return LocalScorer(resolve(config), config)


@pytest.fixture(scope="module", autouse=True)
def _one_load() -> Iterator[None]:
    """Keep the model in memory from one test to the next."""
    with Reranker():
        yield


class ServerLike:
    """Scores one list per request, stops at the deadline, and has no fingerprint."""

    name, scale, fingerprint = "server", ScoreScale.PROVIDER, None
    takes_instruction = False

    def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        return [self._post(each, deadline) for each in lists]

    async def ascore(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        answers = []
        for each in lists:
            await asyncio.sleep(0)  # the network
            answers.append(self._post(each, deadline))
        return answers

    def close(self) -> None:
        pass

    def _post(self, each: QueryDocuments, deadline: float | None) -> Scored:
        if deadline is not None and time.perf_counter() > deadline:
            raise DeadlineExceededError("The server did not answer in time.")
        words = set(each.query.split())
        scores = [DocumentScore(float(len(words.intersection(text.lower().split())))) for text in each.documents]
        return Scored(scores=scores, usage=Usage(scored=len(scores)))


class TestLocal(ScorerContract):
    def make(self) -> Scorer:
        return local()


class TestCached(ScorerContract):
    def make(self) -> Scorer:
        return CachedScorer(local(), open_cache("memory"))


class TestFallback(ScorerContract):
    def make(self) -> Scorer:
        return FallbackScorer(local(), FakeScorer)


class TestFallbackThatIsNeeded(ScorerContract):
    def make(self) -> Scorer:
        full = FakeScorer(error=OutOfMemoryError("no memory"), fingerprint=None)
        return FallbackScorer(full, lambda: CachedScorer(local(), open_cache("memory")))


class TestServerLike(ScorerContract):
    def make(self) -> Scorer:
        return ServerLike()


class TestFake(ScorerContract):
    def make(self) -> Scorer:
        return FakeScorer()


class TestFakeThatTakesInstructions(ScorerContract):
    def make(self) -> Scorer:
        return CachedScorer(FakeScorer(takes_instruction=True), open_cache("memory"))
