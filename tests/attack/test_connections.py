"""Connections that send nothing, or drip: other callers are answered, and the log does not grow."""

import asyncio
from pathlib import Path

import pytest

from tests.attack.connections import crowd
from tests.attack.service import under_attack


@pytest.mark.parametrize(
    ("descriptors", "idle", "dripping"),
    [(256, 300, 50), pytest.param(1024, 2_000, 500, marks=pytest.mark.attack)],
)
async def test_whoever_asks_is_answered(tmp_path: Path, descriptors: int, idle: int, dripping: int) -> None:
    with under_attack(tmp_path, descriptors=descriptors) as target:
        before = target.log.read_bytes().count(b"\n")
        async with crowd(target.address, idle=idle, dripping=dripping) as attackers:
            while attackers.ended < idle + dripping - descriptors:
                assert await asyncio.to_thread(target.answers)
            for _ in range(5):
                assert await asyncio.to_thread(target.answers)
        lines = target.log.read_text().splitlines()[before:]
    assert all('"event": "request"' in line for line in lines), "the attack itself is not worth a line"
