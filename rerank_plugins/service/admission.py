"""Which requests the service accepts: it counts those in flight, bounds their documents, and drains before it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from rerank_plugins.errors import OverloadedError
from rerank_plugins.service.errors import DrainingError


class Admission:
    """The door of the whole service, whatever it serves behind it.

    Args:
        max_queue: Documents of all accepted requests. One request alone may exceed it.

    Examples:
        >>> admission = Admission(max_queue=100)
        >>> with admission.admit(documents=50):
        ...     admission.in_flight
        1
    """

    def __init__(self, *, max_queue: int) -> None:
        self._max_queue = max_queue
        self._documents = 0
        self._in_flight = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """The number of requests being answered."""
        return self._in_flight

    @property
    def draining(self) -> bool:
        """Whether new requests are refused because the service is shutting down."""
        return self._draining

    @contextmanager
    def admit(self, documents: int) -> Iterator[None]:
        """Accept a request, before any work is done for it, and count it until the block ends.

        Args:
            documents: How many documents it has.

        Raises:
            DrainingError: If the service is shutting down.
            OverloadedError: If the documents of all requests would exceed `max_queue`.
        """
        if self._draining:
            raise DrainingError("The service is shutting down. Retry on another instance, or later.")
        if self._documents and self._documents + documents > self._max_queue:
            raise OverloadedError(
                f"The queue is full: {self._documents} documents are waiting or being ranked, and {documents} more "
                f"would exceed max_queue={self._max_queue}. Retry later."
            )
        self._in_flight += 1
        self._documents += documents
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            self._documents -= documents
            if not self._in_flight:
                self._idle.set()

    def stop(self) -> None:
        """Refuse new requests from now on."""
        self._draining = True

    async def drain(self) -> None:
        """Refuse new requests, and wait until those in flight are answered."""
        self.stop()
        await self._idle.wait()
