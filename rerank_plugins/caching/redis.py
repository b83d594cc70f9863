"""Keep scores in Redis, shared by many processes and machines."""

import logging
import struct
import time
from collections.abc import Mapping, Sequence

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.scores import DocumentScore

with extra("redis", provides="redis"):
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

logger = logging.getLogger(__name__)

# A score as bytes: raw score, in double precision as scorers give it; flags for the two truncations and the presence
# of a span; the span.
_FORMAT = struct.Struct("<dB2I")


class RedisCache:
    """A cache in Redis. If Redis is slow or down, scoring continues without it.

    Args:
        url: Its address: redis://host:6379/0, rediss:// for TLS, unix:// for a socket.
        namespace: Prefix of the keys, for servers that several applications share.
        ttl: Seconds until a score expires.
        timeout: Seconds to wait for an answer.
        retry_after: Seconds to leave Redis alone after a failure, so that not every call waits for the timeout.

    Attributes:
        failures: How often Redis did not answer.

    Examples:
        >>> reranker = Reranker(cache=RedisCache("redis://localhost:6379/0", ttl=3600))
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "rerank",
        ttl: int = 86_400,
        timeout: float = 0.1,
        retry_after: float = 1.0,
    ) -> None:
        self._arguments = {
            "url": url,
            "namespace": namespace,
            "ttl": ttl,
            "timeout": timeout,
            "retry_after": retry_after,
        }
        # Without retries, which would make the caller wait longer than the timeout.
        try:
            self._client = Redis.from_url(
                url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
            )
        except ValueError:  # Its message quotes the port, which may be a part of a password.
            raise InvalidValueError(
                "The Redis URL of the cache is invalid. Write redis://:password@host:port/0, with / and # in the "
                "password escaped as %2F and %23."
            ) from None
        self._prefix = namespace.encode() + b":"
        self._ttl = ttl
        self._retry_after = retry_after
        self._silent_until = 0.0
        self.failures = 0

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        """Look scores up with one MGET; see `ScoreCache.get_many`."""
        if not keys or self._is_silent():
            return [None] * len(keys)
        try:
            found = self._client.mget([self._prefix + key for key in keys])
        except RedisError as error:
            self._failed(error)
            return [None] * len(keys)
        return [_unpack(each) if isinstance(each, bytes) else None for each in found]

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        """Keep scores with one pipeline; see `ScoreCache.set_many`."""
        if not scores or self._is_silent():
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for key, score in scores.items():
                    pipeline.set(self._prefix + key, _pack(score), ex=self._ttl)
                pipeline.execute()
        except RedisError as error:
            self._failed(error)

    def __reduce__(self) -> tuple[object, tuple[dict[str, object]]]:
        return _rebuild, (self._arguments,)

    def _is_silent(self) -> bool:
        return time.monotonic() < self._silent_until

    def _failed(self, error: RedisError) -> None:
        self.failures += 1
        self._silent_until = time.monotonic() + self._retry_after
        logger.warning("Redis did not answer (%s); scoring continues without the cache.", type(error).__name__)


def _rebuild(arguments: dict[str, object]) -> RedisCache:
    return RedisCache(**arguments)  # type: ignore[arg-type]  # what __init__ was given


def _pack(score: DocumentScore) -> bytes:
    flags = score.query_truncated | score.document_truncated << 1 | (score.span is not None) << 2
    return _FORMAT.pack(score.raw, flags, *(score.span or (0, 0)))


def _unpack(data: bytes) -> DocumentScore | None:
    if len(data) != _FORMAT.size:  # written by another program or version
        return None
    raw, flags, start, end = _FORMAT.unpack(data)
    return DocumentScore(raw, bool(flags & 1), bool(flags & 2), (start, end) if flags & 4 else None)
