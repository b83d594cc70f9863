"""One caller's pairs on their way through the queue, and the scores that come back."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.backends.base import RawScores
from rerank_plugins.text.pairs import EncodedPair

# The share of a batch's width that one pair may leave empty, however expensive a forward pass is.
_MAX_PADDING = 0.05


@dataclass(slots=True)
class Turn:
    """A caller's place in the fair queue, in tokens.

    Attributes:
        virtual_start: The queue's virtual time when the caller arrived.
        served_tokens: Tokens of this caller that batches have taken since.
    """

    virtual_start: float = 0.0
    served_tokens: int = 0

    @property
    def priority(self) -> tuple[float, int]:
        """The lowest is served next; between equals, the one that was served less."""
        return self.virtual_start + self.served_tokens, self.served_tokens

    def resume(self, virtual_time: float) -> None:
        """Come back after a while without pairs, in which nothing was saved up."""
        self.virtual_start = max(self.virtual_start, virtual_time - self.served_tokens)


class Answer:
    """The scores of one request, filled in batch by batch; empty until `extend`.

    Attributes:
        scores: One raw score a pair, complete when `done` is.
        padding: For each pair, the tokens of padding that its batch added to it.
        done: Resolved when all pairs are scored, or with the error of the batch that failed.
    """

    def __init__(self) -> None:
        self.scores: RawScores = np.zeros(0, dtype=np.float32)
        self.padding: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # Nobody else may cancel it: `Scheduler.withdraw` drops a request.
        self._missing = 0

    def extend(self, size: int) -> None:
        """Make room for the scores of more pairs."""
        self.scores = np.append(self.scores, np.full(size, np.nan, dtype=np.float32))
        self.padding = np.append(self.padding, np.zeros(size, dtype=np.int64))
        self._missing += size

    def store(self, places: Sequence[int], scores: RawScores) -> bool:
        """Keep the scores of some pairs; return whether these were the last ones."""
        self.scores[list(places)] = scores
        self._missing -= len(places)
        return self._missing == 0

    def fail(self, error: BaseException) -> None:
        """Resolve with an error, unless it is resolved already."""
        if not self.done.done():
            self.done.set_exception(error)


class Request:
    """One caller's pairs; a long list may be queued in parts.

    Args:
        pairs: All pairs; none where `extend` adds them.
        max_batch_tokens: Tokens that a batch with these pairs may hold, with their padding where they are padded.

    Attributes:
        pairs: The pairs so far.
        coming: How many more are expected; windows of long documents may make it more.
        dropped: Whether nobody waits for it any more.
        answer: Where the scores arrive.
        turn: The caller's place in the fair queue.
        submitted_at: When the request was made, then when it was queued, on `time.perf_counter`.
        started_at: When a batch took its first pair; None while all of them wait.
    """

    def __init__(self, pairs: Sequence[EncodedPair] = (), *, max_batch_tokens: int) -> None:
        self.pairs: list[EncodedPair] = []
        self.coming = 0
        self.dropped = False
        self.max_batch_tokens = max_batch_tokens
        self.answer = Answer()
        self.turn = Turn()
        self.submitted_at = time.perf_counter()
        self.started_at: float | None = None
        # Shortest first: the longest one is taken off the end.
        self._places: list[int] = []
        self.extend(pairs, coming=0)

    def extend(self, pairs: Sequence[EncodedPair], *, coming: int) -> None:
        """Add pairs; `coming` more will follow."""
        new = range(len(self.pairs), len(self.pairs) + len(pairs))
        self.pairs.extend(pairs)
        self.coming = coming
        self.answer.extend(len(pairs))
        self._places = sorted([*self._places, *new], key=self.length)

    @property
    def waiting(self) -> int:
        """Number of pairs that no batch has taken."""
        return len(self._places)

    @property
    def longest(self) -> int:
        """Tokens of the longest pair that waits."""
        return self.length(self._places[-1])

    @property
    def queue_seconds(self) -> float:
        """How long the first pair waited; 0 where no batch has taken one."""
        return 0.0 if self.started_at is None else self.started_at - self.submitted_at

    def length(self, place: int) -> int:
        """Tokens of one pair."""
        return self.pairs[place].length

    def take(self, width: int, count: int, *, spare: int) -> list[int]:
        """Take up to `count` waiting pairs of at most `width` tokens out of the queue, the longest first.

        Each of them nearly fills the width, or all of them together leave no more than `spare` tokens of it empty.

        Returns:
            Their places in `pairs`.
        """
        end = bisect_right(self._places, width, key=self.length)
        start = max(bisect_left(self._places, int(width * (1 - _MAX_PADDING)), key=self.length), end - count)
        empty = sum(width - self.length(place) for place in self._places[start:end])
        while start > max(0, end - count) and (empty := empty + width - self.length(self._places[start - 1])) <= spare:
            start -= 1
        taken = self._places[start:end][::-1]
        del self._places[start:end]
        self._serve(taken)
        for place in taken:
            self.answer.padding[place] = width - self.length(place)
        return taken

    def take_packed(self, tokens: int, count: int) -> list[int]:
        """Take up to `count` waiting pairs of together at most `tokens` tokens out of the queue, the longest first.

        Returns:
            Their places in `pairs`.
        """
        taken: list[int] = []
        while len(taken) < count and (end := bisect_right(self._places, tokens, key=self.length)):
            taken.append(self._places.pop(end - 1))
            tokens -= self.length(taken[-1])
        self._serve(taken)
        return taken

    def _serve(self, taken: Sequence[int]) -> None:
        if taken and self.started_at is None:
            self.started_at = time.perf_counter()
        self.turn.served_tokens += sum(self.length(place) for place in taken)

    def drop(self) -> None:
        """Take all waiting pairs out of the queue; no more are added."""
        self.dropped = True
        self._places.clear()
