"""From the scores of a list to its ranking and its report."""

import math
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rerank_plugins import DocumentScore, QueryDocuments, RankResult, Scored, ScoreScale
from rerank_plugins.ranking.activations import identity, sigmoid
from rerank_plugins.ranking.report import Call, Keep, make_report, rank_scored
from rerank_plugins.scores import Timing, Usage

CALL = Call("m", ScoreScale.LOGIT, max_length=64, replaced=0, started_at=0.0)
RAW = [0.5, 3.0, -1.0, 2.0]


def asked(count: int, query: str = "who") -> QueryDocuments:
    return QueryDocuments(query, [f"document {place}" for place in range(count)])


def scored(*raw: float, **fields: object) -> Scored:
    return Scored(scores=[DocumentScore(each) for each in raw], **fields)  # type: ignore[arg-type]


def test_the_best_comes_first_with_its_place_in_the_callers_list() -> None:
    results = rank_scored(scored(*RAW), asked(4), Keep(), identity, CALL)
    assert list(results) == [
        RankResult(1, 3.0, 3.0),
        RankResult(3, 2.0, 2.0),
        RankResult(0, 0.5, 0.5),
        RankResult(2, -1.0, -1.0),
    ]


def test_ties_keep_the_callers_order() -> None:
    results = rank_scored(scored(1.0, 2.0, 1.0, 2.0, 1.0), asked(5), Keep(), identity, CALL)
    assert [result.index for result in results] == [1, 3, 0, 2, 4]


def test_raw_scores_decide_where_the_activation_gives_equal_scores() -> None:
    results = rank_scored(scored(50.0, 60.0), asked(2), Keep(), sigmoid, CALL)
    assert [(result.index, result.score) for result in results] == [(1, 1.0), (0, 1.0)]


def test_top_n_and_the_threshold_keep_the_best() -> None:
    def kept(keep: Keep) -> list[int]:
        results = rank_scored(scored(*RAW), asked(4), keep, sigmoid, CALL)
        assert results.report.kept == len(results)
        assert results.report.candidates == 4
        return [result.index for result in results]

    assert kept(Keep(top_n=3)) == [1, 3, 0]
    assert kept(Keep(top_n=100)) == [1, 3, 0, 2]
    assert kept(Keep(score_threshold=sigmoid(2.0))) == [1, 3]  # a score that equals it is kept
    assert kept(Keep(top_n=1, score_threshold=sigmoid(0.5))) == [1]
    assert kept(Keep(score_threshold=2.0)) == []


def test_a_result_is_truncated_where_its_query_or_its_document_is() -> None:
    scores = [
        DocumentScore(3.0),
        DocumentScore(2.0, query_truncated=True),
        DocumentScore(1.0, document_truncated=True, span=(3, 9)),
    ]
    results = rank_scored(Scored(scores=scores), asked(3), Keep(), identity, CALL)
    assert [(result.truncated, result.span) for result in results] == [(False, None), (True, None), (True, (3, 9))]
    assert (results.report.truncated, results.report.truncated_queries) == (1, 1)


@given(raw=st.lists(st.floats(-20, 20), min_size=2, max_size=30, unique=True), top_n=st.integers(1, 30))
def test_the_report_says_how_far_the_order_moved_and_how_the_scores_are_spread(raw: list[float], top_n: int) -> None:
    results = rank_scored(scored(*raw), asked(len(raw)), Keep(), sigmoid, CALL)
    order, scores = [result.index for result in results], [result.score for result in results]
    report = rank_scored(scored(*raw), asked(len(raw)), Keep(top_n=top_n), sigmoid, CALL).report
    kept = min(top_n, len(raw))
    assert report.top_1_kept is (order[0] == 0)
    assert report.kendall_tau == pytest.approx(kendalltau(range(len(order)), np.argsort(order)).statistic)
    assert report.top_n_overlap == pytest.approx(len(set(range(kept)).intersection(order[:kept])) / kept)
    assert report.scores is not None
    assert report.scores.mean == pytest.approx(np.mean(scores))
    assert report.scores.spread == pytest.approx(np.std(scores), abs=1e-12)
    assert (report.scores.highest, report.scores.lowest) == (max(scores), min(scores))
    assert report.scores.gap == pytest.approx(scores[0] - scores[1])


def test_the_order_of_one_document_and_of_none() -> None:
    alone = rank_scored(scored(1.0), asked(1), Keep(), identity, CALL).report
    assert (alone.top_1_kept, alone.kendall_tau, alone.top_n_overlap) == (True, None, 1.0)
    assert alone.scores is not None
    assert alone.scores.gap is None
    nothing = rank_scored(scored(), asked(0), Keep(), identity, CALL).report
    assert (nothing.top_1_kept, nothing.kendall_tau, nothing.top_n_overlap, nothing.scores) == (None, None, None, None)
    dropped = rank_scored(scored(1.0), asked(1), Keep(score_threshold=2.0), identity, CALL).report
    assert (dropped.kept, dropped.top_n_overlap) == (0, None)


def test_a_report_sums_up_the_lists_of_one_call() -> None:
    usage = Usage(scored=2, cached=1, windows=3, tokens=40, padding=5)
    timing = Timing(queue=0.1, tokenize=0.2, forward=0.3)
    lists = [
        scored(1.0, 2.0, usage=usage, timing=timing, unreadable=Counter({"Chinese": 2})),
        scored(3.0, usage=usage, timing=timing, unreadable=Counter({"Russian": 1}), fallback="too large"),
    ]
    call = Call("m", ScoreScale.LOG_ODDS, max_length=64, replaced=7, started_at=time.perf_counter())
    report = make_report(lists, [asked(2), asked(1, "what")], [1.0, 2.0, 3.0], call)
    assert (report.model, report.scale, report.candidates, report.kept) == ("m", "log-odds", 3, 3)
    assert (report.scored, report.cached, report.windows) == (4, 2, 6)
    assert (report.tokens, report.padding) == (80, 10)
    assert (report.unreadable, report.replaced, report.max_length) == (3, 7, 64)
    # The lists share the times of the call.
    assert (report.queue_seconds, report.tokenize_seconds, report.forward_seconds) == (0.1, 0.2, 0.3)
    assert report.seconds >= 0
    assert report.fallback == "too large"
    assert report.error is None
    # Pairs have no order to compare with.
    assert (report.top_1_kept, report.kendall_tau, report.top_n_overlap) == (None, None, None)


def test_a_query_counts_once_among_the_truncated_ones() -> None:
    cut = Scored(scores=[DocumentScore(1.0, query_truncated=True)] * 3)
    whole = scored(1.0)
    queries = [asked(3, "long"), asked(3, "long"), asked(3, "other"), asked(1, "short")]
    report = make_report([cut, cut, cut, whole], queries, [], CALL)
    assert (report.truncated_queries, report.truncated) == (2, 0)


def test_nothing_that_was_asked_is_a_report_too() -> None:
    report = make_report([], [], [], CALL)
    assert (report.candidates, report.tokens, report.queue_seconds, report.scores) == (0, 0, 0.0, None)


def test_scores_that_are_far_apart_have_a_spread() -> None:
    report = make_report([scored(1e300, -1e300)], [asked(2)], [1e150, -1e150], CALL)
    assert report.scores is not None
    assert math.isclose(report.scores.spread, 1e150)
