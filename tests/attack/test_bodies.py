"""The worst bodies, from several clients at once: memory stays bounded, and others are answered."""

from pathlib import Path

import pytest

from tests.attack.bodies import worst
from tests.attack.service import under_attack

MIB = 2**20
# A service with the embedded model has 180 MiB before anybody asks.
MOST_MIB = 600


@pytest.mark.attack
@pytest.mark.parametrize("name", worst(100))
def test_memory_is_bounded_whatever_is_sent(tmp_path: Path, name: str) -> None:
    body = worst(16 * MIB)[name]
    with under_attack(tmp_path, "--max-body-bytes", 16 * MIB) as target:
        for _ in range(2):
            assert target.statuses_of(body) <= {0, 200, 422, 429, 504}
        assert target.answers()
        assert target.peak() < MOST_MIB


def test_bodies_over_the_budget_are_refused(tmp_path: Path) -> None:
    with under_attack(tmp_path, "--max-queue-bytes", 2 * MIB, "--timeout", 20) as target:
        for name in ('documents of "a"', "objects in an unknown field"):
            assert target.statuses_of(worst(2 * MIB)[name]) <= {0, 200, 422, 429}
        assert target.answers()
        assert target.peak() < MOST_MIB
