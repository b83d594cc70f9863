"""The contract of `Reranker`, for every architecture and both backends."""

import asyncio
import copy
import math
import pickle
import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank_plugins import (
    ClosedError,
    DeadlineExceededError,
    InvalidTypeError,
    InvalidValueError,
    RankResult,
    RerankConfig,
    Reranker,
    UnreadableTextWarning,
)
from rerank_plugins.models.source import EMBEDDED_FOLDER
from tests.fakes import controlled
from tests.texts import DOCUMENTS, QUERY, mixed_lengths

# fp32 differs in the last digits with the shape of a batch; int8 runs each pair alone.
TOLERANCE = 1e-4
# A window read alone has other token ids around it than in its document, which int8 shows more of.
INT8 = 0.02

OpenReranker = Callable[..., Reranker]


def logits(results: Sequence[RankResult]) -> list[float]:
    """The logits in the caller's order."""
    return [result.raw_score for result in sorted(results, key=lambda each: each.index)]


class TestScores:
    """Of every implementation."""

    def test_every_document_is_ranked_once_best_first(self, reranker: Reranker) -> None:
        results = reranker.rank(QUERY, DOCUMENTS)
        assert sorted(result.index for result in results) == list(range(len(DOCUMENTS)))
        raw = [result.raw_score for result in results]
        assert raw == sorted(raw, reverse=True)
        assert len(set(raw)) > 3
        assert reranker.rank(QUERY, DOCUMENTS, top_n=3) == results[:3]
        assert reranker.rank(QUERY, DOCUMENTS, score_threshold=results[2].score) == results[:3]

    def test_scores_are_python_floats_after_the_activation(self, reranker: Reranker) -> None:
        for result in reranker.rank(QUERY, DOCUMENTS):
            assert type(result.score) is float
            assert type(result.raw_score) is float
            assert result.score == pytest.approx(1 / (1 + math.exp(-result.raw_score)))

    def test_every_way_to_ask_gives_the_same(self, reranker: Reranker) -> None:
        expected = reranker.rank(QUERY, DOCUMENTS)
        scores = pytest.approx([each.score for each in sorted(expected, key=lambda each: each.index)], abs=TOLERANCE)
        pairs = [(QUERY, document) for document in DOCUMENTS]
        assert reranker.score(pairs) == scores
        assert asyncio.run(reranker.ascore(pairs)) == scores
        for results in (
            reranker.rank_many([QUERY], [DOCUMENTS])[0],
            asyncio.run(reranker.arank(QUERY, DOCUMENTS)),
            asyncio.run(reranker.arank_many(["what", QUERY], [[], DOCUMENTS]))[1],
        ):
            assert logits(results) == pytest.approx(logits(expected), abs=TOLERANCE)

    def test_queries_matter(self, reranker: Reranker) -> None:
        pairs = [(QUERY, DOCUMENTS[1]), ("what is the capital of france", DOCUMENTS[1])]
        one_by_one = [reranker.score([pair])[0] for pair in pairs]
        assert reranker.score(pairs) == pytest.approx(one_by_one, abs=TOLERANCE)
        assert one_by_one[0] != pytest.approx(one_by_one[1], abs=TOLERANCE)

    def test_identical_documents_tie_exactly_and_keep_their_order(self, reranker: Reranker) -> None:
        results = reranker.rank(QUERY, [DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0]])
        assert [result.index for result in results] in ([0, 2, 4, 1, 3], [1, 3, 0, 2, 4])
        assert len({result.raw_score for result in results}) == 2
        assert results.report.scored == 2

    def test_no_documents_give_no_results(self, reranker: Reranker) -> None:
        results = reranker.rank(QUERY, [])
        assert results == []
        assert results.report.candidates == results.report.kept == results.report.tokens == 0
        assert reranker.score([]) == []

    @pytest.mark.parametrize("max_batch_tokens", [1, 40, 200, 100_000])
    def test_scores_do_not_depend_on_batches(
        self, implementation: str, open_reranker: OpenReranker, max_batch_tokens: int
    ) -> None:
        documents = mixed_lengths(40)
        with (
            open_reranker(implementation) as whole,
            open_reranker(implementation, max_batch_tokens=max_batch_tokens) as other,
        ):
            alone = [whole.rank(QUERY, [document])[0].raw_score for document in documents]
            assert logits(other.rank(QUERY, documents)) == pytest.approx(alone, abs=TOLERANCE)
            backwards = logits(other.rank(QUERY, documents[::-1]))
            assert backwards[::-1] == pytest.approx(alone, abs=TOLERANCE)

    def test_the_report_counts_pairs_and_tokens(self, bert: Reranker) -> None:
        report = bert.rank(QUERY, DOCUMENTS, top_n=2).report
        assert (report.model, report.candidates, report.kept, report.scored) == (bert.model, len(DOCUMENTS), 2, 7)
        words = sum(len(document.split()) for document in DOCUMENTS)
        assert report.tokens == words + len(DOCUMENTS) * (3 + 3)  # 3 of the query and 3 special tokens a pair
        assert (report.scale, report.max_length, report.error) == ("logit", bert.max_length, None)
        assert 0 < report.tokenize_seconds < report.seconds
        assert 0 < report.forward_seconds < report.seconds

    def test_the_activation_asked_for_is_used(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert", activation="identity") as reranker:
            results = reranker.rank(QUERY, DOCUMENTS)
            assert [result.score for result in results] == [result.raw_score for result in results]
            assert reranker.activation == "identity"

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(documents=st.lists(st.text(max_size=200), max_size=8), top_n=st.none() | st.integers(1, 10))
    def test_any_text_is_ranked(self, bert: Reranker, documents: list[str], top_n: int | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnreadableTextWarning)
            results = bert.rank(QUERY, documents, top_n=top_n)
        assert len(results) == min(len(documents), top_n or len(documents))
        assert len({result.index for result in results}) == len(results)

    @pytest.mark.parametrize(
        ("name", "tolerance"), [("bert", TOLERANCE), ("xlm-roberta-onnx", TOLERANCE), ("embedded", INT8)]
    )
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        seed=st.integers(0, 1000),
        budget=st.sampled_from([1, 200, 16_384]),
        long_documents=st.sampled_from(["truncate", "windows"]),
        max_length=st.sampled_from([24, 64]),
        cached=st.booleans(),
        callers=st.integers(1, 4),
        coroutines=st.booleans(),
    )
    def test_as_one_pair_at_a_time(
        self,
        open_reranker: OpenReranker,
        name: str,
        tolerance: float,
        seed: int,
        budget: int,
        long_documents: str,
        max_length: int,
        cached: bool,
        callers: int,
        coroutines: bool,
    ) -> None:
        """Batching, threads, coroutines, windows and the cache change no score."""
        lists = [mixed_lengths(8, seed=seed + caller) for caller in range(callers)]
        options = {"max_length": max_length, "long_documents": long_documents}
        with (
            open_reranker(name, **options) as plain,
            open_reranker(name, max_batch_tokens=budget, cache="memory" if cached else None, **options) as engine,
        ):
            alone = [[plain.rank(QUERY, [document])[0] for document in documents] for documents in lists]
            for _ in range(2):
                if coroutines:
                    answers = asyncio.run(rank_all(engine, lists))
                else:
                    with ThreadPoolExecutor(callers) as threads:
                        answers = list(threads.map(lambda documents: engine.rank(QUERY, documents), lists))
                for answer, expected in zip(answers, alone, strict=True):
                    assert logits(answer) == pytest.approx([each.raw_score for each in expected], abs=tolerance)
                    assert {each.index: (each.truncated, each.span) for each in answer} == {
                        index: (each.truncated, each.span) for index, each in enumerate(expected)
                    }


class TestTruncation:
    """Documents are truncated, queries are kept, and the report says so."""

    def test_a_long_document_is_truncated_and_flagged(self, reranker: Reranker) -> None:
        results = reranker.rank(QUERY, ["hamlet " * 2000, DOCUMENTS[1]])
        assert {result.index: result.truncated for result in results} == {0: True, 1: False}
        assert (results.report.truncated, results.report.truncated_queries) == (1, 0)

    def test_what_lies_beyond_the_length_does_not_matter(
        self, implementation: str, open_reranker: OpenReranker
    ) -> None:
        with open_reranker(implementation, max_length=32) as reranker:
            long = "bread is baked " * 20
            results = reranker.rank(QUERY, [long + "shakespeare wrote hamlet", long + "aspirin relieves headache"])
        assert results[0].raw_score == pytest.approx(results[1].raw_score, abs=TOLERANCE)
        assert all(result.truncated for result in results)

    def test_a_query_that_leaves_no_room_is_truncated_to_three_quarters(
        self, implementation: str, open_reranker: OpenReranker
    ) -> None:
        with open_reranker(implementation, max_length=64) as reranker:
            results = reranker.rank("hamlet " * 100, DOCUMENTS)
            assert results.report.truncated_queries == 1
            assert all(result.truncated for result in results)
            assert len({result.raw_score for result in results}) > 3

    @pytest.mark.parametrize(
        ("name", "longest"),
        [
            ("bert", 512),
            ("xlm-roberta", 512),  # 514 positions, of which two are never used
            ("embedded", 1024),  # 512 for each segment
        ],
    )
    def test_max_length_is_capped_by_what_the_model_takes(
        self, open_reranker: OpenReranker, name: str, longest: int
    ) -> None:
        with open_reranker(name, max_length=4096) as reranker:
            assert reranker.max_length == longest
            assert reranker.rank(QUERY, ["hamlet " * 5000])[0].truncated

    def test_max_length_is_the_models_own_where_nothing_else_is_asked_for(self, open_reranker: OpenReranker) -> None:
        with open_reranker("embedded") as own, open_reranker("embedded", max_length=512) as asked:
            assert (own.max_length, asked.max_length) == (256, 512)

    @pytest.mark.parametrize("name", ["bert", "xlm-roberta", "embedded"])
    def test_the_score_is_that_of_the_best_window_read_alone(self, open_reranker: OpenReranker, name: str) -> None:
        document = " ".join(mixed_lengths(8, seed=3))
        with open_reranker(name, max_length=32, long_documents="windows") as reranker:
            (result,) = reranker.rank(QUERY, [document])
            start, end = result.span or (0, 0)
            (alone,) = reranker.rank(QUERY, [document[start:end]])
        assert alone.span is None
        assert result.raw_score == pytest.approx(alone.raw_score, abs=INT8 if name == "embedded" else TOLERANCE)

    def test_with_windows_what_stands_at_the_end_counts(self, open_reranker: OpenReranker) -> None:
        long = "bread is baked " * 40
        needle, other = f"{long}shakespeare wrote hamlet", f"{long}aspirin relieves headache"
        with open_reranker("embedded", max_length=48, long_documents="windows") as windows:
            results = windows.rank(QUERY, [other, needle])
        assert [result.index for result in results] == [1, 0]
        assert not any(result.truncated for result in results)
        start, end = results[0].span or (0, 0)
        assert "shakespeare wrote hamlet" in needle[start:end]
        assert (results.report.windows, results.report.truncated) == (6, 0)

    @pytest.mark.parametrize("long_documents", ["truncate", "windows"])
    def test_a_document_that_fits_is_read_as_one(self, open_reranker: OpenReranker, long_documents: str) -> None:
        with open_reranker("bert", long_documents=long_documents) as reranker:
            results = reranker.rank(QUERY, DOCUMENTS)
        assert {result.span for result in results} == {None}
        assert results.report.windows == 0


def test_unreadable_text_is_reported_and_warned_of_once(open_reranker: OpenReranker, tmp_path: Path) -> None:
    folder = shutil.copytree(EMBEDDED_FOLDER, tmp_path / "m")  # a model that nobody else has been warned of
    with Reranker(folder) as reranker:
        with pytest.warns(UnreadableTextWarning, match="Chinese.*BAAI/bge-reranker-v2-m3"):
            results = reranker.rank("苹果公司最新发布的功能", ["苹果发布会介绍新款iPhone和健康功能", "apple"])
        assert results.report.unreadable == 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert reranker.rank("苹果公司", ["apple"]).report.unreadable == 1
        with pytest.warns(UnreadableTextWarning, match="Russian|Cyrillic"):
            reranker.rank("столица Франции", ["Париж является главным городом Французской Республики."])
    with open_reranker("xlm-roberta") as reranker:
        assert reranker.rank("苹果公司最新发布的功能", ["苹果发布会介绍新款"]).report.unreadable == 0


class TestOptions:
    """That reach the engine."""

    def test_the_cache(self, open_reranker: OpenReranker) -> None:
        documents = [*DOCUMENTS, "bread is baked " * 50, DOCUMENTS[0]]
        for long_documents in ("truncate", "windows"):
            with open_reranker("bert", max_length=32, cache="memory", long_documents=long_documents) as reranker:
                first, second = reranker.rank(QUERY, documents), reranker.rank(QUERY, documents)
                assert second == first
                assert (first.report.scored, first.report.cached) == (len(documents) - 1, 0)
                assert (second.report.scored, second.report.cached) == (0, len(documents) - 1)
                assert second.report.tokens == 0
                assert second.report.truncated == first.report.truncated == (long_documents == "truncate")

    @pytest.mark.parametrize(
        ("cache", "kind", "message"),
        [
            (3, InvalidTypeError, "cache must be 'memory', a Redis URL or a ScoreCache, got int"),
            ("disk", InvalidValueError, "cache must be 'memory' or a Redis URL .*got 'disk'"),
        ],
    )
    def test_what_is_not_a_cache_is_refused(self, cache: Any, kind: type[Exception], message: str) -> None:
        with pytest.raises(kind, match=message):
            Reranker(cache=cache)

    async def test_the_timeout(self, open_reranker: OpenReranker) -> None:
        backend, controls = controlled()
        with open_reranker("bert-onnx", timeout=0.05, backend=backend, num_threads=1) as reranker:
            controls.hold()
            with pytest.raises(DeadlineExceededError, match="7 pairs were not scored in time"):
                reranker.rank(QUERY, DOCUMENTS)
            with pytest.raises(TimeoutError):
                await reranker.arank(QUERY, DOCUMENTS)
            assert reranker.busy_seconds > 0
            controls.gate.set()

    def test_warmup_scores_a_pair_of_full_length_on_every_thread(self, open_reranker: OpenReranker) -> None:
        backend, controls = controlled()
        with open_reranker("bert-onnx", num_threads=2, max_length=64, backend=backend) as reranker:
            controls.shapes.clear()
            reranker.warmup()
        assert controls.shapes == [(1, 64)] * 2
        with pytest.raises(ClosedError, match="was closed"):
            reranker.warmup()


class TestLifetime:
    """Closing, copies, pickles, representation."""

    def test_a_closed_reranker_says_so(self, reranker: Reranker) -> None:
        reranker.close()
        reranker.close()
        with pytest.raises(ClosedError, match=r"was closed\. Make a new one"):
            reranker.rank(QUERY, DOCUMENTS)
        with pytest.raises(ClosedError, match="was closed"):
            reranker.score([(QUERY, "a")])

    def test_copies_are_the_same_object(self, bert: Reranker) -> None:
        assert copy.copy(bert) is bert
        assert copy.deepcopy(bert) is bert

    def test_pickling_loads_again(self, bert: Reranker) -> None:
        other = pickle.loads(pickle.dumps(bert))
        assert other is not bert
        assert other.rank(QUERY, DOCUMENTS) == bert.rank(QUERY, DOCUMENTS)

    @pytest.mark.parametrize("options", [{}, {"cache": "memory"}, {"fallback": "cpu", "timeout": 5.0}])
    def test_a_pickle_holds_the_configuration_alone(self, open_reranker: OpenReranker, options: dict[str, Any]) -> None:
        with open_reranker("bert-onnx", **options) as reranker:
            reranker.rank(QUERY, DOCUMENTS)
            make, arguments, state = reranker.__reduce_ex__(pickle.HIGHEST_PROTOCOL)[:3]
        assert (make, arguments, state) == (Reranker.from_config, (reranker.config,), {})

    def test_a_subclass_keeps_its_own_attributes_in_a_pickle(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert-onnx") as plain:
            mine = Mine.from_config(plain.config)
        mine.table, mine.timeouts = {"a": 1}, 3
        other = pickle.loads(pickle.dumps(mine))
        assert type(other) is Mine
        assert (other.table, other.timeouts) == ({"a": 1}, 3)
        assert other.rank(QUERY, DOCUMENTS) == mine.rank(QUERY, DOCUMENTS)
        mine.close()
        other.close()

    def test_from_config_equals_the_constructor(self, bert: Reranker) -> None:
        with Reranker.from_config(RerankConfig(model=bert.model)) as other:
            assert other.rank(QUERY, DOCUMENTS) == bert.rank(QUERY, DOCUMENTS)

    def test_repr_names_model_and_place(self, bert: Reranker) -> None:
        assert repr(bert).endswith("bert', backend='torch', device='cpu', dtype='fp32')")


class Mine(Reranker):
    """Spark and Ray send a Reranker to their workers this way."""

    table: dict[str, int]
    timeouts: int


async def rank_all(reranker: Reranker, lists: list[list[str]]) -> list[list[RankResult]]:
    return await asyncio.gather(*(reranker.arank(QUERY, documents) for documents in lists))
