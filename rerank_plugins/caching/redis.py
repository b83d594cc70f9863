"""Keep scores in Redis, shared by many processes and machines."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rerank_plugins.caching.values import VALUE_BYTES, pack_score, unpack_score
from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.scores import DocumentScore

with extra("redis", provides="redis"):
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    from rerank_plugins.caching.connections import connection_class, limited

logger = logging.getLogger(__name__)

# What an answer may take beside its values: the protocol's own bytes, for each value and for a new connection.
_BYTES_A_VALUE = max(VALUE_BYTES.values()) + 64
_BYTES_A_CALL = 65_536
# Storing so many takes 10 ms of CPU time in redis-py: longer calls may wait longer.
_VALUES_A_TIMEOUT = 250


class RedisCache:
    """A cache in Redis. If Redis is slow or down, or says anything odd, scoring continues without it.

    Values are those of `rerank_plugins.caching.values`, under the namespace, a colon, and the 32 bytes of the key.

    Args:
        url: Its address: redis://host:6379/0, rediss:// for TLS, unix:// for a socket.
        namespace: Prefix of the keys, for servers that several applications share.
        ttl: Seconds until a score expires.
        timeout: Seconds that a call of the cache may take in all: connecting, sending and receiving; as many again for
            every further 250 scores. A `socket_timeout` in the URL wins: redis://host:6379/0?socket_timeout=0.5.
        retry_after: Seconds to leave Redis alone after a failure; then one call tries whether it is back, and the
            others go on without it until it is.

    Attributes:
        failures: How often Redis gave no usable answer.

    Raises:
        InvalidValueError: If the URL or the timeout is invalid.

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
        self._client = _open_client(url, timeout)
        self._timeout: float = self._client.connection_pool.connection_kwargs["socket_timeout"]
        if not 0 < self._timeout < math.inf:
            raise InvalidValueError(f"timeout must be a positive number of seconds, got {self._timeout}.")
        self._prefix = namespace.encode() + b":"
        self._ttl = ttl
        self._retry_after = retry_after
        self._silent_until = 0.0
        self._failing = False
        self.failures = 0

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        """Look scores up with one MGET; see `ScoreCache.get_many`."""
        names = [self._prefix + key for key in keys]
        found = self._ask(lambda: _checked(self._client.mget(names), len(names)), len(names))
        return [None] * len(keys) if found is None else list(map(unpack_score, keys, found))

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        """Keep scores with one pipeline; see `ScoreCache.set_many`."""
        values = {self._prefix + key: pack_score(key, score) for key, score in scores.items()}
        self._ask(lambda: self._set(values), len(values))

    def __reduce__(self) -> tuple[object, tuple[dict[str, object]]]:
        return _rebuild, (self._arguments,)

    def _set(self, values: Mapping[bytes, bytes]) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipeline:
            for name, value in values.items():
                pipeline.set(name, value, ex=self._ttl)
            return _checked(pipeline.execute(), len(values))

    def _ask(self, question: Callable[[], list[Any]], values: int) -> list[Any] | None:
        """Ask Redis within the call's limits; None where it is not asked, or gives no usable answer."""
        if not values or not self._may_ask():
            return None
        try:
            seconds = self._timeout * math.ceil(values / _VALUES_A_TIMEOUT)
            with limited(seconds=seconds, max_bytes=_BYTES_A_CALL + values * _BYTES_A_VALUE):
                found = question()
        except Exception as error:  # noqa: BLE001 - an odd answer makes redis-py raise anything, such as AttributeError
            self._failed(error)
            return None
        self._failing = False
        return found

    def _may_ask(self) -> bool:
        now = time.monotonic()
        if now < self._silent_until:
            return False
        if self._failing:  # One call tries; the others do not all wait for a server that is still down.
            self._silent_until = now + self._retry_after
        return True

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._failing = True
        self._silent_until = time.monotonic() + self._retry_after
        with suppress(Exception):  # The rest of an odd answer must not be taken for the next one.
            self._client.connection_pool.disconnect(inuse_connections=False)
        logger.warning("Redis gave no usable answer (%s); scoring continues without the cache.", type(error).__name__)


def _open_client(url: str, timeout: float) -> Redis:
    kind = connection_class(url)
    try:
        client = Redis.from_url(
            url,
            connection_class=kind,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # Without retries: another try has no time left.
            retry=Retry(NoBackoff(), 0),
            # A third version of the protocol begins with a round trip.
            protocol=2,
        )
        kind(**client.connection_pool.connection_kwargs)  # It connects later, and looks at its options now.
    except (ValueError, TypeError, RedisError):  # Messages quote the port, which may be a part of a password.
        raise InvalidValueError(
            "The Redis URL of the cache is invalid. Write redis://:password@host:port/0, with / and # in the "
            "password escaped as %2F and %23, and behind a ? only options that redis-py knows."
        ) from None
    return client


def _checked(answer: object, values: int) -> list[Any]:
    if not isinstance(answer, list) or len(answer) != values:
        raise RedisError("The answer does not have one value a key.")
    return answer


def _rebuild(arguments: dict[str, object]) -> RedisCache:
    return RedisCache(**arguments)  # type: ignore[arg-type]  # what __init__ was given
