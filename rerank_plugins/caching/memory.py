"""Keep scores in this process, and evict the least recently used first."""

import threading
from collections.abc import Mapping, Sequence

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.forks import reset_after_fork
from rerank_plugins.scores import DocumentScore

with extra("cache", provides="cachetools"):
    from cachetools import LRUCache

# Memory of one score: key, score, and the entries of the two dicts behind it.
BYTES_A_SCORE = 450


class MemoryCache:
    """A cache in memory; safe to share between threads and Rerankers.

    Args:
        max_bytes: Memory it may use, estimated.

    Raises:
        InvalidValueError: If that is less than one score takes.

    Examples:
        >>> reranker = Reranker(cache=MemoryCache(max_bytes=100_000_000))
    """

    def __init__(self, max_bytes: int = 64_000_000) -> None:
        if max_bytes < BYTES_A_SCORE:
            raise InvalidValueError(
                f"max_bytes must be at least {BYTES_A_SCORE}, the size of one score, got {max_bytes}."
            )
        self._max_bytes = max_bytes
        self._scores: LRUCache[bytes, DocumentScore] = LRUCache(max_bytes // BYTES_A_SCORE)
        self._lock = threading.Lock()
        reset_after_fork(self, MemoryCache._renew_lock)

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        """See `ScoreCache.get_many`."""
        with self._lock:
            return [self._scores.get(key) for key in keys]

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        """See `ScoreCache.set_many`."""
        with self._lock:
            self._scores.update(scores)

    def __len__(self) -> int:
        return len(self._scores)

    def __reduce__(self) -> tuple[type["MemoryCache"], tuple[int]]:
        return type(self), (self._max_bytes,)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
