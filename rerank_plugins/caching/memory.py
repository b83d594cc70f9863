"""Scores kept in the memory of this process; the least recently used are evicted first."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.forks import reset_after_fork
from rerank_plugins.scores import DocumentScore

with extra("cache", provides="cachetools"):
    from cachetools import LRUCache

# Memory per score: key, score, and the entries of the two dicts behind it.
BYTES_A_SCORE = 450


class MemoryCache:
    """A cache in memory; safe to share between threads and Rerankers.

    Args:
        max_bytes: Memory limit.

    Raises:
        InvalidValueError: If the limit is too small for one score.

    Examples:
        >>> reranker = Reranker(cache=MemoryCache(max_bytes=100_000_000))
    """

    def __init__(self, max_bytes: int = 64_000_000) -> None:
        if max_bytes < BYTES_A_SCORE:
            raise InvalidValueError(f"max_bytes must be at least {BYTES_A_SCORE}, the size of one score: {max_bytes}.")
        self._max_bytes = max_bytes
        self._in_use = False
        self._clear()
        reset_after_fork(self, MemoryCache._reset)

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        """See `ScoreCache.get_many`."""
        with self._exclusively() as scores:
            return [None] * len(keys) if scores is None else [scores.get(key) for key in keys]

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        """See `ScoreCache.set_many`."""
        with self._exclusively() as known:
            if known is not None:
                known.update(scores)

    def __len__(self) -> int:
        return len(self._scores)

    def __reduce__(self) -> tuple[type["MemoryCache"], tuple[int]]:
        return type(self), (self._max_bytes,)

    @contextmanager
    def _exclusively(self) -> Iterator["LRUCache[bytes, DocumentScore] | None"]:
        """Lock the scores; None if this thread holds them already, as when a signal handler interrupts it."""
        with self._lock:
            if self._in_use:
                yield None
                return
            self._in_use = True
            try:
                yield self._scores
            finally:
                self._in_use = False

    def _clear(self) -> None:
        self._scores: LRUCache[bytes, DocumentScore] = LRUCache(self._max_bytes // BYTES_A_SCORE)
        self._lock = threading.RLock()
        self._in_use = False

    def _reset(self) -> None:
        # A child forked while another thread changed the scores has them half changed.
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._clear()
