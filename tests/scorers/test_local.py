"""`LocalScorer` with tiny models: duplicate pairs, windows, usage of each list, and failures."""

import asyncio
import gc
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank_plugins import (
    ClosedError,
    DeadlineExceededError,
    OverloadedError,
    QueryDocuments,
    RerankConfig,
    Scored,
    ScoreScale,
    ScoringError,
)
from rerank_plugins.backends.torch import TorchBackend
from rerank_plugins.models.spec import resolve
from rerank_plugins.scorers.local import LocalScorer
from rerank_plugins.scores import Usage
from rerank_plugins.text.pairs import EncodedPairs, Pair
from tests.fakes import Controls, CountBackend, controlled
from tests.texts import DOCUMENTS, QUERY, mixed_lengths
from tests.waiting import SECONDS

OpenScorer = Callable[..., LocalScorer]
FP32 = 1e-4


@pytest.fixture
def open_scorer(model_folder: Callable[[str], Path]) -> Iterator[OpenScorer]:
    """Make scorers of a tiny model, with any options; closed after the test."""
    opened: list[LocalScorer] = []

    def make(name: str | Path = "bert-onnx", **options: Any) -> LocalScorer:
        folder = name if isinstance(name, Path) else model_folder(name)
        config = RerankConfig(model=str(folder), **options)
        opened.append(LocalScorer(resolve(config), config))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def held(open_scorer: OpenScorer) -> Iterator[tuple[LocalScorer, Controls]]:
    """A scorer with one worker whose passes a test can block, one pair each."""
    backend, controls = controlled()
    yield open_scorer(backend=backend, num_threads=1, max_batch_tokens=1, max_queue=20), controls
    controls.gate.set()


def ask(scorer: LocalScorer, documents: Sequence[str], query: str = QUERY, **options: Any) -> Scored:
    (scored,) = scorer.score([QueryDocuments(query, documents)], **options)
    return scored


def raw(scored: Scored) -> list[float]:
    return [score.raw for score in scored.scores]


class TestPairs:
    """Which pairs the model reads, and how they are counted."""

    def test_a_pair_is_read_once_whatever_list_it_is_in(self, open_scorer: OpenScorer) -> None:
        backend, controls = controlled()
        scorer = open_scorer(backend=backend, num_threads=1)
        controls.shapes.clear()
        lists = [
            QueryDocuments("who", ["a", "b", "a"]),
            QueryDocuments("who", ["c", "b"]),
            QueryDocuments("what", ["a"]),
        ]
        one, two, three = scorer.score(lists)
        assert sum(pairs for pairs, _ in controls.shapes) == 4
        assert [each.usage.scored for each in (one, two, three)] == [2, 1, 1]
        assert one.scores[0] == one.scores[2]
        assert one.scores[1] == two.scores[1]
        assert one.scores[0] != three.scores[0]

    def test_each_list_counts_its_own_tokens(self, open_scorer: OpenScorer) -> None:
        one, two = open_scorer("bert").score(
            [QueryDocuments(QUERY, ["bread", "bread is baked"]), QueryDocuments("who", ["a"])]
        )
        assert (one.usage.tokens, two.usage.tokens) == ((3 + 3 + 1) + (3 + 3 + 3), 1 + 3 + 1)
        assert one.timing == two.timing
        assert one.timing.forward > 0
        assert min(one.timing.queue, one.timing.tokenize) >= 0

    def test_padding_is_counted(self, open_scorer: OpenScorer) -> None:
        backend, controls = controlled()
        scorer = open_scorer(backend=backend, num_threads=1)
        controls.shapes.clear()
        usage = ask(scorer, mixed_lengths(40)).usage
        assert usage.tokens + usage.padding == sum(pairs * tokens for pairs, tokens in controls.shapes)
        assert usage.padding > 0

    def test_nothing_is_not_even_queued(self, held: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = held
        controls.hold()
        assert (ask(scorer, []).scores, ask(scorer, []).usage) == ([], Usage())
        assert scorer.score([]) == []

    @pytest.mark.parametrize("budget", [1, 40, 200, 100_000])
    def test_scores_do_not_depend_on_batches(self, open_scorer: OpenScorer, budget: int) -> None:
        documents = mixed_lengths(40)
        alone = [raw(ask(open_scorer(), [document]))[0] for document in documents]
        assert raw(ask(open_scorer(max_batch_tokens=budget), documents)) == pytest.approx(alone, abs=FP32)

    def test_a_batch_keeps_to_the_budget(self, open_scorer: OpenScorer) -> None:
        backend, controls = controlled()
        scorer = open_scorer(backend=backend, max_batch_tokens=60)
        controls.shapes.clear()
        ask(scorer, mixed_lengths(40))
        assert all(pairs == 1 or pairs * tokens <= 60 for pairs, tokens in controls.shapes)


class TestReading:
    """Long documents are truncated, or read in windows."""

    def test_what_is_truncated_is_marked(self, open_scorer: OpenScorer) -> None:
        scored = ask(open_scorer("bert", max_length=32), ["hamlet " * 26, "hamlet " * 27])
        assert [score.document_truncated for score in scored.scores] == [False, True]
        assert not any(score.query_truncated for score in scored.scores)
        assert all(
            score.query_truncated for score in ask(open_scorer("bert", max_length=32), ["a"], "who " * 90).scores
        )

    def test_the_best_window_wins_and_is_named(self, open_scorer: OpenScorer) -> None:
        document = " ".join(mixed_lengths(8, seed=3))
        scorer = open_scorer("bert", max_length=32, long_documents="windows")
        scored = ask(scorer, [document, "bread"])
        start, end = scored.scores[0].span or (0, 0)
        assert raw(ask(scorer, [document[start:end]])) == pytest.approx([scored.scores[0].raw], abs=FP32)
        assert scored.scores[1].span is None
        assert scored.usage.scored == 2
        assert scored.usage.windows > 1

    def test_windows_beyond_the_most_are_left_out_and_said_so(self, open_scorer: OpenScorer) -> None:
        document = "bread is baked " * 40
        all_of_it = ask(open_scorer("bert", max_length=32, long_documents="windows"), [document])
        config = RerankConfig(model=open_scorer("bert").name, max_length=32, long_documents="windows", max_windows=2)
        scorer = LocalScorer(resolve(config), config)
        two = ask(scorer, [document])
        scorer.close()
        assert all_of_it.usage.windows > two.usage.windows == 1
        assert (all_of_it.scores[0].document_truncated, two.scores[0].document_truncated) == (False, True)

    def test_max_length_is_the_models_unless_a_shorter_one_is_asked_for(self, open_scorer: OpenScorer) -> None:
        assert open_scorer("bert").max_length == 512
        assert open_scorer("bert", max_length=64).max_length == 64
        assert open_scorer("bert", max_length=4096).max_length == 512
        assert open_scorer("xlm-roberta", max_length=4096).max_length == 512  # 514 positions, two of them never used

    def test_a_pair_template_has_no_place_for_an_instruction(self, open_scorer: OpenScorer) -> None:
        assert not open_scorer().takes_instruction


class TestIdentity:
    """What a scorer says of itself."""

    def test_name_and_scale(self, open_scorer: OpenScorer, model_folder: Callable[[str], Path]) -> None:
        scorer = open_scorer()
        assert (scorer.name, scorer.scale) == (str(model_folder("bert-onnx")), ScoreScale.LOGIT)

    def test_the_fingerprint_is_that_of_what_decides_a_score(
        self, open_scorer: OpenScorer, model_folder: Callable[[str], Path], tmp_path: Path
    ) -> None:
        copy = shutil.copytree(model_folder("bert"), tmp_path / "copy")
        same = open_scorer("bert").fingerprint
        for others in ({"activation": "identity"}, {"max_queue": 5}, {"timeout": 3.0}, {"max_batch_tokens": 40}):
            assert open_scorer("bert", **others).fingerprint == same
        # It is in the key of each pair.
        assert open_scorer("bert", instruction="find code").fingerprint == same
        assert open_scorer(copy).fingerprint == same, "the same files elsewhere are the same model"
        backend, _ = controlled(TorchBackend)
        namesake, _ = controlled(TorchBackend)
        namesake.__module__ = "somebody.elses"
        different = [
            open_scorer("bert", max_length=32),
            open_scorer("bert", long_documents="windows"),
            open_scorer("bert", long_documents="windows", max_windows=3),
            open_scorer("bert", backend=backend),
            open_scorer("bert", backend=namesake),
            open_scorer("bert-onnx"),
            open_scorer("xlm-roberta"),
        ]
        assert len({same, *(each.fingerprint for each in different)}) == 8


class TestTrouble:
    """Errors, full queues, deadlines and cancelled callers."""

    def test_a_closed_one_says_so(self, open_scorer: OpenScorer) -> None:
        scorer, other = open_scorer(), open_scorer()
        scorer.close()
        scorer.close()
        for call in (
            lambda: ask(scorer, ["a"]),
            lambda: asyncio.run(scorer.ascore([QueryDocuments("q", ["a"])])),
            lambda: scorer.score([]),
            scorer.warm_up,
        ):
            with pytest.raises(ClosedError, match=r"was closed\. Make a new one"):
                call()
        assert len(raw(ask(other, DOCUMENTS))) == len(DOCUMENTS)

    def test_a_failing_pass_reaches_the_caller_and_the_next_one_works(self, held: tuple[LocalScorer, Controls]) -> None:
        def fail(_: object) -> Any:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        scorer, controls = held
        controls.instead = fail
        with pytest.raises(RuntimeError, match="illegal memory access"):
            ask(scorer, DOCUMENTS)
        with pytest.raises(RuntimeError, match="illegal memory access"):
            asyncio.run(scorer.ascore([QueryDocuments("q", ["a"])]))
        controls.instead = None
        assert len(raw(ask(scorer, DOCUMENTS))) == len(DOCUMENTS)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_number_that_cannot_be_sorted(self, held: tuple[LocalScorer, Controls], value: float) -> None:
        scorer, controls = held
        controls.instead = lambda real: real() * 0 + np.float32(value)
        with pytest.raises(ScoringError, match=f"answered {value} for 7 of 7 pairs, which cannot be sorted"):
            ask(scorer, DOCUMENTS)

    @pytest.mark.parametrize("wrong", [np.zeros((1, 2)), np.zeros(3), np.float32(0)])
    def test_an_array_of_another_shape(self, held: tuple[LocalScorer, Controls], wrong: Any) -> None:
        scorer, controls = held
        controls.instead = lambda _: wrong
        with pytest.raises(ScoringError, match=r"forward gave an array of shape .* for 1 pairs.*shape \(1,\)"):
            ask(scorer, ["a"])
        controls.instead = None
        assert len(raw(ask(scorer, ["a"]))) == 1

    def test_a_deadline_that_passes(self, held: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = held
        expected = raw(ask(scorer, DOCUMENTS))
        controls.hold()
        for _ in range(2):
            with pytest.raises(DeadlineExceededError, match=r"7 pairs were not scored in time: .* timeout was over"):
                ask(scorer, DOCUMENTS, deadline=time.perf_counter() + 0.01)
            with pytest.raises(TimeoutError):
                asyncio.run(scorer.ascore([QueryDocuments(QUERY, DOCUMENTS)], deadline=time.perf_counter() + 0.01))
        controls.wait_for_a_pass()
        controls.shapes.clear()
        controls.gate.set()
        assert raw(ask(scorer, DOCUMENTS)) == expected
        assert len(controls.shapes) == 7, "what others gave up is not scored"

    def test_a_full_queue_refuses(self, held: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = held
        controls.hold()
        with ThreadPoolExecutor(1) as thread:
            first = thread.submit(ask, scorer, mixed_lengths(16))
            controls.wait_for_a_pass()  # of one pair: 15 wait
            with pytest.raises(OverloadedError, match="15 pairs are waiting, and 7 more would exceed max_queue=20"):
                ask(scorer, DOCUMENTS)
            controls.gate.set()
            assert len(raw(first.result(SECONDS))) == 16
        assert len(raw(ask(scorer, DOCUMENTS))) == 7

    async def test_a_cancelled_callers_pairs_leave_the_queue(self, held: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = held
        controls.hold()
        call = asyncio.create_task(scorer.ascore([QueryDocuments(QUERY, mixed_lengths(500))]))
        await asyncio.to_thread(controls.wait_for_a_pass)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        controls.shapes.clear()
        controls.gate.set()
        (scored,) = await scorer.ascore([QueryDocuments(QUERY, DOCUMENTS)])
        assert len(scored.scores) == len(controls.shapes) == len(DOCUMENTS)

    def test_an_event_loop_that_is_closed_meanwhile_harms_nobody(self, held: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = held
        controls.hold()
        loop = asyncio.new_event_loop()
        call = loop.create_task(scorer.ascore([QueryDocuments(QUERY, ["a"])]))
        while controls.entered.acquire(blocking=False) is False:
            loop.run_until_complete(asyncio.sleep(0.001))
        call.cancel()
        loop.run_until_complete(asyncio.gather(call, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        controls.gate.set()
        assert len(raw(ask(scorer, DOCUMENTS))) == len(DOCUMENTS)

    def test_it_says_how_long_a_pass_takes(self, held: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = held
        controls.hold()
        with ThreadPoolExecutor(1) as thread:
            call = thread.submit(ask, scorer, ["a"])
            controls.wait_for_a_pass()
            assert scorer.busy_seconds > 0
            controls.gate.set()
            call.result(SECONDS)


class TestWarmUp:
    """One pair of full length on every thread."""

    def test_every_worker_runs_one(self, open_scorer: OpenScorer) -> None:
        backend, controls = controlled()
        scorer = open_scorer(backend=backend, num_threads=2, max_length=64)
        controls.shapes.clear()
        scorer.warm_up()
        assert controls.shapes == [(1, 64)] * 2

    def test_windows_change_nothing(self, open_scorer: OpenScorer) -> None:
        backend, controls = controlled()
        scorer = open_scorer(backend=backend, num_threads=1, max_length=64, long_documents="windows")
        controls.shapes.clear()
        scorer.warm_up()
        assert controls.shapes == [(1, 64)]


@pytest.fixture
def unpadded(open_scorer: OpenScorer) -> Iterator[tuple[LocalScorer, Controls]]:
    """A scorer whose backend runs on a device of its own and pads nothing; a test can hold its passes."""
    backend, controls = controlled()
    backend.pads, backend.pass_tokens = False, 1  # type: ignore[attr-defined]
    yield open_scorer(backend=backend, num_threads=1, max_batch_tokens=64, max_queue=1000), controls
    controls.gate.set()


# How many pairs each call of the encoder gets.
Sizes = list[int]


def count_parts(scorer: LocalScorer, between: Callable[[], object] = lambda: None) -> Sizes:
    """Note how a scorer tokenizes, and do something before each part but the first."""
    sizes: Sizes = []
    encode = scorer._encoder.encode

    def noted(pairs: Sequence[Pair]) -> EncodedPairs:
        if sizes:
            between()
        sizes.append(len(pairs))
        return encode(pairs)

    scorer._encoder.encode = noted  # type: ignore[method-assign]
    return sizes


class TestParts:
    """A long list is tokenized in parts while the model reads those before."""

    LISTS = (QueryDocuments(QUERY, mixed_lengths(60)), QueryDocuments("second", mixed_lengths(40)[::-1]))

    def test_scores_and_counts_are_those_of_the_whole(
        self, open_scorer: OpenScorer, unpadded: tuple[LocalScorer, Controls]
    ) -> None:
        scorer, _ = unpadded
        sizes = count_parts(scorer)
        whole, parts = (each.score(self.LISTS) for each in (open_scorer(num_threads=1), scorer))
        asynchronous = asyncio.run(scorer.ascore(self.LISTS))
        for one, other, third in zip(whole, parts, asynchronous, strict=True):
            assert raw(other) == pytest.approx(raw(one), abs=FP32)
            assert raw(third) == pytest.approx(raw(one), abs=FP32)
            assert (other.usage.tokens, other.usage.scored) == (one.usage.tokens, one.usage.scored)
        assert sum(sizes) == 200
        assert len(sizes) > 6
        assert min(sizes) < 5

    def test_windows_of_all_parts_find_their_documents(self, open_scorer: OpenScorer) -> None:
        backend, _ = controlled()
        backend.pads, backend.pass_tokens = False, 1  # type: ignore[attr-defined]
        windows = {"long_documents": "windows", "max_length": 32, "num_threads": 1}
        scorer = open_scorer(backend=backend, max_batch_tokens=64, **windows)
        (expected,) = open_scorer(**windows).score([self.LISTS[0]])
        sizes = count_parts(scorer)
        (found,) = scorer.score([self.LISTS[0]])
        assert raw(found) == pytest.approx(raw(expected), abs=FP32)
        assert [each.span for each in found.scores] == [each.span for each in expected.scores]
        assert found.usage.windows == expected.usage.windows > 0
        assert len(sizes) > 3

    def test_the_model_starts_before_the_list_is_read(self, unpadded: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = unpadded
        controls.hold()

        def go_on() -> None:
            if not controls.gate.is_set():
                controls.wait_for_a_pass()
                controls.gate.set()

        count_parts(scorer, go_on)
        assert len(scorer.score(self.LISTS)) == 2

    @pytest.mark.parametrize(("pads", "pass_tokens"), [(True, 0), (True, 1), (False, 0)])
    def test_where_it_gains_nothing_all_pairs_are_queued_at_once(
        self, open_scorer: OpenScorer, pads: bool, pass_tokens: int
    ) -> None:
        backend, _ = controlled()
        backend.pads, backend.pass_tokens = pads, pass_tokens  # type: ignore[attr-defined]
        scorer = open_scorer(backend=backend, max_batch_tokens=64)
        sizes = count_parts(scorer)
        scorer.score(self.LISTS)
        assert len(sizes) == 1

    def test_no_documents(self, unpadded: tuple[LocalScorer, Controls]) -> None:
        assert raw(ask(unpadded[0], [])) == []

    def test_a_list_that_exceeds_the_queue_is_refused_whole(self, unpadded: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = unpadded
        controls.hold()
        with ThreadPoolExecutor(1) as thread:
            first = thread.submit(ask, scorer, mixed_lengths(16))
            controls.wait_for_a_pass()
            sizes = count_parts(scorer)
            with pytest.raises(OverloadedError, match=r"and 1\d{3} more would exceed max_queue=1000"):
                ask(scorer, mixed_lengths(1200))
            assert sum(sizes) < 100, "the rest of it is not even read"
            controls.gate.set()
            assert len(raw(first.result(SECONDS))) == 16

    def test_a_failing_pass_ends_the_reading(self, unpadded: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = unpadded

        def fail(_: object) -> Any:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        def wait_for_failure() -> None:
            while scorer._model.scheduler.waiting:
                time.sleep(0.001)

        controls.instead = fail
        sizes = count_parts(scorer, wait_for_failure)
        with pytest.raises(RuntimeError, match="illegal memory access"):
            scorer.score(self.LISTS)
        assert len(sizes) == 2

    def test_an_error_of_the_tokenizer_takes_the_first_parts_along(
        self, unpadded: tuple[LocalScorer, Controls]
    ) -> None:
        scorer, controls = unpadded

        def fail() -> None:
            raise MemoryError

        controls.hold()
        count_parts(scorer, fail)
        with pytest.raises(MemoryError):
            scorer.score(self.LISTS)
        assert scorer._model.scheduler.waiting == 0

    def test_a_deadline_that_passes_meanwhile(self, unpadded: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = unpadded
        controls.hold()
        sizes = count_parts(scorer)
        with pytest.raises(DeadlineExceededError, match="100 pairs were not scored in time"):
            scorer.score(self.LISTS, deadline=time.perf_counter())
        assert len(sizes) == 1
        assert scorer._model.scheduler.waiting == 0

    async def test_a_caller_that_is_cancelled_meanwhile(self, unpadded: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = unpadded
        reading, cancelled = threading.Event(), threading.Event()

        def wait_for_the_caller() -> None:
            reading.set()
            assert cancelled.wait(SECONDS)

        controls.hold()
        sizes = count_parts(scorer, wait_for_the_caller)
        call = asyncio.create_task(scorer.ascore(self.LISTS))
        await asyncio.to_thread(reading.wait, SECONDS)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        cancelled.set()
        await asyncio.get_running_loop().shutdown_default_executor()
        assert len(sizes) == 2
        assert scorer._model.scheduler.waiting == 0

    def test_a_scorer_that_is_closed_meanwhile_answers(self, unpadded: tuple[LocalScorer, Controls]) -> None:
        scorer, controls = unpadded
        count_parts(scorer, scorer.close)
        assert len(scorer.score(self.LISTS)) == 2
        controls.wait_for_a_close()


def test_a_scorer_that_is_forgotten_frees_its_model(model_folder: Callable[[str], Path]) -> None:
    backend, controls = controlled()
    config = RerankConfig(model=str(model_folder("bert-onnx")), backend=backend)
    scorer = LocalScorer(resolve(config), config)
    gone = weakref.ref(scorer)
    del scorer
    gc.collect()
    assert gone() is None
    assert controls.closes == 1


def test_a_backend_of_ones_own_scores(
    open_scorer: OpenScorer, model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder("bert"), tmp_path / "m")
    (folder / "weights.count").write_bytes(b"")
    scorer = open_scorer(folder, backend=CountBackend)
    assert raw(ask(scorer, ["bread", "bread is baked"])) == [3 + 3 + 1, 3 + 3 + 3]
