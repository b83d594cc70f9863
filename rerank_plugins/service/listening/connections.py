"""All connections of a service: bounded in number, and closed when the other side makes no progress."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Protocol

# As nginx's lingering_timeout.
_LINGERING_SECONDS = 5.0


class Phase(Enum):
    """What a connection is doing, in the order in which connections are given up when there are too many."""

    LINGERING = "sending the rest of a request that has been answered"
    HEAD = "expected to send a request's head"
    IDLE = "kept alive between two requests"
    BUSY = "sending a body, or waiting for its answer"


class Watched(Protocol):
    """A connection, as seen from here."""

    def unsent(self) -> int:
        """How many bytes of answers the other side has not taken yet."""
        ...

    def expire(self, phase: Phase) -> None:
        """End it, because a phase took too long."""
        ...

    def abort(self) -> None:
        """End it immediately, without sending what is left."""
        ...


class Connections:
    """The connections of one service.

    Args:
        most: How many may be open.
        header_timeout: Seconds for a request's head, from the first byte, or from the start of the connection. nginx's
            `client_header_timeout`.
        send_timeout: Seconds after which an answer is given up of which the other side takes nothing. nginx's
            `send_timeout`.

    Attributes:
        draining: Whether connections are to end after their present answer.

    Examples:
        >>> connections = Connections(most=1_000, header_timeout=60.0, send_timeout=60.0)
        >>> async with connections.watched():
        ...     await server.serve()
    """

    def __init__(self, *, most: int, header_timeout: float, send_timeout: float) -> None:
        self.draining = False
        self._most = most
        self._send_timeout = send_timeout
        self._timeouts = {Phase.LINGERING: _LINGERING_SECONDS, Phase.HEAD: header_timeout}
        self._phases: dict[Watched, Phase] = {}
        # Since when each connection has been in its phase, the longest first: dictionaries keep the order of insertion.
        self._since: dict[Phase, dict[Watched, float]] = {phase: {} for phase in Phase}
        self._stuck: dict[Watched, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._phases)

    def unsent(self) -> int:
        """Return how many bytes of answers wait for other sides to take them."""
        return sum(size for size, _ in self._stuck.values())

    def open(self, connection: Watched) -> bool:
        """Count a new connection, and make room for it as nginx does: give up the one that has been quiet longest.

        Returns:
            False if there is no room, because every other connection is being answered.
        """
        self.enter(connection, Phase.HEAD)
        if len(self) <= self._most:
            return True
        for phase in (Phase.LINGERING, Phase.HEAD, Phase.IDLE):
            oldest = next(iter(self._since[phase]), connection)
            if oldest is not connection:
                self.close(oldest)
                oldest.abort()
                return True
        return False

    def phase(self, connection: Watched) -> Phase | None:
        """Return what a connection is doing; None if it is not counted."""
        return self._phases.get(connection)

    def enter(self, connection: Watched, phase: Phase) -> None:
        """Note that a connection enters a phase; its time starts again."""
        self.close(connection)
        self._phases[connection] = phase
        self._since[phase][connection] = time.monotonic()

    def close(self, connection: Watched) -> None:
        """Forget a connection."""
        if (phase := self._phases.pop(connection, None)) is not None:
            del self._since[phase][connection]

    @asynccontextmanager
    async def watched(self, *, every: float = 1.0) -> AsyncIterator[None]:
        """Keep the deadlines while the block runs, looking every so many seconds."""

        async def watch() -> None:
            while True:
                await asyncio.sleep(every)
                self.look(time.monotonic())

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()

    def look(self, now: float) -> None:
        """End the connections whose time is over at a moment of `time.monotonic()`."""
        for phase, seconds in self._timeouts.items():
            for connection, since in list(self._since[phase].items()):
                if now - since < seconds:
                    break
                connection.expire(phase)
        self._look_for_readers(now)

    def _look_for_readers(self, now: float) -> None:
        """End the connections whose other side has taken nothing of its answer for too long."""
        unsent = {connection: size for connection in self._phases if (size := connection.unsent())}
        stuck = {}
        for connection, size in unsent.items():
            before, since = self._stuck.get(connection, (0, now))
            # Only what shrinks is progress: whoever asks again and again without reading makes it grow.
            stuck[connection] = (size, now if size < before else since)
        self._stuck = stuck
        for connection, (_, since) in stuck.items():
            if now - since >= self._send_timeout:
                connection.abort()
