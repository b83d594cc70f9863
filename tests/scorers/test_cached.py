"""`CachedScorer` with a fake scorer: only missing scores are requested, and cached ones are identical."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from rerank_plugins import DocumentScore, InvalidValueError, QueryDocuments, Scored, ScoreScale, ScoringError
from rerank_plugins.caching.memory import MemoryCache
from rerank_plugins.scorers.base import Scorer
from rerank_plugins.scorers.cached import CachedScorer
from rerank_plugins.scores import Timing, Usage
from tests.fakes import FakeScorer

Ask = Callable[[Scorer, Sequence[QueryDocuments]], list[Scored]]
WORDS = ["aaa", "a", "aa"]


class Meter(MemoryCache):
    """A cache in memory that counts what it keeps."""

    kept = 0

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        self.kept += len(scores)
        super().set_many(scores)


class Forgetful:
    """A cache that may forget: it keeps nothing."""

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        return [None] * len(keys)

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        pass


class Damaged:
    """A cache that answers every key with the same score."""

    def __init__(self, raw: float) -> None:
        self._raw = raw

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        return [DocumentScore(self._raw) for _ in keys]

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        pass


@pytest.fixture(params=["score", "ascore"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "score":
        return lambda scorer, lists: scorer.score(lists)
    return lambda scorer, lists: asyncio.run(scorer.ascore(lists))


def raw(scored: Scored) -> list[float]:
    return [score.raw for score in scored.scores]


def counts(scored: Scored) -> tuple[int, int]:
    return scored.usage.scored, scored.usage.cached


def test_it_passes_for_the_scorer_behind_it() -> None:
    inner = FakeScorer(name="mine", scale=ScoreScale.PROVIDER, fingerprint="7")
    scorer = CachedScorer(inner, Meter())
    assert (scorer.name, scorer.scale, scorer.fingerprint) == ("mine", ScoreScale.PROVIDER, "7")
    scorer.close()
    assert inner.closed == 1


def test_a_scorer_without_a_fingerprint_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"The scores of 'mine' cannot be cached.*Leave cache= out"):
        CachedScorer(FakeScorer(name="mine", fingerprint=None), Meter())


def test_the_second_time_nothing_is_scored(ask: Ask) -> None:
    inner, cache = FakeScorer(), Meter()
    scorer = CachedScorer(inner, cache)
    (first,), (second,) = ask(scorer, [QueryDocuments("q", WORDS)]), ask(scorer, [QueryDocuments("q", WORDS)])
    assert first.scores == second.scores
    assert (counts(first), counts(second)) == ((3, 0), (0, 3))
    assert [list(asked[0].documents) for asked in inner.asked] == [WORDS, []]
    assert cache.kept == 3


def test_only_what_is_missing_is_asked_for_and_put_into_its_place(ask: Ask) -> None:
    inner = FakeScorer()
    scorer = CachedScorer(inner, Meter())
    ask(scorer, [QueryDocuments("q", ["aa", "aaaa"])])
    (scored,) = ask(scorer, [QueryDocuments("q", ["a", "aa", "aaa", "aaaa", "aaaaa"])])
    assert list(inner.asked[1][0].documents) == ["a", "aaa", "aaaaa"]
    assert raw(scored) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert counts(scored) == (3, 2)


def test_a_document_that_occurs_twice_counts_once(ask: Ask) -> None:
    scorer = CachedScorer(FakeScorer(), Meter())
    (first,) = ask(scorer, [QueryDocuments("q", ["a", "aa", "a"])])
    (second,) = ask(scorer, [QueryDocuments("q", ["aa", "a", "aa", "a"])])
    assert raw(second) == [2.0, 1.0, 2.0, 1.0]
    assert (counts(first), counts(second)) == ((2, 0), (0, 2))


def test_lists_share_what_is_known_and_count_it_once(ask: Ask) -> None:
    scorer = CachedScorer(FakeScorer(), Meter())
    ask(scorer, [QueryDocuments("q", ["a", "aa"])])
    one, two, three = ask(
        scorer,
        [QueryDocuments("q", ["a", "aaa"]), QueryDocuments("q", ["aa", "a"]), QueryDocuments("r", ["a"])],
    )
    assert [raw(each) for each in (one, two, three)] == [[1.0, 3.0], [2.0, 1.0], [1.0]]
    assert [each.usage.cached for each in (one, two, three)] == [1, 1, 0]


def test_queries_and_instructions_are_kept_apart(ask: Ask) -> None:
    scorer = CachedScorer(FakeScorer(), Meter())
    for query, instruction in (("q", None), ("r", None), ("q", "cite"), ("q", "")):
        for expected in (1, 0):
            (scored,) = ask(scorer, [QueryDocuments(query, ["a"], instruction)])
            assert scored.usage.scored == expected


@pytest.mark.parametrize("takes", [True, False])
def test_it_takes_instructions_where_the_other_one_does(takes: bool) -> None:
    assert CachedScorer(FakeScorer(takes_instruction=takes), Meter()).takes_instruction is takes


def test_scorers_share_a_cache_by_their_fingerprint(ask: Ask) -> None:
    cache = Meter()
    ask(CachedScorer(FakeScorer(), cache), [QueryDocuments("q", WORDS)])
    (same,) = ask(CachedScorer(FakeScorer(name="other"), cache), [QueryDocuments("q", WORDS)])
    (other,) = ask(CachedScorer(FakeScorer(fingerprint="2"), cache), [QueryDocuments("q", WORDS)])
    assert (counts(same), counts(other)) == ((0, 3), (3, 0))


def test_what_else_a_scorer_said_stays(ask: Ask) -> None:
    inner = FakeScorer(
        scores=[DocumentScore(1.0, query_truncated=True, document_truncated=True, span=(3, 9))],
        usage=Usage(scored=1, windows=2, tokens=30, padding=4),
        timing=Timing(queue=1.0, tokenize=2.0, forward=3.0),
        fallback="too large",
    )
    scorer = CachedScorer(inner, Meter())
    (scored,) = ask(scorer, [QueryDocuments("q", ["a"])])
    assert scored.usage == Usage(scored=1, windows=2, tokens=30, padding=4)
    assert (scored.timing.queue, scored.timing.forward, scored.fallback) == (1.0, 3.0, "too large")
    assert scored.timing.tokenize > 2.0, "looking up is added"
    inner.scored["scores"] = []
    (again,) = ask(scorer, [QueryDocuments("q", ["a"])])
    assert again.scores == scored.scores


def test_a_cache_that_forgets_changes_no_score(ask: Ask) -> None:
    scorer = CachedScorer(FakeScorer(), Forgetful())
    for _ in range(2):
        (scored,) = ask(scorer, [QueryDocuments("q", [*WORDS, "a"])])
        assert raw(scored) == [3.0, 1.0, 2.0, 1.0]
        assert scored.usage.cached == 0


def test_a_failure_is_not_kept(ask: Ask) -> None:
    cache = Meter()
    for _ in range(2):
        with pytest.raises(ScoringError, match="no answer"):
            ask(CachedScorer(FakeScorer(error=ScoringError("no answer")), cache), [QueryDocuments("q", WORDS)])
    assert cache.kept == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_not_finite_is_refused_and_not_stored(ask: Ask, value: float) -> None:
    cache, lists = Meter(), [QueryDocuments("q", ["a", "aa"])]
    for _ in range(2):
        with pytest.raises(ScoringError, match=f"'fake' answered {value} for 1 of 2 documents"):
            ask(CachedScorer(FakeScorer({"a": 1.0, "aa": value}), cache), lists)
    assert cache.kept == 0
    (scored,) = ask(CachedScorer(FakeScorer(), cache), lists)
    assert (raw(scored), counts(scored)) == ([1.0, 2.0], (2, 0))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_cached_score_that_is_not_finite_is_a_miss(ask: Ask, value: float) -> None:
    (scored,) = ask(CachedScorer(FakeScorer(), Damaged(value)), [QueryDocuments("q", WORDS)])
    assert (raw(scored), counts(scored)) == ([3.0, 1.0, 2.0], (3, 0))


def test_an_answer_with_a_score_missing_is_refused_and_not_stored(ask: Ask) -> None:
    cache = Meter()
    with pytest.raises(ScoringError, match="'fake' gave 1 scores for 3 documents"):
        ask(CachedScorer(FakeScorer(scores=[DocumentScore(1.0)]), cache), [QueryDocuments("q", WORDS)])
    assert cache.kept == 0


@pytest.mark.parametrize("lists", [[], [QueryDocuments("q", [])]])
def test_nothing_gives_nothing(ask: Ask, lists: list[Any]) -> None:
    assert [each.scores for each in ask(CachedScorer(FakeScorer(), Meter()), lists)] == [[] for _ in lists]


def test_the_deadline_is_passed_on() -> None:
    inner = FakeScorer()
    scorer = CachedScorer(inner, Meter())
    scorer.score([QueryDocuments("q", ["a"])], deadline=5.0)
    asyncio.run(scorer.ascore([QueryDocuments("q", ["a"])], deadline=6.0))
    assert inner.deadlines == [5.0, 6.0]
