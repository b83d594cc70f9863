"""`ScorerRanker` with a fake scorer: what it requests, how it sorts, and which observers it notifies."""

import asyncio
import math
import pickle
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rerank_plugins import (
    EventLoopError,
    InvalidTypeError,
    InvalidValueError,
    QueryDocuments,
    Ranker,
    RankResult,
    ReportedList,
    RerankReport,
    ScorerRanker,
    ScoreScale,
    ScoringError,
)
from rerank_plugins.monitoring import observe
from tests.fakes import FakeScorer
from tests.texts import DOCUMENTS, QUERY

WORDS = ["aaa", "a", "aa"]


def ways(ranker: ScorerRanker, **more: Any) -> dict[str, Callable[[str, list[str]], Any]]:
    """The six methods, each called with one query and its documents."""
    return {
        "rank": lambda query, texts: ranker.rank(query, texts, **more),
        "rank_many": lambda query, texts: ranker.rank_many([query], [texts], **more)[0],
        "score": lambda query, texts: ranker.score([(query, text) for text in texts], **more),
        "arank": lambda query, texts: asyncio.run(ranker.arank(query, texts, **more)),
        "arank_many": lambda query, texts: asyncio.run(ranker.arank_many([query], [texts], **more))[0],
        "ascore": lambda query, texts: asyncio.run(ranker.ascore([(query, text) for text in texts], **more)),
    }


WAYS = list(ways(ScorerRanker(FakeScorer())))


def test_it_is_a_ranker_that_bears_the_scorers_name_and_scale() -> None:
    ranker = ScorerRanker(FakeScorer(name="mine", scale=ScoreScale.PROBABILITY))
    assert isinstance(ranker, Ranker)
    assert (ranker.model, ranker.scale, ranker.activation, ranker.max_length) == (
        "mine",
        "probability",
        "identity",
        None,
    )


@pytest.mark.parametrize(
    ("scale", "activation", "expected"),
    [
        (ScoreScale.LOGIT, None, 1 / (1 + math.exp(-3))),
        (ScoreScale.LOG_ODDS, None, 1 / (1 + math.exp(-3))),
        (ScoreScale.LOGIT, "identity", 3.0),
        (ScoreScale.TOKEN_LOGIT, None, 3.0),
        (ScoreScale.PROBABILITY, None, 3.0),
        (ScoreScale.PROVIDER, None, 3.0),
        (ScoreScale.PROVIDER, "sigmoid", 1 / (1 + math.exp(-3))),
    ],
)
def test_the_activation_is_that_of_the_scale_unless_one_is_asked_for(
    scale: ScoreScale, activation: str | None, expected: float
) -> None:
    best = ScorerRanker(FakeScorer(scale=scale), activation=activation).rank("who", WORDS)[0]
    assert (best.raw_score, best.score) == (3.0, pytest.approx(expected))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_scores(way: str) -> None:
    ranker = ScorerRanker(FakeScorer(), activation="identity")
    answer = ways(ranker)[way]("who", WORDS)
    assert isinstance(answer, ReportedList)
    assert answer.report.candidates == 3
    if "rank" in way:
        assert answer == [RankResult(0, 3.0, 3.0), RankResult(2, 2.0, 2.0), RankResult(1, 1.0, 1.0)]
    else:
        assert answer == [3.0, 1.0, 2.0]


async def test_top_n_and_threshold_reach_every_ranking() -> None:
    ranker, asked = ScorerRanker(FakeScorer(), activation="identity"), (["q", "r"], [WORDS, WORDS[:2]])
    for options, kept in (({"top_n": 1}, [[0], [0]]), ({"score_threshold": 2.0}, [[0, 2], [0]])):
        for each in (ranker.rank_many(*asked, **options), await ranker.arank_many(*asked, **options)):
            assert [[result.index for result in ranking] for ranking in each] == kept
        for ranking in (ranker.rank("q", WORDS, **options), await ranker.arank("q", WORDS, **options)):
            assert [result.index for result in ranking] == kept[0]


def test_rank_many_asks_once_and_gives_each_query_its_own_report() -> None:
    scorer = FakeScorer()
    first, second, third = ScorerRanker(scorer).rank_many(["q", "r", "s"], [WORDS, [], WORDS[:1]])
    assert scorer.asked == [[QueryDocuments("q", WORDS), QueryDocuments("r", []), QueryDocuments("s", WORDS[:1])]]
    assert [len(each) for each in (first, second, third)] == [3, 0, 1]
    assert [each.report.candidates for each in (first, second, third)] == [3, 0, 1]
    assert ScorerRanker(scorer).rank_many([], []) == []


@pytest.mark.parametrize("way", ["score", "ascore"])
def test_pairs_of_several_queries_keep_their_order(way: str) -> None:
    scorer = FakeScorer()
    ranker = ScorerRanker(scorer, activation="identity")
    pairs = [("q", "a"), ("q", "aaa"), ("r", "aa"), ("q", "aaaa")]
    scores = ranker.score(pairs) if way == "score" else asyncio.run(ranker.ascore(pairs))
    assert scores == [1.0, 3.0, 2.0, 4.0]
    (asked,) = scorer.asked
    assert [(each.query, list(each.documents)) for each in asked] == [
        ("q", ["a", "aaa"]),
        ("r", ["aa"]),
        ("q", ["aaaa"]),
    ]
    assert scores.report.candidates == 4
    assert ranker.score([]) == []


class TestInstruction:
    """What relevant means: the call says it, else the ranker, else the scorer."""

    @pytest.mark.parametrize("way", WAYS)
    def test_a_calls_own_replaces_the_rankers(self, way: str) -> None:
        scorer = FakeScorer(takes_instruction=True)
        ranker = ScorerRanker(scorer, instruction="find code")
        ways(ranker)[way]("who", WORDS)
        ways(ranker, instruction="find poems")[way]("who", WORDS)
        ways(ScorerRanker(scorer))[way]("who", WORDS)
        assert [asked[0].instruction for asked in scorer.asked] == ["find code", "find poems", None]

    @pytest.mark.parametrize("way", WAYS)
    def test_a_scorer_that_takes_none_is_not_asked(self, way: str) -> None:
        scorer = FakeScorer()
        with pytest.raises(InvalidValueError, match="instruction has no place in what 'fake' reads") as caught:
            ways(ScorerRanker(scorer), instruction="secret")[way]("who", WORDS)
        assert "secret" not in str(caught.value)
        assert scorer.asked == []

    def test_a_ranker_is_not_made_with_one_that_its_scorer_does_not_take(self) -> None:
        with pytest.raises(InvalidValueError, match="instruction has no place in what 'fake' reads"):
            ScorerRanker(FakeScorer(), instruction="find code")
        assert ScorerRanker(FakeScorer(takes_instruction=True)).takes_instruction
        assert not ScorerRanker(FakeScorer()).takes_instruction

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(
        ("instruction", "kind", "message"),
        [
            (3, InvalidTypeError, "instruction must be a string, got int 3"),
            ("", InvalidValueError, "instruction is empty or blank, got ''. Leave it out for the default"),
            (" \n", InvalidValueError, r"instruction is empty or blank, got ' \\n'"),
        ],
    )
    def test_what_is_none(self, way: str, instruction: Any, kind: type[Exception], message: str) -> None:
        scorer = FakeScorer(takes_instruction=True)
        with pytest.raises(kind, match=message):
            ways(ScorerRanker(scorer), instruction=instruction)[way]("who", WORDS)
        with pytest.raises(kind, match=message):
            ScorerRanker(scorer, instruction=instruction)
        assert scorer.asked == []

    @pytest.mark.parametrize("way", WAYS)
    def test_broken_characters_are_replaced_and_counted(self, way: str) -> None:
        scorer = FakeScorer(takes_instruction=True)
        results = ways(ScorerRanker(scorer), instruction="find \ud835")[way]("who", WORDS)
        assert scorer.asked[0][0].instruction == "find \ufffd"
        assert results.report.replaced == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_deadline_is_the_timeout_from_the_start_of_the_call(way: str) -> None:
    scorer = FakeScorer()
    before = time.perf_counter()
    ways(ScorerRanker(scorer, timeout=1000.0))[way]("who", WORDS)
    (deadline,) = scorer.deadlines
    assert deadline is not None
    assert before + 1000 <= deadline <= time.perf_counter() + 1000
    ways(ScorerRanker(scorer))[way]("who", WORDS)
    assert scorer.deadlines[1] is None


@pytest.mark.parametrize("way", WAYS)
def test_observers_of_the_ranker_and_of_the_process_are_told_once(way: str) -> None:
    ranker, other = ScorerRanker(FakeScorer(name="one")), ScorerRanker(FakeScorer(name="other"))
    own: list[RerankReport] = []
    everywhere: list[RerankReport] = []
    with observe(own.append, ranker), observe(everywhere.append):
        answer = ways(ranker)[way]("who", WORDS)
        ways(other)[way]("who", WORDS)
    ways(ranker)[way]("who", WORDS)
    assert own == [answer.report]
    assert [report.model for report in everywhere] == ["one", "other"]


@pytest.mark.parametrize("way", WAYS)
def test_an_observer_that_fails_breaks_nothing(way: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: RerankReport) -> None:
        raise RuntimeError("no disk")

    with observe(fail):
        assert len(ways(ScorerRanker(FakeScorer()))[way]("who", WORDS)) == 3
    assert "An observer of reranking failed: RuntimeError: no disk" in caplog.text


def test_scores_are_kept_from_one_call_to_the_next_where_a_cache_is_given() -> None:
    scorer = FakeScorer()
    ranker = ScorerRanker(scorer, cache="memory")
    first, second = ranker.rank("who", WORDS), ranker.rank("who", [*WORDS, "aaaa"])
    assert second[1:] == first
    assert (second.report.scored, second.report.cached) == (1, 3)
    with pytest.raises(InvalidValueError, match="The scores of 'fake' cannot be cached: it has no fingerprint"):
        ScorerRanker(FakeScorer(fingerprint=None), cache="memory")


@pytest.mark.parametrize("way", WAYS)
def test_an_error_of_the_scorer_reaches_the_caller_and_no_observer(way: str) -> None:
    seen: list[RerankReport] = []
    with observe(seen.append), pytest.raises(ScoringError, match="no answer"):
        ways(ScorerRanker(FakeScorer(error=ScoringError("no answer"))))[way]("who", WORDS)
    assert seen == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("raw", "message"), [(math.nan, "'fake' answered nan for 3 of 3 documents"), (-math.inf, "'fake' answered -inf")]
)
def test_a_score_that_cannot_be_sorted_is_an_error(way: str, raw: float, message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        ways(ScorerRanker(FakeScorer(lambda _: raw)))[way]("who", WORDS)


@pytest.mark.parametrize("way", WAYS)
def test_a_scorer_that_loses_a_document_or_a_list_is_an_error(way: str) -> None:
    class Short(FakeScorer):
        def score(self, lists: Any, *, deadline: float | None = None) -> Any:
            return super().score([QueryDocuments(each.query, each.documents[1:]) for each in lists])

    class Without(FakeScorer):
        def score(self, lists: Any, *, deadline: float | None = None) -> Any:
            return super().score(lists)[1:]

    with pytest.raises(ScoringError, match="'fake' gave 2 scores for 3 documents"):
        ways(ScorerRanker(Short()))[way]("who", WORDS)
    with pytest.raises(ScoringError, match="'fake' answered 0 of 1 lists"):
        ways(ScorerRanker(Without()))[way]("who", WORDS)


class TestBadInput:
    """Errors name the value, what is wrong and the remedy, and the scorer is not asked."""

    @pytest.fixture
    def scorer(self) -> FakeScorer:
        return FakeScorer()

    @pytest.fixture(params=[way for way in WAYS if "score" not in way])
    def rank(self, request: pytest.FixtureRequest, scorer: FakeScorer) -> Any:
        yield ways(ScorerRanker(scorer))[request.param]
        assert scorer.asked == []

    @pytest.mark.parametrize(
        ("query", "documents", "kind", "message"),
        [
            ("", ["a"], ValueError, r"query(\[0\])? is empty or blank, got ''"),
            (" \n", ["a"], ValueError, "is empty or blank"),
            (None, ["a"], TypeError, r"query(\[0\])? must be a string, got None"),
            (
                QUERY,
                "a document",
                TypeError,
                r"documents(\[0\])? must be a list of strings, got str 'a document'.*\[document\]",
            ),
            (QUERY, None, TypeError, "must be a list of strings, got None"),
            (QUERY, (text for text in DOCUMENTS), TypeError, "list of strings, got generator"),
            (QUERY, {"a": "b"}, TypeError, "list of strings, got dict"),
            (QUERY, ["a", None], TypeError, r"documents(\[0\])?\[1\] must be a string, got None"),
            (QUERY, [b"a"], TypeError, r"documents(\[0\])?\[0\] must be a string, got bytes b'a'"),
            (QUERY, ["a", 3], TypeError, r"documents(\[0\])?\[1\] must be a string, got int 3"),
        ],
    )
    def test_queries_and_documents(
        self, rank: Any, query: Any, documents: Any, kind: type[Exception], message: str
    ) -> None:
        with pytest.raises(kind, match=message) as caught:
            rank(query, documents)
        assert isinstance(caught.value, InvalidTypeError | InvalidValueError)

    @pytest.mark.parametrize(
        ("top_n", "kind"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), ("3", TypeError)]
    )
    def test_top_n(self, scorer: FakeScorer, top_n: Any, kind: type[Exception]) -> None:
        ranker = ScorerRanker(scorer)
        for ask in (
            lambda: ranker.rank("q", WORDS, top_n=top_n),
            lambda: ranker.rank_many(["q"], [WORDS], top_n=top_n),
            lambda: asyncio.run(ranker.arank("q", WORDS, top_n=top_n)),
            lambda: asyncio.run(ranker.arank_many(["q"], [WORDS], top_n=top_n)),
        ):
            with pytest.raises(kind, match="top_n must be a positive integer or None, got"):
                ask()
        assert scorer.asked == []

    @pytest.mark.parametrize(("threshold", "kind"), [(math.nan, ValueError), ("0.5", TypeError), (True, TypeError)])
    def test_score_threshold(self, scorer: FakeScorer, threshold: Any, kind: type[Exception]) -> None:
        with pytest.raises(kind, match="score_threshold must be a number or None, got"):
            ScorerRanker(scorer).rank("q", WORDS, score_threshold=threshold)
        assert scorer.asked == []

    @pytest.mark.parametrize(
        ("threshold", "kept"),
        [(10**400, 0), (-(10**400), 3), (math.inf, 0), (2, 2)],
        ids=["huge", "-huge", "inf", "int"],
    )
    def test_thresholds_beyond_any_score(self, threshold: float, kept: int) -> None:
        ranker = ScorerRanker(FakeScorer(), activation="identity")
        assert len(ranker.rank("q", WORDS, score_threshold=threshold)) == kept

    @pytest.mark.parametrize(
        ("queries", "documents", "message"),
        [
            (["a", "b"], [["x"]], "2 queries and 1 lists of documents were passed"),
            ("ab", [["x"], ["y"]], "queries must be a list with one entry a query, got str 'ab'"),
            (["a"], "x", "documents must be a list with one entry a query, got str 'x'"),
            (["a", " "], [["x"], ["y"]], r"query\[1\] is empty or blank"),
            (["a", "b"], [["x"], ["y", None]], r"documents\[1\]\[1\] must be a string, got None"),
        ],
    )
    def test_lists(self, scorer: FakeScorer, queries: Any, documents: Any, message: str) -> None:
        ranker = ScorerRanker(scorer)
        with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
            ranker.rank_many(queries, documents)
        with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
            asyncio.run(ranker.arank_many(queries, documents))
        assert scorer.asked == []

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            ("ab", "pairs must be a list of"),
            (["ab"], r"pairs\[0\] must be a \(query, document\) tuple, got str 'ab'"),
            ([("a", "b", "c")], r"pairs\[0\] must be a \(query, document\) tuple"),
            ([("a", None)], r"the document of pairs\[0\] must be a string, got None"),
            ([("a", "b"), (" ", "b")], r"the query of pairs\[1\] is empty or blank"),
        ],
    )
    def test_pairs(self, scorer: FakeScorer, pairs: Any, message: str) -> None:
        ranker = ScorerRanker(scorer)
        with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
            ranker.score(pairs)
        with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
            asyncio.run(ranker.ascore(pairs))
        assert scorer.asked == []

    def test_the_callers_list_is_left_alone(self, scorer: FakeScorer) -> None:
        documents = list(DOCUMENTS)
        ScorerRanker(scorer).rank(QUERY, documents, top_n=2)
        assert documents == DOCUMENTS


@pytest.mark.parametrize("way", WAYS)
def test_half_characters_are_replaced_and_counted(way: str) -> None:
    scorer = FakeScorer()
    answer = ways(ScorerRanker(scorer))[way]("who", ["a", "ab\ud800", "a"])
    assert answer.report.replaced == 1
    assert list(scorer.asked[0][0].documents) == ["a", "ab\ufffd", "a"]
    again = ways(ScorerRanker(scorer))[way]("who \udc00", ["a"])
    assert again.report.replaced == 1


class Watched(str):  # noqa: SLOT000 - a str with a dict, which has room for the threads
    """A text that remembers which threads read it."""

    def __init__(self, _: str) -> None:
        self.threads: set[threading.Thread] = set()

    def strip(self, *args: Any) -> str:
        self.threads.add(threading.current_thread())
        return super().strip(*args)

    def isascii(self) -> bool:
        self.threads.add(threading.current_thread())
        return super().isascii()


@pytest.mark.parametrize("method", ["arank", "arank_many", "ascore"])
async def test_async_checks_its_input_off_the_event_loops_thread(method: str) -> None:
    ranker, texts = ScorerRanker(FakeScorer()), [Watched("query"), Watched("document")]
    calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
        "arank": lambda: ranker.arank(texts[0], texts[1:]),
        "arank_many": lambda: ranker.arank_many(texts[:1], [texts[1:]]),
        "ascore": lambda: ranker.ascore([(texts[0], texts[1])]),
    }
    await calls[method]()
    for text in texts:
        assert text.threads
        assert threading.current_thread() not in text.threads


@pytest.mark.parametrize("method", ["arank", "arank_many", "ascore"])
def test_async_outside_of_asyncio_says_so(method: str) -> None:
    """trio and curio run coroutines themselves, without an asyncio event loop."""
    scorer = FakeScorer()
    ranker = ScorerRanker(scorer)
    calls: dict[str, Coroutine[Any, Any, Any]] = {
        "arank": ranker.arank("who", WORDS),
        "arank_many": ranker.arank_many(["who"], [WORDS]),
        "ascore": ranker.ascore([("who", "a")]),
    }
    with pytest.raises(EventLoopError, match=f"{method} needs a running asyncio event loop. Under trio") as caught:
        calls[method].send(None)
    assert isinstance(caught.value, RuntimeError)
    assert scorer.asked == []
    for each in calls.values():
        each.close()


def test_results_and_reports_can_be_copied_and_pickled() -> None:
    results = ScorerRanker(FakeScorer()).rank(QUERY, DOCUMENTS)
    other = pickle.loads(pickle.dumps(results))
    assert other == results
    assert other.report == results.report
