"""The scoring engine under a Reranker: scores stay what they are however they were come by, and nothing hangs."""

import asyncio
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank_plugins import (
    DeadlineExceededError,
    ForkedError,
    InvalidTypeError,
    InvalidValueError,
    OutOfMemoryError,
    OverloadedError,
    RankResult,
    RerankConfig,
    Reranker,
    ScoringError,
)
from rerank_plugins.backends.base import Inputs, Placement, RawScores
from rerank_plugins.caching.memory import MemoryCache
from rerank_plugins.scores import DocumentScore
from tests.texts import DOCUMENTS, QUERY, mixed_lengths
from tests.waiting import SECONDS, until

OpenReranker = Callable[..., Reranker]
FP32, INT8 = 1e-4, 0.02


def logits(results: Sequence[RankResult]) -> list[float]:
    """The logits in the caller's order."""
    return [result.raw_score for result in sorted(results, key=lambda each: each.index)]


@contextmanager
def forward(reranker: Reranker, instead: Callable[[Inputs], RawScores]) -> Any:
    """Put something else in the place of a model's forward pass: a device that fails, or hangs."""
    with patch.object(reranker._loaded.backend, "forward", instead):
        yield


class Meter(MemoryCache):
    """A cache in memory that counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.kept = 0

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        self.asked += len(keys)
        return super().get_many(keys)

    def set_many(self, scores: Any) -> None:
        self.kept += len(scores)
        super().set_many(scores)


class TestSameScores:
    """Batching, threads, coroutines, windows and the cache change no score."""

    @pytest.mark.parametrize(("name", "tolerance"), [("bert", FP32), ("xlm-roberta-onnx", FP32), ("embedded", INT8)])
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
        lists = [mixed_lengths(8, seed=seed + caller) for caller in range(callers)]
        options = {"max_length": max_length, "long_documents": long_documents}
        with (
            open_reranker(name, **options) as plain,
            open_reranker(name, max_batch_tokens=budget, cache="memory" if cached else None, **options) as engine,
        ):
            alone = [[plain.rank(QUERY, [document])[0] for document in documents] for documents in lists]
            for _ in range(2):
                if coroutines:
                    answers = asyncio.run(_gather(engine, lists))
                else:
                    with ThreadPoolExecutor(callers) as threads:
                        answers = list(threads.map(lambda documents: engine.rank(QUERY, documents), lists))
                for answer, expected in zip(answers, alone, strict=True):
                    assert logits(answer) == pytest.approx([each.raw_score for each in expected], abs=tolerance)
                    assert {each.index: (each.truncated, each.span) for each in answer} == {
                        index: (each.truncated, each.span) for index, each in enumerate(expected)
                    }

    def test_thirty_two_threads_lose_and_cross_nothing(self, open_reranker: OpenReranker) -> None:
        lists = [mixed_lengths(6, seed=seed) for seed in range(32)]
        with open_reranker("bert-onnx") as reranker:
            alone = [logits(reranker.rank(QUERY, documents)) for documents in lists]

            def ask(place: int) -> None:
                for _ in range(int(os.environ.get("RERANK_TEST_ROUNDS", "20"))):
                    assert logits(reranker.rank(QUERY, lists[place])) == pytest.approx(alone[place], abs=FP32)

            with ThreadPoolExecutor(32) as threads:
                list(threads.map(ask, range(32)))


async def _gather(reranker: Reranker, lists: list[list[str]]) -> list[list[RankResult]]:
    return await asyncio.gather(*(reranker.arank(QUERY, documents) for documents in lists))


class TestWindows:
    """A long document is read whole, in windows, and the best one is named."""

    def test_what_stands_at_the_end_counts(self, open_reranker: OpenReranker) -> None:
        long = "bread is baked " * 40
        needle, other = f"{long}shakespeare wrote hamlet", f"{long}aspirin relieves headache"
        with open_reranker("embedded", max_length=48, long_documents="windows") as windows:
            results = windows.rank(QUERY, [other, needle])
        assert [result.index for result in results] == [1, 0]
        assert not any(result.truncated for result in results)
        start, end = results[0].span or (0, 0)
        assert "shakespeare wrote hamlet" in needle[start:end]
        assert results.report.windows == 6
        assert results.report.truncated == 0

    @pytest.mark.parametrize("long_documents", ["truncate", "windows"])
    def test_a_document_that_fits_is_read_as_one(self, open_reranker: OpenReranker, long_documents: str) -> None:
        with open_reranker("bert", long_documents=long_documents) as reranker:
            results = reranker.rank(QUERY, DOCUMENTS)
        assert {result.span for result in results} == {None}
        assert results.report.windows == 0

    @pytest.mark.parametrize("name", ["bert", "xlm-roberta", "embedded"])
    def test_the_score_is_that_of_the_best_window_read_alone(self, open_reranker: OpenReranker, name: str) -> None:
        document = " ".join(mixed_lengths(8, seed=3))
        with open_reranker(name, max_length=32, long_documents="windows") as reranker:
            (result,) = reranker.rank(QUERY, [document])
            start, end = result.span or (0, 0)
            (alone,) = reranker.rank(QUERY, [document[start:end]])
            assert alone.span is None
            assert result.raw_score == pytest.approx(alone.raw_score, abs=INT8 if name == "embedded" else FP32)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(words=st.integers(1, 300), max_length=st.integers(16, 80))
    def test_windows_cover_the_document_and_are_full(
        self, open_reranker: OpenReranker, words: int, max_length: int
    ) -> None:
        document = ("hamlet " * words).strip()
        with open_reranker("bert", max_length=max_length, long_documents="windows") as reranker:
            pairs = reranker._scorer._encoder.encode([(QUERY, document)]).pairs
        room = max_length - 3 - 3
        if words <= room:
            assert [pair.span for pair in pairs] == [None]
            return
        assert {pair.length for pair in pairs} == {max_length}
        spans = [pair.span or (0, 0) for pair in pairs]
        assert (spans[0][0], spans[-1][1]) == (0, len(document))
        for (_, end), (start, _) in pairwise(spans):
            assert start < end  # The next one begins before this one ends.

    def test_control_tokens_keep_their_place(self, open_reranker: OpenReranker) -> None:
        document = "bread [SEP] " * 30 + "hamlet"
        with open_reranker("bert", max_length=24, long_documents="windows") as reranker:
            pairs = reranker._scorer._encoder.encode([(QUERY, document)]).pairs
        assert document[slice(*(pairs[-1].span or ()))].endswith("hamlet")
        assert max(pair.span[1] for pair in pairs if pair.span) == len(document)


class TestCache:
    """A pair that was scored before is not scored again, and an answer from the cache is the same answer."""

    @pytest.mark.parametrize("long_documents", ["truncate", "windows"])
    def test_the_second_time_nothing_is_scored(self, open_reranker: OpenReranker, long_documents: str) -> None:
        documents = [*DOCUMENTS, "bread is baked " * 50, DOCUMENTS[0]]
        with open_reranker("bert", max_length=32, cache=Meter(), long_documents=long_documents) as reranker:
            first, second = reranker.rank(QUERY, documents), reranker.rank(QUERY, documents)
            assert second == first
            assert (first.report.scored, first.report.cached) == (len(documents) - 1, 0)
            assert (second.report.scored, second.report.cached) == (0, len(documents) - 1)
            assert second.report.tokens == 0
            assert second.report.truncated == first.report.truncated == (long_documents == "truncate")
            some = reranker.rank(QUERY, [*DOCUMENTS, "a new one"])
            assert (some.report.scored, some.report.cached) == (1, len(DOCUMENTS))

    def test_rerankers_share_a_cache_where_their_scores_are_the_same(self, open_reranker: OpenReranker) -> None:
        cache = Meter()
        with (
            open_reranker("bert", cache=cache) as one,
            open_reranker("bert", cache=cache, activation="identity") as two,
        ):
            one.rank(QUERY, DOCUMENTS)
            assert two.rank(QUERY, DOCUMENTS).report.scored == 0
        for name, options in (("bert", {"max_length": 32}), ("bert-onnx", {}), ("xlm-roberta", {})):
            with open_reranker(name, cache=cache, **options) as other:
                assert other.rank(QUERY, DOCUMENTS).report.cached == 0
        with open_reranker("bert", cache=cache, long_documents="windows") as other:
            assert other.rank(QUERY, DOCUMENTS).report.cached == 0

    def test_a_failure_is_not_kept(self, broken: Reranker) -> None:
        cache = Meter()
        with Reranker.from_config(RerankConfig(model=broken.config.model, cache=cache)) as reranker:
            for _ in range(2):
                with pytest.raises(ScoringError):
                    reranker.rank(QUERY, DOCUMENTS)
        assert cache.kept == 0

    @pytest.mark.parametrize(
        ("cache", "kind", "message"),
        [
            (3, InvalidTypeError, "cache must be 'memory', a Redis URL or a ScoreCache, got int"),
            ("disk", InvalidValueError, "cache must be 'memory' or a Redis URL .*got 'disk'"),
        ],
    )
    def test_what_is_no_cache_is_refused(self, cache: Any, kind: type[Exception], message: str) -> None:
        with pytest.raises(kind, match=message):
            Reranker(cache=cache)


class TestTrouble:
    """Errors, full queues, late answers and lost callers."""

    def test_a_failing_forward_pass_reaches_the_caller_and_the_next_one_works(self, bert: Reranker) -> None:
        def fail(_: Inputs) -> RawScores:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        with forward(bert, fail), pytest.raises(RuntimeError, match="illegal memory access"):
            bert.rank(QUERY, DOCUMENTS)
        assert len(bert.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)

    async def test_a_call_that_takes_too_long_gives_up(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert", timeout=0.2) as hasty, open_reranker("bert") as patient:
            expected = patient.rank(QUERY, DOCUMENTS)
            released = threading.Event()
            real = hasty._loaded.backend.forward

            def hang(batch: Inputs) -> RawScores:
                assert released.wait(SECONDS)
                return real(batch)

            with forward(hasty, hang):
                for _ in range(2):  # They give up while the model hangs: it is not let go before.
                    with pytest.raises(DeadlineExceededError, match=r"7 pairs were not scored within timeout=0\.2"):
                        hasty.rank(QUERY, DOCUMENTS)
                    with pytest.raises(DeadlineExceededError, match="7 pairs were not scored"):
                        await hasty.arank(QUERY, DOCUMENTS)
                released.set()
            assert patient.rank(QUERY, DOCUMENTS) == expected

    async def test_a_full_queue_refuses_at_once(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert", max_queue=20) as reranker:
            begun, released = threading.Event(), threading.Event()
            real = reranker._loaded.backend.forward

            def wait(batch: Inputs) -> RawScores:
                begun.set()
                assert released.wait(SECONDS)
                return real(batch)

            with forward(reranker, wait):
                first = asyncio.create_task(reranker.arank(QUERY, DOCUMENTS[:1]))
                await asyncio.to_thread(begun.wait, SECONDS)
                second = asyncio.create_task(reranker.arank(QUERY, mixed_lengths(15)))
                await asyncio.to_thread(until, lambda: reranker._loaded.scheduler.waiting >= 15)
                with pytest.raises(OverloadedError, match="15 pairs wait to be scored, and 7 more are over"):
                    reranker.rank(QUERY, DOCUMENTS)
                released.set()
                assert (len(await first), len(await second)) == (1, 15)

    async def test_a_cancelled_callers_pairs_leave_the_queue(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert-onnx") as reranker:
            released = threading.Event()
            with forward(reranker, lambda batch: (released.wait(SECONDS), np.zeros(len(batch["input_ids"])))[1]):
                task = asyncio.create_task(reranker.arank(QUERY, mixed_lengths(500)))
                await asyncio.to_thread(until, lambda: reranker._loaded.scheduler.waiting >= 400)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert reranker._loaded.scheduler.waiting == 0
                released.set()
            assert len(await reranker.arank(QUERY, DOCUMENTS)) == len(DOCUMENTS)

    async def test_what_memory_cannot_hold_is_an_error_or_goes_to_the_cpu(
        self, open_reranker: OpenReranker, model_folder: Callable[[str], Path], tmp_path: Path
    ) -> None:
        def full(_: Inputs) -> RawScores:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

        with (
            open_reranker("bert") as reranker,
            forward(reranker, full),
            pytest.raises(OutOfMemoryError, match="Tried to allocate"),
        ):
            reranker.rank(QUERY, DOCUMENTS)
        cache = Meter()
        copy = shutil.copytree(model_folder("bert"), tmp_path / "copy")
        with open_reranker("bert", fallback="cpu", cache=cache) as reranker, Reranker(copy) as cpu:
            expected = cpu.rank(QUERY, DOCUMENTS)
            # Where there is no GPU, the model on the CPU is the model itself: a copy stands for it.
            reranker._scorer._fallback = lambda: cpu._loaded
            with forward(reranker, full):
                results = reranker.rank(QUERY, DOCUMENTS)
                assert await reranker.arank(QUERY, DOCUMENTS) == results
            assert results == expected
            assert "Tried to allocate" in str(results.report.fallback)
            assert cache.kept == 0
            assert reranker.rank(QUERY, DOCUMENTS).report.fallback is None

    def test_the_cpu_takes_over_by_loading_the_model_there(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert", fallback="cpu") as reranker:
            assert reranker._scorer._fallback is not None
            assert reranker._scorer._fallback().backend.placement == Placement("cpu", "fp32", None)


class TestProcesses:
    """A forked child starts anew or hears why it cannot."""

    @pytest.mark.parametrize("name", ["embedded", "bert-onnx"])
    def test_a_child_ranks_while_the_parents_threads_do(self, open_reranker: OpenReranker, name: str) -> None:
        with open_reranker(name, cache="memory") as reranker:
            expected = reranker.rank(QUERY, DOCUMENTS)
            stop = threading.Event()

            def keep_busy() -> None:
                seed = 0
                while not stop.is_set():
                    reranker.rank(QUERY, mixed_lengths(5, seed=(seed := seed + 1)))

            busy = [threading.Thread(target=keep_busy) for _ in range(3)]
            for thread in busy:
                thread.start()
            try:
                for _ in range(3):
                    assert _in_a_child(reranker) == logits(expected)
            finally:
                stop.set()
                for thread in busy:
                    thread.join()

    def test_torch_says_why_it_cannot(self, bert: Reranker) -> None:
        bert.rank(QUERY, DOCUMENTS)
        assert "loaded with torch before the process forked" in str(_in_a_child(bert))

    def test_num_threads_is_for_onnx(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert-onnx", num_threads=1) as one, open_reranker("bert-onnx", num_threads=3) as three:
            assert one._loaded.backend.workers == 1
            assert three._loaded.backend.workers == 3
            assert one.rank(QUERY, DOCUMENTS) == three.rank(QUERY, DOCUMENTS)
        with pytest.raises(InvalidValueError, match=r"num_threads=2 is for the onnx backend.*torch\.set_num_threads"):
            open_reranker("bert", num_threads=2)

    def test_warmup_scores_a_pair_of_full_length_on_every_thread(self, open_reranker: OpenReranker) -> None:
        with open_reranker("bert-onnx", num_threads=2, max_length=64) as reranker:
            seen: list[tuple[int, ...]] = []
            real = reranker._loaded.backend.forward
            with forward(reranker, lambda batch: (seen.append(batch["input_ids"].shape), real(batch))[1]):
                reranker.warmup()
        assert seen == [(1, 64)] * 2


def _in_a_child(reranker: Reranker) -> Any:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        try:
            sender.send(logits(reranker.rank(QUERY, DOCUMENTS)))
        except ForkedError as error:
            sender.send(str(error))

    child = context.Process(target=work)
    child.start()
    assert receiver.poll(SECONDS), "the child hangs"
    answer = receiver.recv()
    child.join(SECONDS)
    assert child.exitcode == 0
    return answer
