"""Connections that an attacker opens, and holds without a request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

HEAD = b"POST /rerank HTTP/1.1\r\nHost: localhost\r\nX-Drip: "


class Crowd:
    """Many connections to one address, each replaced when the service ends it.

    Attributes:
        ended: How many the service has ended.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.ended = 0

    async def idle(self) -> None:
        """Open a connection and send nothing, for ever."""
        await self._hold(every=None)

    async def drip(self, every: float) -> None:
        """Send a header that never ends, a byte at a time, for ever."""
        await self._hold(every=every)

    async def _hold(self, every: float | None) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._address)
                try:
                    await _read_while_dripping(reader, writer, every)
                finally:
                    writer.transport.abort()
                    with suppress(OSError):
                        await writer.wait_closed()
            self.ended += 1
            await asyncio.sleep(1.0)  # an attacker who comes back


async def _read_while_dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, every: float | None) -> None:
    """Read until the service ends the connection."""
    if every is None:
        await reader.read()
        return
    writer.write(HEAD)
    dripping = asyncio.create_task(_drip(writer, every))
    try:
        await reader.read()
    finally:
        dripping.cancel()


async def _drip(writer: asyncio.StreamWriter, every: float) -> None:
    with suppress(OSError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(every)


@asynccontextmanager
async def crowd(address: tuple[str, int], *, idle: int, dripping: int, every: float = 1.0) -> AsyncIterator[Crowd]:
    """Attack an address while the block runs."""
    attackers = Crowd(address)
    tasks = [asyncio.create_task(attackers.idle()) for _ in range(idle)]
    tasks += [asyncio.create_task(attackers.drip(every)) for _ in range(dripping)]
    try:
        yield attackers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
