"""Connections to Redis on which a whole call has one deadline and one limit of bytes, whatever the server sends.

redis-py's timeouts are those of a single read, so an answer that drips in may take any number of them, and resolving a
name knows none at all.
"""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection


class _Limits:
    """What the call under way may still use."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._ends_at = time.monotonic() + seconds
        self._bytes = max_bytes

    def seconds_left(self) -> float:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("The call's time is over.")
        return left

    def count(self, received: int) -> None:
        self._bytes -= received
        if self._bytes < 0:
            raise OSError("The server sent more than was asked for.")


_limits: ContextVar[_Limits] = ContextVar("_limits")


@contextmanager
def limited(*, seconds: float, max_bytes: int) -> Iterator[None]:
    """Limit all that the connections of this module do in the block, together.

    Args:
        seconds: For connecting, sending and receiving.
        max_bytes: To receive.

    Raises:
        TimeoutError: In the block, from whatever is under way when the time is over.
        OSError: In the block, when more bytes came. Redis-py turns both into errors of its own.
    """
    token = _limits.set(_Limits(seconds, max_bytes))
    try:
        yield
    finally:
        _limits.reset(token)


class _LimitedSocket:
    """A connected socket that works within the limits of the call under way."""

    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        self._timeout = connected.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)

    def settimeout(self, seconds: float | None) -> None:
        """Set the timeout of single operations: 0 to ask without waiting."""
        self._timeout = seconds

    def sendall(self, data: bytes) -> None:
        """Send all bytes, which takes the socket's timeout as a deadline already."""
        self._wait_no_longer()
        self._connected.sendall(data)

    def recv(self, size: int) -> bytes:
        """Receive some bytes."""
        self._wait_no_longer()
        data = self._connected.recv(size)
        _limits.get().count(len(data))
        return data

    def recv_into(self, buffer: bytearray) -> int:
        """Receive some bytes, as hiredis does."""
        self._wait_no_longer()
        received = self._connected.recv_into(buffer)
        _limits.get().count(received)
        return received

    def _wait_no_longer(self) -> None:
        left = _limits.get().seconds_left()
        self._connected.settimeout(left if self._timeout is None else min(left, self._timeout))


class _Limited(AbstractConnection):
    """Connects within the limits of the call under way, and says nothing that has to be answered first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Introducing the library takes two round trips of a new connection's first call (redis-py 8, and before).
        self.driver_info = self.lib_name = self.lib_version = None

    def _connect(self) -> Any:
        """Connect in a thread of its own, since nothing else can be told to resolve a name in time."""
        connected: Future[socket.socket] = Future()
        threading.Thread(target=self._connect_into, args=(connected,), name="rerank-redis", daemon=True).start()
        try:
            return _LimitedSocket(connected.result(_limits.get().seconds_left()))
        except BaseException:
            connected.add_done_callback(_close_late)
            raise

    def _connect_into(self, connected: "Future[socket.socket]") -> None:
        try:
            connected.set_result(super()._connect())  # type: ignore[no-untyped-call,safe-super]  # the next class has it
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            connected.set_exception(error)


def _close_late(connected: "Future[socket.socket]") -> None:
    if connected.exception() is None:
        connected.result().close()


class _LimitedConnection(_Limited, Connection):
    pass


class _LimitedTlsConnection(_Limited, SSLConnection):
    pass


class _LimitedUnixConnection(_Limited, UnixDomainSocketConnection):
    pass


def connection_class(url: str) -> type[AbstractConnection]:
    """Choose the class of connections to a server by its URL."""
    if url.startswith("unix:"):
        return _LimitedUnixConnection
    return _LimitedTlsConnection if url.startswith("rediss:") else _LimitedConnection
