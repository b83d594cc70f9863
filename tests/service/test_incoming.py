"""The bytes of all bodies: how many there may be, and whose place is needed first."""

import asyncio

import pytest

from rerank_plugins.errors import OverloadedError
from rerank_plugins.service import incoming
from rerank_plugins.service.incoming import Incoming


async def test_bodies_are_bounded_together() -> None:
    bodies = Incoming(100)
    with bodies.receive() as first:
        first.add(90)
        first.complete()
        with bodies.receive() as second, pytest.raises(OverloadedError, match="max_queue_bytes=100"):
            second.add(11)
        with bodies.receive() as second:
            second.add(10)
    with bodies.receive() as third:
        third.add(100)


async def test_one_alone_may_be_larger() -> None:
    bodies = Incoming(100)
    with bodies.receive() as body:
        body.add(60)
        body.add(60)
        assert body.size == 120


async def test_answers_that_are_not_taken_count() -> None:
    bodies = Incoming(100, unsent=lambda: 95)
    with bodies.receive() as body, pytest.raises(OverloadedError, match="max_queue_bytes"):
        body.add(10)


async def test_a_body_that_stands_still_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_STALLED_SECONDS", 0.0)
    bodies = Incoming(100)

    async def stall(ready: asyncio.Event) -> None:
        with bodies.receive() as body:
            async with body.timeout:
                body.add(90)
                ready.set()
                await asyncio.Event().wait()

    ready = asyncio.Event()
    stalled = asyncio.create_task(stall(ready))
    await ready.wait()
    with bodies.receive() as body:
        body.add(80)
        with pytest.raises(TimeoutError):
            await stalled
        with bodies.receive() as third, pytest.raises(OverloadedError):  # noqa: PT012  # the first one still moves
            body.complete()
            third.add(80)
