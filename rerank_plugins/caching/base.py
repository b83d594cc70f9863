"""What every cache offers, and how a pair is named in it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

# What the URL of a Redis server begins with; the last one is a Unix socket.
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


@dataclass(frozen=True, slots=True)
class PairScore:
    """What a model said of a pair.

    Attributes:
        logit: In float32, before the activation.
        query_truncated: Whether the model saw only a part of the query.
        document_truncated: Whether it saw only a part of the document.
        span: The characters `[start, end)` of the document that won, where it was read in windows.
    """

    logit: float
    query_truncated: bool
    document_truncated: bool
    span: tuple[int, int] | None


@runtime_checkable
class ScoreCache(Protocol):
    """Where scores are kept; a name is the 32 bytes that `KeyMaker.key` makes.

    It may forget any score at any time; it may never answer with another pair's. It is called from many threads at
    once, and never raises: scoring goes on without it.
    """

    def get_many(self, keys: Sequence[bytes]) -> list[PairScore | None]:
        """Look scores up, in the order of the keys; None for what is not there."""
        ...

    def set_many(self, scores: Mapping[bytes, PairScore]) -> None:
        """Keep scores."""
        ...


class KeyMaker:
    """Names for the pairs of one model in one setting.

    Args:
        parts: All that a score depends on beside query and document: the digest of the model's files, its backend,
            dtype, max_length, ...

    Examples:
        >>> KeyMaker("model").key("a", "bc") == KeyMaker("model").key("ab", "c")
        False
    """

    def __init__(self, *parts: str) -> None:
        self._start = hashlib.blake2b(digest_size=32)
        for part in parts:
            _add(self._start, part)

    def key(self, query: str, document: str) -> bytes:
        """Name a pair. Each part is preceded by its length, so that no two pairs have one name."""
        digest = self._start.copy()
        _add(digest, query)
        _add(digest, document)
        return digest.digest()


def _add(digest: "hashlib.blake2b", text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)
