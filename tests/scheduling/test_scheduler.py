"""Callers share batches, take turns, and get their own logits whatever happens to the others."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.backends.base import RawScores
from rerank_plugins.errors import ClosedError, OutOfMemoryError, OverloadedError
from rerank_plugins.scheduling.queue import BatchLimits
from rerank_plugins.scheduling.request import Request
from rerank_plugins.scheduling.scheduler import Scheduler
from rerank_plugins.text.pairs import EncodedPair
from tests.waiting import SECONDS

MANY = 10**6


def pair(number: int, length: int) -> EncodedPair:
    """A pair whose logit is its number."""
    return EncodedPair((number,), (), length, query_truncated=False, document_truncated=False)


def numbers(pairs: Sequence[EncodedPair]) -> RawScores:
    """Score a batch of such pairs."""
    return np.array([each.query[0] for each in pairs], dtype=np.float32)


class Engine:
    """Scores numbered pairs, records the batches, and waits while `gate` is closed."""

    def __init__(self, score: Callable[[Sequence[EncodedPair]], RawScores] = numbers) -> None:
        self.batches: list[list[EncodedPair]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self._score = score

    def run(self, pairs: Sequence[EncodedPair]) -> RawScores:
        self.batches.append(list(pairs))
        self.begun.set()
        assert self.gate.wait(SECONDS)
        return self._score(pairs)

    def hold(self, scheduler: Scheduler) -> Request:
        """Keep the only worker busy with one pair, so that all later pairs wait in the queue."""
        self.gate.clear()
        self.begun.clear()
        first = submit(scheduler, [pair(0, 1)])
        assert self.begun.wait(SECONDS)
        return first


def submit(
    scheduler: Scheduler, pairs: Sequence[EncodedPair], *, max_batch_tokens: int = 100, max_queue: int = MANY
) -> Request:
    request = Request(pairs, max_batch_tokens=max_batch_tokens)
    scheduler.submit(request, max_queue=max_queue)
    return request


def logits(request: Request) -> list[float]:
    request.answer.done.result(SECONDS)
    return request.answer.scores.tolist()


@pytest.fixture
def start() -> Iterator[Callable[..., Scheduler]]:
    """Start schedulers, and end them after the test."""
    started: list[Scheduler] = []

    def make(
        engine: Engine, *, workers: int = 1, pairs_per_batch: int | None = None, pass_tokens: int = 0
    ) -> Scheduler:
        limits = BatchLimits(workers=workers, pairs_per_batch=pairs_per_batch, pads=True, pass_tokens=pass_tokens)
        started.append(Scheduler(engine.run, limits))
        return started[-1]

    yield make
    for each in started:
        each.close()
        each.join()


@settings(deadline=None, max_examples=50)
@given(
    callers=st.lists(st.lists(st.integers(1, 60), max_size=30), min_size=1, max_size=6),
    budget=st.integers(1, 300),
    workers=st.integers(1, 3),
    most=st.none() | st.integers(1, 5),
    pass_tokens=st.integers(0, 100),
)
def test_every_caller_gets_its_own_logits_in_its_order(
    callers: list[list[int]], budget: int, workers: int, most: int | None, pass_tokens: int
) -> None:
    engine = Engine()
    scheduler = Scheduler(
        engine.run, BatchLimits(workers=workers, pairs_per_batch=most, pads=True, pass_tokens=pass_tokens)
    )
    count = iter(range(10_000))
    lists = [[pair(next(count), length) for length in lengths] for lengths in callers]
    with ThreadPoolExecutor(len(lists)) as threads:
        requests = list(threads.map(lambda pairs: submit(scheduler, pairs, max_batch_tokens=budget), lists))
    for pairs, request in zip(lists, requests, strict=True):
        assert logits(request) == [each.query[0] for each in pairs]
    scheduler.close()
    scheduler.join()
    seen = [each.query[0] for batch in engine.batches for each in batch]
    assert sorted(seen) == list(range(sum(map(len, callers))))
    for batch in engine.batches:
        assert len(batch) == 1 or len(batch) * max(each.length for each in batch) <= budget
        assert most is None or len(batch) <= most
        longest = max(each.length for each in batch)
        assert sum(longest - each.length for each in batch if each.length < int(longest * 0.95)) <= pass_tokens
    padding = sum(len(batch) * max(each.length for each in batch) for batch in engine.batches) - sum(map(sum, callers))
    assert sum(int(request.answer.padding.sum()) for request in requests) == padding


def test_callers_that_wait_together_share_a_batch(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine)
    engine.hold(scheduler)
    requests = [submit(scheduler, [pair(number, 10)]) for number in range(5)]
    engine.gate.set()
    wait([request.answer.done for request in requests], SECONDS)
    assert [len(batch) for batch in engine.batches] == [1, 5]


def test_no_thread_takes_more_than_its_share(start: Callable[..., Scheduler]) -> None:
    def together(pairs: Sequence[EncodedPair]) -> RawScores:
        both_at_work.wait(SECONDS)
        return numbers(pairs)

    both_at_work = threading.Barrier(2)
    engine = Engine(together)
    request = submit(start(engine, workers=2), [pair(number, 10) for number in range(8)])
    assert logits(request) == list(range(8))
    assert [len(batch) for batch in engine.batches] == [4, 4]


def test_a_long_list_does_not_hold_up_a_short_one(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine)
    engine.hold(scheduler)
    long = submit(scheduler, [pair(number, 50) for number in range(1000)])
    short = submit(scheduler, [pair(number, 20) for number in range(5)])
    engine.gate.set()
    assert logits(short) == list(range(5))
    assert logits(long) == list(range(1000))
    turns = [number for number, batch in enumerate(engine.batches) if batch[0].length == 20]
    assert turns[-1] <= 4


def test_a_caller_is_answered_before_the_others_are_done(start: Callable[..., Scheduler]) -> None:
    def see(pairs: Sequence[EncodedPair]) -> RawScores:
        done.append([request.answer.done.done() for request in requests])
        return numbers(pairs)

    done: list[list[bool]] = []
    requests: list[Request] = []
    engine = Engine(see)
    scheduler = start(engine)
    first = engine.hold(scheduler)
    requests += [submit(scheduler, [pair(number, 100) for number in range(count)]) for count in (50, 2)]
    engine.gate.set()
    assert logits(requests[0]) == list(range(50))
    assert logits(first) == [0.0]
    assert done[-1] == [False, True]


def test_a_full_queue_refuses_at_once_and_takes_again_later(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine)
    engine.hold(scheduler)
    taken = submit(scheduler, [pair(number, 10) for number in range(8)], max_queue=10)
    with pytest.raises(OverloadedError, match="8 pairs are waiting, and 3 more would exceed max_queue=10"):
        submit(scheduler, [pair(number, 10) for number in range(3)], max_queue=10)
    also = submit(scheduler, [pair(1, 10), pair(2, 10)], max_queue=10)
    engine.gate.set()
    assert logits(taken) == list(range(8))
    assert logits(also) == [1, 2]
    assert logits(submit(scheduler, [pair(number, 10) for number in range(8)], max_queue=10)) == list(range(8))


def test_what_is_withdrawn_leaves_the_queue(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine)
    engine.hold(scheduler)
    gone = submit(scheduler, [pair(number, 10) for number in range(100)], max_queue=100)
    scheduler.withdraw(gone)
    other = submit(scheduler, [pair(7, 10)] * 100, max_queue=100)
    engine.gate.set()
    assert logits(other) == [7.0] * 100
    assert not gone.answer.done.done()
    assert sum(map(len, engine.batches)) == 101


def test_an_empty_list_is_done_at_once(start: Callable[..., Scheduler]) -> None:
    assert logits(submit(start(Engine()), [])) == []


def test_an_error_reaches_the_callers_concerned_and_the_engine_goes_on(start: Callable[..., Scheduler]) -> None:
    def fail_on_13(pairs: Sequence[EncodedPair]) -> RawScores:
        if any(each.query[0] == 13 for each in pairs):
            raise RuntimeError("an unlucky number")
        return numbers(pairs)

    engine = Engine(fail_on_13)
    scheduler = start(engine)
    engine.hold(scheduler)
    good, bad = submit(scheduler, [pair(1, 10)] * 3), submit(scheduler, [pair(2, 10), pair(13, 10)])
    engine.gate.set()
    assert logits(good) == [1.0] * 3
    with pytest.raises(RuntimeError, match="an unlucky number"):
        logits(bad)
    assert logits(submit(scheduler, [pair(5, 10)])) == [5.0]


def test_the_third_batch_fails_and_what_waits_behind_it_is_dropped(start: Callable[..., Scheduler]) -> None:
    engine = Engine(lambda pairs: numbers(pairs) if len(engine.batches) != 3 else 1 / 0)  # type: ignore[arg-type]
    scheduler = start(engine)
    with pytest.raises(ZeroDivisionError):
        logits(submit(scheduler, [pair(number, 100) for number in range(50)]))
    assert logits(submit(scheduler, [pair(5, 10)])) == [5.0]
    assert len(engine.batches) == 4


def test_a_single_pair_that_memory_cannot_hold_is_an_error(start: Callable[..., Scheduler]) -> None:
    def hold_nothing(_: Sequence[EncodedPair]) -> RawScores:
        raise OutOfMemoryError("too much")

    with pytest.raises(OutOfMemoryError, match="too much"):
        logits(submit(start(Engine(hold_nothing)), [pair(1, 10)] * 3))


def test_other_errors_are_not_tried_again(start: Callable[..., Scheduler]) -> None:
    engine = Engine(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError):
        logits(submit(start(engine), [pair(1, 10)] * 3))
    assert len(engine.batches) == 1


def test_closing_finishes_what_is_queued_and_ends_the_threads(start: Callable[..., Scheduler]) -> None:
    ended: list[int] = []
    engine = Engine()
    scheduler = start(engine, workers=3, pairs_per_batch=1)
    request = submit(scheduler, [pair(number, 10) for number in range(20)])
    scheduler.close(on_end=lambda: ended.append(len(engine.batches)))
    scheduler.close(on_end=lambda: ended.append(-1))  # closing twice is fine
    scheduler.join()
    assert logits(request) == list(range(20))
    assert ended == [20], "on_end comes once, after the last batch"
    with pytest.raises(ClosedError, match="The model was closed"):
        submit(scheduler, [pair(1, 10)])


def test_closing_what_never_worked_calls_on_end_too(start: Callable[..., Scheduler]) -> None:
    ended: list[bool] = []
    start(Engine()).close(on_end=lambda: ended.append(True))
    assert ended == [True]


def test_aborting_drops_what_waits_while_the_running_batch_finishes(start: Callable[..., Scheduler]) -> None:
    ended: list[int] = []
    engine = Engine()
    scheduler = start(engine)
    running = engine.hold(scheduler)
    waiting = [submit(scheduler, [pair(number, 100) for number in range(50)]) for _ in range(3)]
    scheduler.close(on_end=lambda: ended.append(len(engine.batches)))
    scheduler.abort()
    for request in waiting:
        with pytest.raises(ClosedError, match="The model was closed, or the process is ending"):
            logits(request)
    assert not running.answer.done.done()
    engine.gate.set()
    assert logits(running) == [0.0]
    scheduler.join()
    assert len(engine.batches) == 1
    assert ended == [1]


def test_a_caller_whose_list_is_half_scored_hears_of_the_abort(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine)
    engine.gate.clear()
    request = submit(scheduler, [pair(number, 60) for number in range(4)])
    assert engine.begun.wait(SECONDS)
    scheduler.abort()
    engine.gate.set()
    with pytest.raises(ClosedError, match="The model was closed"):
        logits(request)
    scheduler.join()
    assert len(engine.batches) == 1


def test_a_busy_scheduler_says_so(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine)
    assert (scheduler.busy_seconds, scheduler.waiting) == (0.0, 0)
    first = engine.hold(scheduler)
    submit(scheduler, [pair(number, 10) for number in range(7)])
    assert scheduler.busy_seconds > 0
    assert scheduler.waiting == 7
    engine.gate.set()
    logits(first)
    scheduler.close()
    scheduler.join()
    assert (scheduler.busy_seconds, scheduler.waiting) == (0.0, 0)


def grow(scheduler: Scheduler, pairs: Sequence[EncodedPair], *, coming: int) -> Request:
    request = Request(max_batch_tokens=100)
    request.extend(pairs, coming=coming)
    scheduler.submit(request, max_queue=MANY)
    return request


def test_parts_of_a_list_are_scored_while_others_are_to_come(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine, workers=2)
    request = grow(scheduler, [pair(3, 10), pair(4, 60)], coming=3)
    assert engine.begun.wait(SECONDS)
    assert scheduler.extend(request, [pair(5, 90)], coming=2)
    assert scheduler.extend(request, [pair(6, 10), pair(7, 20)], coming=0)
    assert logits(request) == [3, 4, 5, 6, 7]


def test_a_list_is_not_done_before_its_last_part(start: Callable[..., Scheduler]) -> None:
    scheduler = start(Engine())
    request = grow(scheduler, [pair(3, 10)], coming=1)
    while not np.isfinite(request.answer.scores).all():
        assert submit(scheduler, [pair(0, 1)]).answer.done.result(SECONDS) is None
    assert not request.answer.done.done()
    scheduler.extend(request, [pair(4, 10)], coming=0)
    assert logits(request) == [3, 4]


def test_nothing_is_added_to_what_was_withdrawn(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine)
    request = grow(scheduler, [pair(3, 10)], coming=1)
    scheduler.withdraw(request)
    assert not scheduler.extend(request, [pair(4, 10)], coming=0)
    late = Request([pair(5, 10)], max_batch_tokens=100)
    scheduler.withdraw(late)
    scheduler.submit(late, max_queue=MANY)
    assert logits(submit(scheduler, [pair(6, 10)])) == [6]
    assert not {each.query[0] for batch in engine.batches for each in batch} & {4, 5}


def test_nothing_is_added_to_what_failed(start: Callable[..., Scheduler]) -> None:
    def fail(_: object) -> RawScores:
        raise ValueError("no kernel image")

    scheduler = start(Engine(fail))
    request = grow(scheduler, [pair(3, 10)], coming=1)
    with pytest.raises(ValueError, match="no kernel image"):
        request.answer.done.result(SECONDS)
    assert not scheduler.extend(request, [pair(4, 10)], coming=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_closed_scheduler_waits_for_the_last_part(start: Callable[..., Scheduler], workers: int) -> None:
    scheduler, ended = start(Engine(), workers=workers), threading.Event()
    request = grow(scheduler, [pair(3, 10)], coming=1)
    scheduler.close(ended.set)
    assert not ended.wait(0.01)
    assert scheduler.extend(request, [pair(4, 10)], coming=0)
    assert logits(request) == [3, 4]
    assert ended.wait(SECONDS)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_closed_scheduler_ends_when_the_rest_is_withdrawn(start: Callable[..., Scheduler], workers: int) -> None:
    scheduler, ended = start(Engine(), workers=workers), threading.Event()
    request = grow(scheduler, [pair(3, 10)], coming=1)
    scheduler.close(ended.set)
    scheduler.withdraw(request)
    assert ended.wait(SECONDS)


def test_an_abort_while_parts_are_to_come(start: Callable[..., Scheduler]) -> None:
    engine = Engine()
    scheduler = start(engine, workers=2)
    engine.gate.clear()
    request = grow(scheduler, [pair(3, 10)], coming=1)
    assert engine.begun.wait(SECONDS)
    scheduler.abort()
    engine.gate.set()
    with pytest.raises(ClosedError):
        request.answer.done.result(SECONDS)
    assert not scheduler.extend(request, [pair(4, 10)], coming=0)
    scheduler.join(SECONDS)
    assert not scheduler._threads[0].is_alive()
