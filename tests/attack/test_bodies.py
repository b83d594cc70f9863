"""The worst bodies, from several clients at once: memory stays bounded, and others are answered."""

import threading
from pathlib import Path

import httpx
import pytest

from tests.attack.bodies import worst
from tests.attack.service import Target, under_attack
from tests.waiting import SECONDS

MIB = 2**20
CLIENTS = 8
# A service with the embedded model has 180 MiB before anybody asks.
MOST_MIB = 600


def sent_by_all(target: Target, body: bytes) -> set[int]:
    """Send a body from all clients at once; the statuses that they get, 0 for a connection that was closed."""
    statuses: list[int] = []

    def send() -> None:
        headers = {"Content-Type": "application/json"}
        try:
            answer = httpx.post(f"{target.url}/rerank", content=body, headers=headers, timeout=SECONDS)
            statuses.append(answer.status_code)
        except httpx.TransportError:
            statuses.append(0)

    clients = [threading.Thread(target=send) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return set(statuses)


@pytest.mark.attack
@pytest.mark.parametrize("name", worst(100))
def test_memory_is_bounded_whatever_is_sent(tmp_path: Path, name: str) -> None:
    body = worst(16 * MIB)[name]
    with under_attack(tmp_path, "--max-body-bytes", 16 * MIB) as target:
        for _ in range(2):
            assert sent_by_all(target, body) <= {0, 200, 422, 429, 504}
        assert target.answers()
        assert target.peak() < MOST_MIB


def test_bodies_over_the_budget_are_refused(tmp_path: Path) -> None:
    with under_attack(tmp_path, "--max-queue-bytes", 2 * MIB, "--timeout", 20) as target:
        for name in ('documents of "a"', "objects in an unknown field"):
            assert sent_by_all(target, worst(2 * MIB)[name]) <= {0, 200, 422, 429}
        assert target.answers()
        assert target.peak() < MOST_MIB
