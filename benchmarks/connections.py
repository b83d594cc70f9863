"""What idle and dripping connections cost other callers: 2,500 of them against a service with 1,024 descriptors.

    python benchmarks/connections.py --seconds 30

Prints the seconds that `/health` and a client that ranks one document take, on a new connection each time, and the
lines that the attack writes into the log. Run it from the repository: it uses the attacks of the tests.
"""

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from tests.attack.connections import crowd
from tests.attack.service import under_attack

IDLE, DRIPPING, DESCRIPTORS = 2_000, 500, 1_024
BODY = {"query": "who wrote hamlet", "documents": ["Shakespeare wrote Hamlet."]}


def attack(address: tuple[str, int]) -> None:
    """Hold connections until the process is ended."""

    async def hold() -> None:
        async with crowd(address, idle=IDLE, dripping=DRIPPING):
            await asyncio.Event().wait()

    asyncio.run(hold())


def measure(url: str, seconds: float) -> None:
    """Ask as a client without a connection of its own does, and print how long it took."""
    times: dict[str, list[float]] = {"health": [], "rerank": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in times:
            start = time.monotonic()
            with httpx.Client(base_url=url, timeout=60) as client:
                answer = client.get("/health") if name == "health" else client.post("/rerank", json=BODY)
            assert answer.status_code == 200, answer.text
            times[name].append(time.monotonic() - start)
        time.sleep(0.1)
    for name, values in times.items():
        print(f"{name}: {len(values)} answered, median {median(values):.3f} s, longest {max(values):.3f} s")


def main() -> None:
    """Measure a service before the attack, and under it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, under_attack(Path(folder), descriptors=DESCRIPTORS) as target:
        print("alone")
        measure(target.url, seconds / 3)
        before = target.log.read_text().count("\n")
        attacker = multiprocessing.get_context("spawn").Process(target=attack, args=(target.address,))
        attacker.start()
        print(f"with {IDLE:,} idle and {DRIPPING:,} dripping connections, and {DESCRIPTORS:,} descriptors")
        measure(target.url, seconds)
        attacker.kill()
        attacker.join()
        lines = target.log.read_text().splitlines()[before:]
        others = sum('"request"' not in line for line in lines)
        print(f"lines in the log, other than of requests: {others}")
        print(f"peak memory: {target.peak()} MiB")


if __name__ == "__main__":
    main()
