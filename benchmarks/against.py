"""Compare this checkout with another one, such as a worktree of an older commit, alternating on the same machine.

Run it with: .venv/bin/python benchmarks/against.py OTHER_CHECKOUT [--turns 5]
"""

import argparse
import asyncio
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parents[1]
QUERY = "how does photosynthesis work in plants"
CALLERS = 8


def main() -> None:
    """Measure both alternately and print a table of medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
    both = [("before", given.other.resolve()), ("after", HERE)]
    for turn in range(given.turns):
        for name, checkout in both if turn % 2 == 0 else reversed(both):  # A drifting clock favours neither.
            environment = {**os.environ, "PYTHONPATH": str(checkout)}
            command = [sys.executable, __file__, "--measure"]
            output = subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True, text=True)
            found[name].append(json.loads(output.stdout))
    print(f"| median of {given.turns} turns (lowest, highest) | before | after | after / before |")
    print("|---|---:|---:|---:|")
    for measure in found["after"][0]:
        before, after = ([each[measure] for each in found[name]] for name in ("before", "after"))
        ratio = statistics.median(after) / statistics.median(before)
        print(f"| {measure} | {_shown(before)} | {_shown(after)} | {ratio:.3f} |")


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):.4g} ({min(values):.4g}, {max(values):.4g})"


def measure() -> None:
    """Measure the checkout on PYTHONPATH, in this process."""
    start = time.perf_counter()
    from rerank_plugins import Reranker

    imported = time.perf_counter()
    reranker = Reranker()
    loaded = time.perf_counter()
    lists = {size: [f"{_TEXT} Number {place}." for place in range(size)] for size in (1, 10, 50)}
    reranker.rank(QUERY, lists[10])
    found = {"import, ms": (imported - start) * 1000, "load, ms": (loaded - imported) * 1000}
    for size, documents in lists.items():
        found[f"rank {size}, ms"] = _milliseconds(functools.partial(reranker.rank, QUERY, documents), 200 // size)
    found["arank 10, ms"] = _milliseconds(lambda: asyncio.run(reranker.arank(QUERY, lists[10])), 20)
    start = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as threads:
        for _ in threads.map(lambda _: reranker.rank(QUERY, lists[10]), range(CALLERS * 5)):
            pass
    found[f"{CALLERS} callers of 10, calls per second"] = CALLERS * 5 / (time.perf_counter() - start)
    with Reranker(cache="memory") as cached:
        cached.rank(QUERY, lists[50])
        found["rank 50 from the cache, ms"] = _milliseconds(lambda: cached.rank(QUERY, lists[50]), 50)
    found["memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


_TEXT = (
    "Photosynthesis uses sunlight to convert carbon dioxide and water into glucose, and releases oxygen. "
    "It takes place in the chloroplasts of plant cells, where chlorophyll absorbs light, mostly blue and red. "
)


def _milliseconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(max(5, repeats)):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["--measure"] else main()
