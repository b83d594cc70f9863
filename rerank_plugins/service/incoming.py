"""Count the bytes of all bodies under way, and refuse or give up some when there are too many."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rerank_plugins.errors import OverloadedError

# A body that has stood still for so long is given up when another one needs its place.
_STALLED_SECONDS = 2.0


class Incoming:
    """The bodies of all requests, from their first byte until their answer is on its way.

    Args:
        max_bytes: How many bytes they may have together. One alone may exceed it.
        unsent: Tells how many bytes of answers are not taken yet by those who asked: they count, too.

    Examples:
        >>> incoming = Incoming(2**26)
        >>> with incoming.receive() as body:
        ...     async with body.timeout:
        ...         body.add(4096)
    """

    def __init__(self, max_bytes: int, unsent: Callable[[], int] = lambda: 0) -> None:
        self.unsent = unsent
        self._max_bytes = max_bytes
        self._bytes = 0
        self._arriving: set[Body] = set()

    @contextmanager
    def receive(self) -> Iterator["Body"]:
        """Count a body until the block ends."""
        body = Body(self)
        self._arriving.add(body)
        try:
            yield body
        finally:
            self.give_back(body)

    def take(self, body: "Body", size: int) -> None:
        """Count more bytes of a body.

        Raises:
            OverloadedError: If all bodies together would have too many.
        """
        while self._is_full(body, size):
            if not self._give_up_another(body):
                raise OverloadedError(
                    f"The bodies of all requests would exceed max_queue_bytes={self._max_bytes:,}. Retry later."
                )
        self._bytes += size
        body.size += size
        body.since = asyncio.get_running_loop().time()

    def complete(self, body: "Body") -> None:
        """Note that a body has arrived: from now on it keeps its place."""
        self._arriving.discard(body)

    def give_back(self, body: "Body") -> None:
        """Count none of a body any more."""
        self._arriving.discard(body)
        self._bytes -= body.size
        body.size = 0

    def _is_full(self, body: "Body", size: int) -> bool:
        others = self._bytes - body.size + self.unsent()
        return others > 0 and others + body.size + size > self._max_bytes

    def _give_up_another(self, body: "Body") -> bool:
        """Give up the body that has stood still for longest, if that is long enough."""
        longest = min(self._arriving - {body}, key=lambda each: each.since, default=None)
        if longest is None or asyncio.get_running_loop().time() - longest.since < _STALLED_SECONDS:
            return False
        self.give_back(longest)
        longest.timeout.reschedule(0.0)
        return True


class Body:
    """The body of one request.

    Attributes:
        size: The bytes that are counted for it.
        since: When the last of them arrived, on the loop's clock.
        timeout: Surrounds what receives it, and raises TimeoutError there when it is given up.
    """

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self.size = 0
        self.since = asyncio.get_running_loop().time()
        self.timeout = asyncio.timeout(None)

    def add(self, size: int) -> None:
        """Count bytes that arrived.

        Raises:
            OverloadedError: If all bodies together would have too many.
        """
        self._incoming.take(self, size)

    def complete(self) -> None:
        """Note that all of it has arrived."""
        self._incoming.complete(self)
