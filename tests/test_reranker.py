"""The contract of `Reranker`, over every architecture and both backends."""

import asyncio
import copy
import gc
import math
import pickle
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rerank_plugins import (
    ClosedError,
    InvalidTypeError,
    InvalidValueError,
    RankResult,
    RerankConfig,
    Reranker,
    UnreadableTextWarning,
)
from rerank_plugins.backends.base import RawScores
from rerank_plugins.text.pairs import EncodedPair
from tests.event_loop import MANY, assert_documents_are_handled_elsewhere, assert_models_run_elsewhere, long_texts
from tests.texts import DOCUMENTS, QUERY, mixed_lengths

# fp32 differs in the last digits with the shape of a batch; int8 runs each pair alone.
TOLERANCE = 1e-4

OpenReranker = Callable[..., Reranker]


def logits(results: list[RankResult]) -> list[float]:
    """The logits in the caller's order."""
    return [result.raw_score for result in sorted(results, key=lambda each: each.index)]


def test_ranks_every_document_once_best_first(reranker: Reranker) -> None:
    results = reranker.rank(QUERY, DOCUMENTS)
    assert sorted(result.index for result in results) == list(range(len(DOCUMENTS)))
    assert [result.raw_score for result in results] == sorted((result.raw_score for result in results), reverse=True)
    assert len({result.raw_score for result in results}) > 3


def test_scores_are_python_floats_after_the_activation(reranker: Reranker) -> None:
    for result in reranker.rank(QUERY, DOCUMENTS):
        assert type(result.score) is float
        assert type(result.raw_score) is float
        assert result.score == pytest.approx(1 / (1 + math.exp(-result.raw_score)))


def test_score_gives_the_scores_of_rank_in_the_order_given(reranker: Reranker) -> None:
    ranked = {result.index: result.score for result in reranker.rank(QUERY, DOCUMENTS)}
    scores = reranker.score([(QUERY, document) for document in DOCUMENTS])
    assert scores == pytest.approx([ranked[index] for index in range(len(DOCUMENTS))], abs=TOLERANCE)
    assert scores.report.candidates == len(DOCUMENTS)


def test_score_takes_different_queries(reranker: Reranker) -> None:
    pairs = [(QUERY, DOCUMENTS[1]), ("what is the capital of france", DOCUMENTS[1])]
    one_by_one = [reranker.score([pair])[0] for pair in pairs]
    assert reranker.score(pairs) == pytest.approx(one_by_one, abs=TOLERANCE)
    assert one_by_one[0] != pytest.approx(one_by_one[1], abs=TOLERANCE)


def test_top_n_keeps_the_best(reranker: Reranker) -> None:
    everything = reranker.rank(QUERY, DOCUMENTS)
    assert reranker.rank(QUERY, DOCUMENTS, top_n=3) == everything[:3]
    assert reranker.rank(QUERY, DOCUMENTS, top_n=100) == everything


def test_score_threshold_applies_to_scores_before_top_n(reranker: Reranker) -> None:
    everything = reranker.rank(QUERY, DOCUMENTS)
    threshold = everything[2].score
    assert reranker.rank(QUERY, DOCUMENTS, score_threshold=threshold) == everything[:3]
    assert reranker.rank(QUERY, DOCUMENTS, score_threshold=threshold, top_n=1) == everything[:1]
    assert reranker.rank(QUERY, DOCUMENTS, score_threshold=2.0) == []


def test_identical_documents_tie_exactly_and_keep_their_order(reranker: Reranker) -> None:
    results = reranker.rank(QUERY, [DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0]])
    places = [result.index for result in results]
    assert places in ([0, 2, 4, 1, 3], [1, 3, 0, 2, 4])
    assert len({result.raw_score for result in results}) == 2
    assert results.report.scored == 2


def test_no_documents_give_no_results(reranker: Reranker) -> None:
    results = reranker.rank(QUERY, [])
    assert results == []
    assert results.report.candidates == results.report.kept == results.report.tokens == 0
    assert reranker.score([]) == []


@pytest.mark.parametrize("max_batch_tokens", [1, 40, 200, 100_000])
def test_scores_do_not_depend_on_batches(
    implementation: str, open_reranker: OpenReranker, max_batch_tokens: int
) -> None:
    documents = mixed_lengths(40)
    with (
        open_reranker(implementation) as whole,
        open_reranker(implementation, max_batch_tokens=max_batch_tokens) as other,
    ):
        alone = [whole.rank(QUERY, [document])[0].raw_score for document in documents]
        assert logits(other.rank(QUERY, documents)) == pytest.approx(alone, abs=TOLERANCE)


def test_scores_do_not_depend_on_the_order_of_documents(reranker: Reranker) -> None:
    documents = mixed_lengths(20)
    forwards = logits(reranker.rank(QUERY, documents))
    backwards = logits(reranker.rank(QUERY, documents[::-1]))
    assert backwards[::-1] == pytest.approx(forwards, abs=TOLERANCE)


def test_sixteen_threads_with_mixed_lengths_give_the_scores_of_one(
    implementation: str, open_reranker: OpenReranker
) -> None:
    lengths = [16, 24, 48, 128]
    rerankers = [open_reranker(implementation, max_length=length) for length in lengths]
    lists = [mixed_lengths(12, seed=seed) for seed in range(8)]
    work = [(reranker, documents) for reranker in rerankers for documents in lists] * 2
    alone = [logits(reranker.rank(QUERY, documents)) for reranker, documents in work]
    start = threading.Barrier(16)

    def run(place: int) -> list[list[float]]:
        start.wait()
        return [logits(reranker.rank(QUERY, documents)) for reranker, documents in work[place::16]]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(run, range(16)))
    for place, mine in enumerate(answers):
        for got, expected in zip(mine, alone[place::16], strict=True):
            assert got == pytest.approx(expected, abs=TOLERANCE)
    for reranker in rerankers:
        reranker.close()


async def test_async_gives_the_results_of_sync(reranker: Reranker) -> None:
    assert await reranker.arank(QUERY, DOCUMENTS, top_n=3) == reranker.rank(QUERY, DOCUMENTS, top_n=3)
    pairs = [(QUERY, document) for document in DOCUMENTS]
    assert await reranker.ascore(pairs) == reranker.score(pairs)


async def test_async_keeps_the_model_off_the_event_loop(open_reranker: OpenReranker) -> None:
    with open_reranker("bert-onnx", max_length=16) as reranker:
        await assert_models_run_elsewhere(partial(reranker.arank, QUERY))
        await assert_models_run_elsewhere(lambda texts: reranker.ascore([(QUERY, text) for text in texts]))


@pytest.mark.xfail(reason="arank and ascore validate their input on the event loop's thread")
@pytest.mark.parametrize("method", ["arank", "ascore"])
async def test_many_long_documents_do_not_block_the_event_loop(open_reranker: OpenReranker, method: str) -> None:
    with open_reranker("bert-onnx", max_length=16) as reranker:

        async def ask(texts: list[str]) -> None:
            await (reranker.arank(QUERY, texts) if method == "arank" else reranker.ascore(pairs[: len(texts)]))

        pairs = [(QUERY, text) for text in long_texts(MANY)]
        await assert_documents_are_handled_elsewhere(ask)


def test_one_reranker_serves_several_event_loops(bert: Reranker) -> None:
    async def ask() -> list[RankResult]:
        answers = await asyncio.gather(*(bert.arank(QUERY, DOCUMENTS) for _ in range(5)))
        return answers[0]

    # Callers share batches, whose shape shows in the last digits.
    expected = pytest.approx(logits(bert.rank(QUERY, DOCUMENTS)), abs=TOLERANCE)
    assert logits(asyncio.run(ask())) == expected
    with ThreadPoolExecutor(4) as threads:
        for answer in threads.map(lambda _: asyncio.run(ask()), range(4)):
            assert logits(answer) == expected


@pytest.mark.parametrize("name", ["bert", "bert-onnx", "embedded"])
def test_closing_while_others_rank_loses_nothing(open_reranker: OpenReranker, name: str) -> None:
    for _ in range(5):
        reranker = open_reranker(name)
        expected = len(DOCUMENTS)
        start = threading.Barrier(5)

        def rank(reranker: Reranker = reranker, start: threading.Barrier = start) -> int | None:
            start.wait()
            try:
                return len(reranker.rank(QUERY, DOCUMENTS))
            except ClosedError:
                return None

        with ThreadPoolExecutor(4, thread_name_prefix="rerank") as threads:
            answers = [threads.submit(rank) for _ in range(4)]
            start.wait()
            reranker.close()
        assert {answer.result() for answer in answers} <= {expected, None}


class TestTruncation:
    """Documents are cut, queries kept, and the caller hears of it."""

    def test_a_long_document_is_cut_and_said_so(self, reranker: Reranker) -> None:
        results = reranker.rank(QUERY, ["hamlet " * 2000, DOCUMENTS[1]])
        assert {result.index: result.truncated for result in results} == {0: True, 1: False}
        assert results.report.truncated == 1
        assert results.report.truncated_queries == 0

    def test_what_lies_beyond_the_length_does_not_matter(
        self, implementation: str, open_reranker: OpenReranker
    ) -> None:
        with open_reranker(implementation, max_length=32) as reranker:
            long = "bread is baked " * 20
            results = reranker.rank(QUERY, [long + "shakespeare wrote hamlet", long + "aspirin relieves headache"])
        assert results[0].raw_score == pytest.approx(results[1].raw_score, abs=TOLERANCE)
        assert all(result.truncated for result in results)

    def test_a_query_that_leaves_no_room_is_cut_to_three_quarters(
        self, implementation: str, open_reranker: OpenReranker
    ) -> None:
        with open_reranker(implementation, max_length=64) as reranker:
            results = reranker.rank("hamlet " * 100, DOCUMENTS)
            assert results.report.truncated_queries == 1
            assert all(result.truncated for result in results)
            assert len({result.raw_score for result in results}) > 3

    def test_a_pair_that_just_fits_is_not_cut(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert", max_length=32) as reranker:  # 3 special tokens and 3 of the query leave 26
            fits, does_not = reranker.rank(QUERY, ["hamlet " * 26, "hamlet " * 27])
        assert {fits.index: fits.truncated, does_not.index: does_not.truncated} == {0: False, 1: True}

    def test_max_length_is_the_models_own_where_nothing_else_is_asked_for(self, open_reranker: OpenReranker) -> None:
        with open_reranker("embedded") as own, open_reranker("embedded", max_length=512) as asked:
            assert (own.max_length, asked.max_length) == (256, 512)
        with open_reranker("xlm-roberta") as reranker:
            assert reranker.max_length == 512

    def test_max_length_is_capped_by_what_the_model_takes(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert", max_length=4096) as reranker:
            assert reranker.max_length == 512
            assert reranker.rank(QUERY, ["hamlet " * 5000])[0].truncated
        with open_reranker("xlm-roberta", max_length=4096) as reranker:
            assert reranker.max_length == 512  # 514 positions, of which two are never used
            assert reranker.rank(QUERY, ["hamlet " * 5000])[0].truncated
        with open_reranker("embedded", max_length=4096) as reranker:
            assert reranker.max_length == 1024  # 512 for each segment
            assert reranker.rank(QUERY, ["hamlet " * 5000])[0].truncated


class TestBadInput:
    """Errors name the value, what is wrong and the remedy, and are ValueError or TypeError too."""

    @pytest.mark.parametrize(
        ("query", "documents", "kind", "message"),
        [
            ("", ["a"], ValueError, "query is empty or blank, got ''"),
            (" \n", ["a"], ValueError, "query is empty or blank"),
            (None, ["a"], TypeError, "query must be a string, got None"),
            (
                QUERY,
                "a document",
                TypeError,
                r"documents must be a list of strings, got str 'a document'.*\[document\]",
            ),
            (QUERY, None, TypeError, "documents must be a list of strings, got None"),
            (QUERY, (text for text in DOCUMENTS), TypeError, "list of strings, got generator"),
            (QUERY, {"a": "b"}, TypeError, "list of strings, got dict"),
            (QUERY, ["a", None], TypeError, r"documents\[1\] must be a string, got None"),
            (QUERY, [b"a"], TypeError, r"documents\[0\] must be a string, got bytes b'a'"),
            (QUERY, ["a", 3], TypeError, r"documents\[1\] must be a string, got int 3"),
            (QUERY, ["ab\ud800"], ValueError, r"documents\[0\] holds a lone surrogate, '\\ud800' at character 2"),
        ],
    )
    def test_queries_and_documents(
        self, bert: Reranker, query: str, documents: list[str], kind: type[Exception], message: str
    ) -> None:
        with pytest.raises(kind, match=message) as caught:
            bert.rank(query, documents)
        assert isinstance(caught.value, InvalidTypeError | InvalidValueError)

    @pytest.mark.parametrize(
        ("top_n", "kind"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), ("3", TypeError)]
    )
    def test_top_n(self, bert: Reranker, top_n: object, kind: type[Exception]) -> None:
        with pytest.raises(kind, match="top_n must be a positive integer or None, got"):
            bert.rank(QUERY, DOCUMENTS, top_n=top_n)

    @pytest.mark.parametrize(("threshold", "kind"), [(math.nan, ValueError), ("0.5", TypeError), (True, TypeError)])
    def test_score_threshold(self, bert: Reranker, threshold: object, kind: type[Exception]) -> None:
        with pytest.raises(kind, match="score_threshold must be a number or None, got"):
            bert.rank(QUERY, DOCUMENTS, score_threshold=threshold)

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
    def test_pairs(self, bert: Reranker, pairs: object, message: str) -> None:
        with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
            bert.score(pairs)

    async def test_async_checks_the_same(self, bert: Reranker) -> None:
        with pytest.raises(InvalidValueError, match="query is empty"):
            await bert.arank("", ["a"])
        with pytest.raises(InvalidTypeError, match="top_n must be"):
            await bert.arank(QUERY, DOCUMENTS, top_n="3")

    def test_the_callers_list_is_left_alone(self, bert: Reranker) -> None:
        documents = list(DOCUMENTS)
        bert.rank(QUERY, documents, top_n=2)
        assert documents == DOCUMENTS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(st.text(max_size=200), max_size=8), top_n=st.none() | st.integers(1, 10))
def test_any_text_is_ranked(bert: Reranker, documents: list[str], top_n: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreadableTextWarning)
        results = bert.rank(QUERY, documents, top_n=top_n)
    assert len(results) == min(len(documents), top_n or len(documents))
    assert len({result.index for result in results}) == len(results)


def test_unknown_text_is_reported_and_warned_of_once(open_reranker: OpenReranker) -> None:
    with open_reranker("bert") as reranker:
        with pytest.warns(UnreadableTextWarning, match="hardly knows 2 of these texts.*BAAI/bge-reranker-v2-m3"):
            results = reranker.rank("苹果公司最新发布的功能", ["苹果发布会介绍新款iPhone和健康功能", "apple"])
        assert results.report.unreadable == 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert reranker.rank("苹果公司", ["apple"]).report.unreadable == 1
    with open_reranker("xlm-roberta") as reranker:
        assert reranker.rank("苹果公司最新发布的功能", ["苹果发布会介绍新款"]).report.unreadable == 0


def test_identity_activation_gives_the_logit(open_reranker: OpenReranker) -> None:
    with open_reranker("bert", activation="identity") as reranker:
        results = reranker.rank(QUERY, DOCUMENTS)
        assert [result.score for result in results] == [result.raw_score for result in results]
        assert reranker.activation == "identity"


def test_report_tells_what_was_done(bert: Reranker) -> None:
    report = bert.rank(QUERY, DOCUMENTS, top_n=2).report
    assert (report.model, report.candidates, report.kept, report.scored) == (bert.model, len(DOCUMENTS), 2, 7)
    words = sum(len(document.split()) for document in DOCUMENTS)
    assert report.tokens == words + len(DOCUMENTS) * (3 + 3)  # 3 of the query and 3 special tokens a pair
    assert report.error is None
    assert 0 < report.tokenize_seconds < report.seconds
    assert 0 < report.forward_seconds < report.seconds


def test_report_tells_how_far_the_order_moved_and_how_the_scores_lie(reranker: Reranker) -> None:
    results = reranker.rank(QUERY, DOCUMENTS)
    order, scores = [result.index for result in results], [result.score for result in results]
    kept = reranker.rank(QUERY, DOCUMENTS, top_n=3).report
    assert kept.top_1_kept is (order[0] == 0)
    assert kept.kendall_tau == pytest.approx(kendalltau(range(len(order)), np.argsort(order)).statistic)
    assert kept.top_n_overlap == pytest.approx(len({0, 1, 2}.intersection(order[:3])) / 3)
    assert kept.scores is not None
    assert kept.scores.mean == pytest.approx(np.mean(scores))
    assert kept.scores.spread == pytest.approx(np.std(scores))
    assert (kept.scores.highest, kept.scores.lowest) == (max(scores), min(scores))
    assert kept.scores.gap == pytest.approx(scores[0] - scores[1])
    assert kept.max_length == reranker.max_length
    alone, nothing = reranker.rank(QUERY, DOCUMENTS[:1]).report, reranker.rank(QUERY, []).report
    assert (alone.top_1_kept, alone.kendall_tau, alone.top_n_overlap) == (True, None, 1.0)
    assert (nothing.top_1_kept, nothing.scores) == (None, None)
    assert reranker.score([(QUERY, DOCUMENTS[0])]).report.kendall_tau is None


class TestLifetime:
    """Models are loaded once a process, shared, freed, copied by reference and pickled by name."""

    def test_the_same_model_is_loaded_once(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert") as one, open_reranker("bert", max_length=64, activation="identity") as other:
            assert one._loaded is other._loaded

    def test_other_numbers_are_another_load(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert") as one, open_reranker("bert-onnx") as other:
            assert one._loaded is not other._loaded

    def test_many_threads_load_a_model_once(self, open_reranker: OpenReranker) -> None:
        with ThreadPoolExecutor(16) as threads:
            opened = list(threads.map(lambda _: open_reranker("embedded"), range(16)))
        assert len({id(reranker._loaded) for reranker in opened}) == 1
        for reranker in opened:
            reranker.close()

    def test_what_loads_a_model_leaves_no_thread_behind(self, open_reranker: OpenReranker) -> None:
        """A thread that computed with torch, and lives, slows the one that scores."""
        from rerank_plugins.models import registry as loaded

        forward, ran_in = loaded.LoadedModel._run, []

        def run(model: loaded.LoadedModel, pairs: Sequence[EncodedPair]) -> RawScores:
            ran_in.append(threading.current_thread())
            return forward(model, pairs)

        with patch.object(loaded.LoadedModel, "_run", run), open_reranker("modernbert"):
            pass
        assert ran_in
        assert threading.main_thread() not in ran_in
        assert not any(thread.is_alive() for thread in ran_in)

    def test_closing_one_leaves_the_other_working(self, open_reranker: OpenReranker) -> None:
        one, other = open_reranker("bert"), open_reranker("bert")
        one.close()
        one.close()
        assert len(other.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)
        other.close()

    def test_a_closed_reranker_says_so(self, reranker: Reranker) -> None:
        reranker.close()
        with pytest.raises(ClosedError, match=r"was closed\. Make a new one"):
            reranker.rank(QUERY, DOCUMENTS)
        with pytest.raises(ClosedError, match="was closed"):
            reranker.score([(QUERY, "a")])

    def test_a_forgotten_reranker_frees_its_model(self, open_reranker: OpenReranker) -> None:
        from rerank_plugins.models import registry as loaded

        before = len(loaded._registry.slots)
        reranker = open_reranker("modernbert")
        assert len(loaded._registry.slots) == before + 1
        del reranker
        assert len(loaded._registry.slots) == before

    def test_closing_frees_the_weights(self, open_reranker: OpenReranker) -> None:
        reranker = open_reranker("modernbert")
        weights = weakref.ref(reranker._loaded.backend._model)
        reranker.close()
        gc.collect()
        assert weights() is None

    def test_a_failed_load_leaves_nothing_behind(self, open_reranker: OpenReranker) -> None:
        from rerank_plugins.models import registry as loaded

        before = len(loaded._registry.slots)
        with pytest.raises(InvalidValueError, match="dtype='fp16'"):
            open_reranker("bert", dtype="fp16", device="cpu")
        assert len(loaded._registry.slots) == before

    def test_copies_are_the_same_object(self, bert: Reranker) -> None:
        assert copy.copy(bert) is bert
        assert copy.deepcopy(bert) is bert

    def test_pickling_loads_again(self, bert: Reranker) -> None:
        other = pickle.loads(pickle.dumps(bert))
        assert other is not bert
        assert other.rank(QUERY, DOCUMENTS) == bert.rank(QUERY, DOCUMENTS)

    def test_from_config_equals_the_constructor(self, bert: Reranker) -> None:
        assert Reranker.from_config(RerankConfig(model=bert.model)).rank(QUERY, DOCUMENTS) == bert.rank(
            QUERY, DOCUMENTS
        )

    def test_repr_names_model_and_place(self, bert: Reranker) -> None:
        assert repr(bert).endswith("bert', backend='torch', device='cpu', dtype='fp32')")


def test_results_and_reports_can_be_copied_and_pickled(bert: Reranker) -> None:
    results = bert.rank(QUERY, DOCUMENTS)
    for other in (pickle.loads(pickle.dumps(results)), copy.deepcopy(results)):
        assert other == results
        assert other.report == results.report
