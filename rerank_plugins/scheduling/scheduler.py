"""Mix the pairs of all callers into full batches, in turns, and answer each caller as soon as its own are done."""

import atexit
import threading
import time
import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from rerank_plugins.backends.base import Logits
from rerank_plugins.errors import ClosedError, OutOfMemoryError, OverloadedError
from rerank_plugins.forks import reset_after_fork
from rerank_plugins.text.pairs import EncodedPair

# How a batch of pairs is scored.
Run = Callable[[Sequence[EncodedPair]], Logits]
# A pair that waits: whose it is, and its place among theirs.
_Slot = tuple["Request", int]

# The share of a batch's width that a pair may leave empty, however dear a pass is.
_MAX_PADDING = 0.05


class Request:
    """One caller's pairs on their way through the scheduler.

    Args:
        pairs: The pairs.
        max_batch_tokens: Tokens that a batch with them may have, padding included.

    Attributes:
        logits: One a pair, in their order, when `done` is.
        done: Answers when all pairs are scored, or with what scoring failed with.
        submitted: When they were handed over, on `time.perf_counter`.
        queue_seconds: How long the first pair waited.
        padding: Tokens that were added to these pairs to make them as long as their neighbours.
    """

    def __init__(self, pairs: Sequence[EncodedPair], *, max_batch_tokens: int) -> None:
        self.pairs = pairs
        self.max_batch_tokens = max_batch_tokens
        self.logits: Logits = np.full(len(pairs), np.nan, dtype=np.float32)
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # `Scheduler.withdraw` cancels; from here on nothing else can.
        self.queue_seconds = 0.0
        self.padding = 0
        # Tokens that a caller had been given on the average when this one came, and those that it was given since.
        self.came = self.given = 0.0
        # Shortest first: the longest one is taken off the end.
        self._places = sorted(range(len(pairs)), key=self._length)
        self._missing = len(pairs)
        self.submitted = time.perf_counter()

    @property
    def waiting(self) -> int:
        """How many pairs nobody has begun."""
        return len(self._places)

    @property
    def turn(self) -> tuple[float, float]:
        """The lowest comes next; of two that are even, the one that was given less."""
        return self.came + self.given, self.given

    @property
    def longest(self) -> int:
        """Tokens of the longest pair that waits."""
        return self._length(self._places[-1])

    def take(self, width: int, count: int, *, spare: int) -> list[int]:
        """Take up to `count` waiting pairs of at most `width` tokens, the longest first.

        Each nearly fills the width, or all of them together leave no more than `spare` tokens of it empty.
        """
        end = bisect_right(self._places, width, key=self._length)
        start = max(bisect_left(self._places, int(width * (1 - _MAX_PADDING)), key=self._length), end - count)
        empty = sum(width - self._length(place) for place in self._places[start:end])
        while start > max(0, end - count) and (empty := empty + width - self._length(self._places[start - 1])) <= spare:
            start -= 1
        taken = self._places[start:end][::-1]
        if taken and self.waiting == len(self.pairs):  # These are the first.
            self.queue_seconds = time.perf_counter() - self.submitted
        del self._places[start:end]
        tokens = sum(map(self._length, taken))
        self.given += tokens
        self.padding += width * len(taken) - tokens
        return taken

    def drop(self) -> None:
        """Let go of what waits."""
        self._places.clear()

    def store(self, places: Sequence[int], logits: Logits) -> bool:
        """Keep logits; whether they were the last ones."""
        self.logits[list(places)] = logits
        self._missing -= len(places)
        return self._missing == 0

    def _length(self, place: int) -> int:
        return self.pairs[place].length


class Scheduler:
    """A bounded queue in front of a backend.

    Callers take turns: the one that was given the fewest tokens so far comes next, so that 1,000 documents do not hold
    up 5. One that comes later begins with what each of the others was given by then on the average, so that it neither
    gets all turns to catch up nor, with many like it, keeps somebody waiting for ever (the virtual time of fair
    queueing: Demers, Keshav and Shenker, SIGCOMM 1989). A batch begins with that caller's longest pair and is filled
    with pairs of like length, its own first.

    Args:
        run: Scores a batch; called from `workers` threads at once.
        workers: How many threads.
        pairs_per_batch: Pairs a batch may have; None for as many as the callers' budgets allow.
        pass_tokens: Tokens of padding that are cheaper than a pass more.
    """

    def __init__(self, run: Run, *, workers: int, pairs_per_batch: int | None, pass_tokens: int) -> None:
        self._run = run
        self._workers = workers
        self._pairs_per_batch = pairs_per_batch
        self._pass_tokens = pass_tokens
        # Tokens of a batch that the device's memory is known to hold; None before it ran out.
        self._budget: int | None = None
        self._start()
        _living.add(self)
        # Threads do not survive a fork, and a lock may be held by one of them.
        reset_after_fork(self, Scheduler._start)

    def _start(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        # Tokens that a caller would have been given that was there from the beginning.
        self._given = 0.0
        self._threads: list[threading.Thread] = []
        # When each thread that is scoring began its batch.
        self._begun: dict[int, float] = {}
        self._closed = False

    def submit(self, request: Request, *, max_queue: int) -> None:
        """Queue a caller's pairs.

        Args:
            request: The pairs; without any it is done at once.
            max_queue: How many pairs may wait, these included; a request that finds nobody waiting is always taken.

        Raises:
            OverloadedError: If the queue is full.
            ClosedError: If the scheduler was closed.
        """
        if not request.pairs:
            request.done.set_result(None)
            return
        with self._changed:
            if self._closed:
                raise ClosedError("The model was freed, or the process is ending: nothing can be scored any more.")
            waiting = self._waiting
            if waiting and waiting + len(request.pairs) > max_queue:
                raise OverloadedError(
                    f"{waiting} pairs wait to be scored, and {len(request.pairs)} more are over max_queue="
                    f"{max_queue}. Try again later, or raise max_queue."
                )
            request.came = self._given
            self._requests.append(request)
            self._wake()

    def withdraw(self, request: Request) -> None:
        """Take a caller's waiting pairs out of the queue; those that are being scored are scored for nobody."""
        with self._changed:
            request.drop()
            if request in self._requests:
                self._requests.remove(request)

    def close(self) -> None:
        """Let the threads end when they have scored what they are at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the threads to end, `timeout` seconds for each at most."""
        for thread in self._threads:
            thread.join(timeout)

    @property
    def busy_seconds(self) -> float:
        """How long the batch that takes longest has been scored; 0 when nothing is."""
        now = time.monotonic()
        return max((now - begun for begun in list(self._begun.values())), default=0.0)

    @property
    def _waiting(self) -> int:
        return sum(request.waiting for request in self._requests)

    def _wake(self) -> None:
        while len(self._threads) < self._workers:
            # Daemons: an interpreter that ends must not wait for threads that wait for work. See `_end_all`.
            thread = threading.Thread(target=self._work, name=f"rerank-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify(self._workers)

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._score(batch)
            del self._begun[threading.get_ident()]

    def _next_batch(self) -> list[_Slot] | None:
        """Wait for the next batch; None when the scheduler was closed."""
        with self._changed:
            while not self._requests:
                if self._closed:
                    return None
                self._changed.wait()
            batch = self._take_batch()
            self._begun[threading.get_ident()] = time.monotonic()
            return batch

    def _take_batch(self) -> list[_Slot]:
        by_turn = sorted(self._requests, key=lambda request: request.turn)
        lead = by_turn[0]
        width, budget = lead.longest, self._allowed(lead)
        # No thread takes more than its share, so that those with nothing to do end together.
        idle = self._workers - len(self._begun)
        room = max(1, min(budget // width, -(-self._waiting // idle)))
        if self._pairs_per_batch is not None:
            room = min(room, self._pairs_per_batch)
        batch: list[_Slot] = []
        spare = self._pass_tokens
        for request in by_turn:
            if len(batch) == room:
                break
            if self._allowed(request) >= budget or request is lead:
                taken = request.take(width, room - len(batch), spare=spare)
                spare -= sum(width - request.pairs[place].length for place in taken)
                batch.extend((request, place) for place in taken)
        self._given += sum(request.pairs[place].length for request, place in batch) / len(by_turn)
        self._requests = [request for request in self._requests if request.waiting]
        return batch

    def _allowed(self, request: Request) -> int:
        return request.max_batch_tokens if self._budget is None else min(request.max_batch_tokens, self._budget)

    def _score(self, batch: list[_Slot]) -> None:
        try:
            logits = self._run([request.pairs[place] for request, place in batch])
        except OutOfMemoryError as error:
            self._score_less_at_once(batch, error)
        except BaseException as error:  # noqa: BLE001 - the callers get it, whatever it is
            self._fail(batch, error)
        else:
            self._answer(batch, logits)

    def _score_less_at_once(self, batch: list[_Slot], error: OutOfMemoryError) -> None:
        """Score a batch in two halves, and remember that less fits than was thought."""
        if len(batch) == 1:
            self._fail(batch, error)
            return
        half = len(batch) // 2
        width = max(request.pairs[place].length for request, place in batch)
        with self._changed:
            self._budget = min(width * half, self._budget or width * half)
        for part in (batch[:half], batch[half:]):
            self._score(part)

    def _answer(self, batch: list[_Slot], logits: Logits) -> None:
        """Tell the callers whose last pairs these were."""
        rows: dict[Request, list[int]] = {}
        for row, (request, _) in enumerate(batch):
            rows.setdefault(request, []).append(row)
        for request, own in rows.items():
            with self._changed:
                last = request.store([batch[row][1] for row in own], logits[own])
            if last:
                request.done.set_result(None)

    def _fail(self, batch: list[_Slot], error: BaseException) -> None:
        """Tell the caller; where there are several, score each one's pairs alone, which shows whose they were."""
        callers = list(dict.fromkeys(request for request, _ in batch))
        if len(callers) > 1:
            for caller in callers:
                self._score([slot for slot in batch if slot[0] is caller])
            return
        self.withdraw(callers[0])
        with self._changed:
            if not callers[0].done.done():
                callers[0].done.set_exception(error)


# Closed ones too, for as long as their threads run.
_living: "weakref.WeakSet[Scheduler]" = weakref.WeakSet()
# A forward pass that takes longer than this hangs, and must not keep the process from ending.
_LAST_PASS_SECONDS = 60.0


@atexit.register
def _end_all() -> None:
    """Let every forward pass end before the interpreter does: native code that outlives it aborts the process."""
    schedulers = list(_living)
    for scheduler in schedulers:
        scheduler.close()
    for scheduler in schedulers:
        scheduler.join(_LAST_PASS_SECONDS)
