"""A device that runs out of memory: batches are halved, and no failed pass keeps the memory that the next one needs.

The device's memory is counted in blocks that the pass holds in its own frames, as a forward pass holds its tensors.
"""

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from rerank_plugins.backends.base import RawScores
from rerank_plugins.errors import OutOfMemoryError
from rerank_plugins.scheduling.queue import BatchLimits
from rerank_plugins.scheduling.request import Request
from rerank_plugins.scheduling.scheduler import Scheduler
from rerank_plugins.text.pairs import EncodedPair
from tests.waiting import SECONDS

TOKENS = 10


class Block:
    """The device memory of one pair, taken for as long as it is referenced."""


class Device:
    """Memory for eight pairs; each pass is remembered by its size.

    Args:
        fail: How a pass ends that does not fit.
        room: Pairs that the memory holds.
    """

    def __init__(self, fail: Callable[[], None], *, room: int = 8) -> None:
        self.passes: list[int] = []
        self.room = room
        self._fail = fail
        self._blocks: weakref.WeakSet[Block] = weakref.WeakSet()

    def run(self, pairs: Sequence[EncodedPair]) -> RawScores:
        self.passes.append(len(pairs))
        return self._layers(pairs)

    def _layers(self, pairs: Sequence[EncodedPair]) -> RawScores:
        blocks = []
        for _ in pairs:
            blocks.append(Block())
            self._blocks.add(blocks[-1])
            if len(self._blocks) > self.room:
                self._fail()
        return np.array([each.query[0] for each in pairs], dtype=np.float32)


def allocate() -> None:
    raise MemoryError("Tried to allocate 20.00 MiB")


def plainly() -> None:
    raise OutOfMemoryError("CUDA out of memory")


def with_a_cause() -> None:
    """Behave like the torch backend."""
    try:
        allocate()
    except MemoryError as error:
        raise OutOfMemoryError("CUDA out of memory") from error


def while_handling() -> None:
    try:
        allocate()
    except MemoryError:
        raise OutOfMemoryError("CUDA out of memory")  # noqa: B904 - what somebody's own backend may do


def without_a_cause() -> None:
    try:
        allocate()
    except MemoryError:
        raise OutOfMemoryError("CUDA out of memory") from None


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """Memory must be freed without the garbage collector, which may run too late."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def start() -> Iterator[Callable[[Device], Scheduler]]:
    started: list[Scheduler] = []

    def make(device: Device) -> Scheduler:
        started.append(Scheduler(device.run, BatchLimits(workers=1, pairs_per_batch=None, pads=True, pass_tokens=0)))
        return started[-1]

    yield make
    for each in started:
        each.close()
        each.join()


def ask(scheduler: Scheduler, count: int) -> list[float]:
    pairs = [EncodedPair((number,), (), TOKENS, False, False) for number in range(count)]
    request = Request(pairs, max_batch_tokens=16 * TOKENS)
    scheduler.submit(request, max_queue=1000)
    request.answer.done.result(SECONDS)
    return list(request.answer.scores.tolist())


@pytest.mark.parametrize("fail", [plainly, with_a_cause, while_handling, without_a_cause])
def test_sixteen_pairs_do_not_fit_and_eight_do(start: Callable[[Device], Scheduler], fail: Callable[[], None]) -> None:
    device = Device(fail)
    scheduler = start(device)
    assert ask(scheduler, 16) == list(range(16))
    assert device.passes == [16, 8, 8], "the failed pass keeps its memory while the halves are tried"
    device.passes.clear()
    assert ask(scheduler, 16) == list(range(16))
    assert device.passes == [8, 8], "the budget is what fits"


def test_halves_are_halved_again(start: Callable[[Device], Scheduler]) -> None:
    device = Device(with_a_cause, room=3)
    scheduler = start(device)
    assert ask(scheduler, 10) == list(range(10))
    assert device.passes == [10, 5, 2, 3, 5, 2, 3]
    device.passes.clear()
    assert ask(scheduler, 10) == list(range(10))
    assert device.passes == [2] * 5


def test_a_single_pair_that_does_not_fit_is_an_error(start: Callable[[Device], Scheduler]) -> None:
    device = Device(with_a_cause, room=0)
    scheduler = start(device)
    with pytest.raises(OutOfMemoryError, match="CUDA out of memory"):
        ask(scheduler, 3)
    device.room = 8
    assert ask(scheduler, 3) == [0, 1, 2], "and the next call is served"


def test_who_waits_for_the_error_gets_no_memory_with_it(start: Callable[[Device], Scheduler]) -> None:
    device = Device(with_a_cause, room=0)
    with pytest.raises(OutOfMemoryError, match="CUDA out of memory") as caught:
        ask(start(device), 1)
    device.room = 8
    assert ask(start(device), 8) == list(range(8)), "the error in the caller's hands holds the failed pass"
    assert caught.value.__cause__ is None
