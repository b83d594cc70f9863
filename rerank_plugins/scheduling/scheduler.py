"""Threads that score the queue's batches and answer each caller as soon as its own pairs are done."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Sequence

from rerank_plugins.backends.base import RawScores
from rerank_plugins.errors import ClosedError, OutOfMemoryError
from rerank_plugins.forks import reset_after_fork
from rerank_plugins.scheduling.queue import Batch, BatchLimits, FairQueue
from rerank_plugins.scheduling.request import Request
from rerank_plugins.text.pairs import EncodedPair

# Scores a batch of pairs.
Run = Callable[[Sequence[EncodedPair]], RawScores]


class Scheduler:
    """A bounded queue in front of a backend, and the threads that empty it.

    Args:
        run: Scores a batch; called from `limits.workers` threads at once.
        limits: What the backend wants of its batches.
    """

    def __init__(self, run: Run, limits: BatchLimits) -> None:
        self._run = run
        self._limits = limits
        # None while open; then what to call when nothing is scored any more.
        self._on_end: Callable[[], None] | None = None
        self._start()
        _living.add(self)
        # Threads do not survive a fork, and one of them may hold the lock.
        reset_after_fork(self, Scheduler._start)

    def _start(self) -> None:
        self._changed = threading.Condition()
        self._queue = FairQueue(self._limits)
        self._threads: list[threading.Thread] = []
        # When each thread that is scoring took its batch.
        self._busy_since: dict[int, float] = {}

    def submit(self, request: Request, *, max_queue: int) -> None:
        """Queue a caller's pairs; without pairs the request is done immediately.

        Args:
            request: The pairs, or the first of them. One that was withdrawn is ignored.
            max_queue: Pairs of all callers that may wait, these and those to come included. A request is always
                accepted when nobody waits.

        Raises:
            OverloadedError: If the queue is full.
            ClosedError: If the scheduler was closed.
        """
        if not request.pairs:
            request.answer.done.set_result(None)
            return
        with self._changed:
            if self._on_end is not None:
                raise _closed()
            if request.dropped:
                return
            self._queue.add(request, max_queue=max_queue)
            self._start_threads()
            self._changed.notify(self._limits.workers)

    def extend(self, request: Request, pairs: Sequence[EncodedPair], *, coming: int) -> bool:
        """Queue more pairs of a submitted request, of which `coming` will follow; a closed scheduler takes them, too.

        Returns:
            Whether anybody waits for them: False once the request was withdrawn, or failed.
        """
        with self._changed:
            if request.dropped:
                return False
            self._queue.extend(request, pairs, coming=coming)
            self._changed.notify(self._limits.workers)
            return True

    def withdraw(self, request: Request) -> None:
        """Drop a caller's waiting pairs; batches that run already are finished, and their scores ignored."""
        with self._changed:
            self._remove(request)

    def close(self, on_end: Callable[[], None] = lambda: None) -> None:
        """Accept no more requests, score what is queued, then end the threads.

        Args:
            on_end: Called once when nothing is scored any more, by the last thread or, where none runs, right here.
        """
        with self._changed:
            if self._on_end is not None:
                return
            self._on_end = on_end
            self._changed.notify_all()
            if self._threads:
                return
        on_end()

    def abort(self) -> None:
        """Close, but drop what is queued: its callers get a `ClosedError`."""
        self.close()
        with self._changed:
            dropped = self._queue.remove_all()
            self._changed.notify_all()
        for request in dropped:
            request.answer.fail(_closed())

    def join(self, timeout: float | None = None) -> None:
        """Wait for the threads to end, for each at most `timeout` seconds."""
        for thread in list(self._threads):
            thread.join(timeout)

    @property
    def waiting(self) -> int:
        """Pairs of all callers that no batch has taken."""
        with self._changed:
            return self._queue.waiting

    @property
    def busy_seconds(self) -> float:
        """How long the slowest batch has been running; 0 when none is."""
        now = time.monotonic()
        return max((now - since for since in list(self._busy_since.values())), default=0.0)

    def _start_threads(self) -> None:
        while len(self._threads) < self._limits.workers:
            # Daemons, since the interpreter must be able to end while they wait for work. See `_end_all`.
            thread = threading.Thread(target=self._work, name=f"rerank-{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._score(batch)
            del batch  # Its pairs must not stay in memory while this thread waits for the next one.
            del self._busy_since[threading.get_ident()]
        with self._changed:
            last, on_end = len(self._threads) == 1, self._on_end
            if not last:  # `join` waits for the last one, and for what it calls.
                self._threads.remove(threading.current_thread())
        if last and on_end is not None:
            on_end()

    def _next_batch(self) -> Batch | None:
        """Wait for the next batch; None when the scheduler was closed and nothing is queued."""
        with self._changed:
            while not self._queue:
                if self._on_end is not None and self._queue.is_complete:
                    return None
                self._changed.wait()
            batch = self._queue.take_batch(idle=self._limits.workers - len(self._busy_since))
            self._busy_since[threading.get_ident()] = time.monotonic()
            return batch

    def _score(self, batch: Batch) -> None:
        """Score a batch: in halves where memory runs out, and each caller's pairs alone where it fails."""
        parts = [batch]
        while parts:
            part = parts.pop(0)
            error = self._attempt(part)
            if error is None:
                continue
            callers = list(dict.fromkeys(request for request, _ in part))
            if isinstance(error, OutOfMemoryError) and len(part) > 1:
                parts[:0] = self._halves(part)
            elif len(callers) > 1:  # Whose pairs made it fail shows when each caller's are scored alone.
                parts[:0] = [[slot for slot in part if slot[0] is caller] for caller in callers]
            else:
                self._fail(callers[0], error)

    def _attempt(self, batch: Batch) -> BaseException | None:
        """Score a batch once; return what it failed with, if it did.

        The error is returned, not handled where it is caught: there its traceback keeps the failed pass's frames
        alive, and with them the tensors that a smaller batch needs the memory of (PyTorch FAQ, "My out of memory
        exception handler can't allocate memory").
        """
        try:
            scores = self._run([request.pairs[place] for request, place in batch])
        except OutOfMemoryError as error:
            return _without_frames(error)
        except BaseException as error:  # noqa: BLE001 - the callers get it, whatever it is
            return error
        self._answer(batch, scores)
        return None

    def _halves(self, batch: Batch) -> list[Batch]:
        """Halve a batch, and remember that less fits than was thought."""
        half = len(batch) // 2
        lengths = [request.length(place) for request, place in batch]
        tokens = max(lengths) * half if self._limits.pads else sum(lengths) // 2
        with self._changed:
            self._queue.remember_memory(tokens)
        return [batch[:half], batch[half:]]

    def _answer(self, batch: Batch, scores: RawScores) -> None:
        """Store a batch's scores, and tell the callers whose last pairs these were."""
        rows: dict[Request, list[int]] = {}
        for row, (request, _) in enumerate(batch):
            rows.setdefault(request, []).append(row)
        for request, own in rows.items():
            with self._changed:
                last = request.answer.store([batch[row][1] for row in own], scores[own]) and not request.coming
            if last:
                request.answer.done.set_result(None)

    def _fail(self, request: Request, error: BaseException) -> None:
        with self._changed:
            self._remove(request)
            request.answer.fail(error)

    def _remove(self, request: Request) -> None:
        self._queue.remove(request)
        if self._on_end is not None:  # Threads may have waited for the rest of it.
            self._changed.notify_all()


def _without_frames(error: BaseException) -> BaseException:
    """Let go of the frames that an error and its causes hold, and of the memory that these hold."""
    chained: BaseException | None = error
    while chained is not None:
        chained.__traceback__ = None
        chained = chained.__cause__ or chained.__context__
    error.__cause__ = error.__context__ = None
    return error


def _closed() -> ClosedError:
    return ClosedError("The model was closed, or the process is ending. Make a new Reranker.")


# Closed ones too, for as long as their threads run.
_living: "weakref.WeakSet[Scheduler]" = weakref.WeakSet()
# A forward pass that takes longer than this hangs, and must not keep the process from ending.
_LAST_PASS_SECONDS = 60.0


@atexit.register
def _end_all() -> None:
    """Drop what is queued and let each running pass end: native code that outlives the interpreter aborts it."""
    schedulers = list(_living)
    for scheduler in schedulers:
        scheduler.abort()
    for scheduler in schedulers:
        scheduler.join(_LAST_PASS_SECONDS)
