"""Watch an event loop while something is awaited on it."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any


async def watch(work: Coroutine[Any, Any, Any], *, every: float) -> tuple[list[float], float]:
    """Await some work beside a ticker; return the gaps between its ticks, and the work's own time, in seconds."""
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(every)
            gaps.append(time.perf_counter() - before)

    ticking = asyncio.create_task(tick())
    start = time.perf_counter()
    await work
    seconds = time.perf_counter() - start
    ticking.cancel()
    return gaps, seconds
