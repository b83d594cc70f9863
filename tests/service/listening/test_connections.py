"""Which connections are ended, and which are given up to make room."""

import pytest

from rerank_plugins.service.listening.connections import Connections, Phase


class Wire:
    """A connection that notes what is done to it."""

    def __init__(self) -> None:
        self.waiting = 0
        self.ended: list[object] = []

    def unsent(self) -> int:
        return self.waiting

    def expire(self, phase: Phase) -> None:
        self.ended.append(phase)

    def abort(self) -> None:
        self.ended.append("aborted")


def opened(connections: Connections, *phases: Phase) -> list[Wire]:
    wires = [Wire() for _ in phases]
    for wire, phase in zip(wires, phases, strict=True):
        assert connections.open(wire)
        connections.enter(wire, phase)
    return wires


def limits(most: int = 10) -> Connections:
    return Connections(most=most, header_timeout=60.0, send_timeout=30.0)


@pytest.fixture
def now() -> float:
    import time

    return time.monotonic()


def test_half_heads_and_rests_of_bodies_end_in_time(now: float) -> None:
    connections = limits()
    head, idle, busy, lingering = opened(connections, Phase.HEAD, Phase.IDLE, Phase.BUSY, Phase.LINGERING)
    connections.look(now)
    assert not head.ended + idle.ended + busy.ended + lingering.ended
    connections.look(now + 1_000)
    assert (head.ended, lingering.ended) == ([Phase.HEAD], [Phase.LINGERING])
    assert not idle.ended + busy.ended, "uvicorn ends idle ones, and the service's timeout those that are answered"


def test_an_answer_that_is_not_taken_is_given_up(now: float) -> None:
    connections = limits()
    taken, stuck, growing = opened(connections, Phase.BUSY, Phase.BUSY, Phase.IDLE)
    for step in range(5):
        taken.waiting, stuck.waiting, growing.waiting = 1_000 - step, 1_000, 1_000 + step
        connections.look(now + 10 * step)
    assert (taken.ended, stuck.ended[:1], growing.ended[:1]) == ([], ["aborted"], ["aborted"])
    assert connections.unsent() == taken.waiting + stuck.waiting + growing.waiting


def test_the_quietest_connection_makes_room() -> None:
    connections = limits(most=4)
    busy, idle, head, lingering = opened(connections, Phase.BUSY, Phase.IDLE, Phase.HEAD, Phase.LINGERING)
    for expected in (lingering, head):
        assert not expected.ended
        (new,) = opened(connections, Phase.BUSY)
        assert expected.ended == ["aborted"]
        assert not new.ended
    opened(connections, Phase.BUSY)
    assert idle.ended == ["aborted"]
    assert not connections.open(Wire()), "all others are being answered"
    assert not busy.ended


def test_the_longest_wait_makes_room_first() -> None:
    connections = limits(most=3)
    first, second, third = opened(connections, Phase.HEAD, Phase.HEAD, Phase.HEAD)
    connections.enter(first, Phase.HEAD)
    opened(connections, Phase.HEAD)
    assert (first.ended, second.ended, third.ended) == ([], ["aborted"], [])


def test_closed_connections_are_forgotten() -> None:
    connections = limits()
    (wire,) = opened(connections, Phase.HEAD)
    connections.close(wire)
    connections.close(wire)
    assert (len(connections), connections.phase(wire)) == (0, None)
