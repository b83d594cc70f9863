"""What every cache offers, and the keys of pairs."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from rerank_plugins.scores import DocumentScore

# Part of every key: raise it with any change that can change a score after a pair became tokens, such as in a backend,
# in a head, or in how windows become one score. What changes the tokens raises ENCODING_VERSION.
SCORING_VERSION = 1
# URL schemes of a Redis server; the last one is a Unix socket.
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


@runtime_checkable
class ScoreCache(Protocol):
    """Where scores are kept, under the 32 bytes that `KeyMaker.key` makes of a pair.

    It may forget any score at any time, and must never answer with another pair's. It is called from many threads, and
    each call waits for it. If it raises, or answers with anything else, that is logged, and the pairs are scored.
    """

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        """Look scores up, in the order of the keys; None for a miss."""
        ...

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        """Keep scores."""
        ...


class KeyMaker:
    """Names for the pairs of one scorer.

    Args:
        fingerprint: Everything that a score depends on beside the pair itself: the model's files, its settings.

    Examples:
        >>> KeyMaker("model").key("a", "bc") == KeyMaker("model").key("ab", "c")
        False
    """

    def __init__(self, fingerprint: str) -> None:
        self._start = hashlib.blake2b(digest_size=32)
        _add(self._start, f"{SCORING_VERSION} {fingerprint}")

    def key(self, query: str, document: str, instruction: str | None = None) -> bytes:
        """Name a pair. Each part is preceded by its length, so no two pairs have the same name."""
        digest = self._start.copy()
        for part in (query, document, *(() if instruction is None else (instruction,))):
            _add(digest, part)
        return digest.digest()


def _add(digest: "hashlib.blake2b", text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)
