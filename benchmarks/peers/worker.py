"""One contestant in its own process: reads jobs from standard input and writes results to standard output.

`team.py` runs it in the environment of the contestant's library. Jobs and results are JSON objects, one per line.
"""

import asyncio
import inspect
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import contestants
from peak import peak_mb

# A request, and its result: seconds, and the order of the documents.
Request = tuple[str, list[str]]
Done = tuple[float, list[int]]


def main() -> None:
    """Load a contestant, report that it is ready, and run one job after another."""
    # Libraries print to standard output, so results go to a duplicate of it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, folder, options = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    rank = getattr(contestants, name)(folder, **options)
    _run_job(rank, [("warm up", ["a first document", "a second one"])], 1)
    _send(answers, {"ready": True})
    for line in sys.stdin:
        job = json.loads(line)
        try:
            _send(answers, _run_job(rank, job["requests"], job["callers"]))
        except Exception as error:  # noqa: BLE001 - any error under load is the library's result
            _send(answers, {"error": f"{type(error).__name__}: {error}"[:200]})


def _run_job(rank: contestants.Rank, requests: list[Request], callers: int) -> dict[str, Any]:
    start = time.perf_counter()
    if inspect.iscoroutinefunction(rank):
        done = asyncio.run(_in_coroutines(rank, requests, callers))
    elif callers == 1:
        done = [_timed(rank, request) for request in requests]
    else:
        with ThreadPoolExecutor(callers) as threads:
            done = list(threads.map(lambda request: _timed(rank, request), requests))
    return {
        "seconds": time.perf_counter() - start,
        "latencies": [seconds for seconds, _ in done],
        "orders": [order for _, order in done],
        "peak_mb": peak_mb(),
    }


def _timed(rank: contestants.Rank, request: Request) -> Done:
    start = time.perf_counter()
    order = rank(*request)
    return time.perf_counter() - start, order


async def _in_coroutines(rank: contestants.Rank, requests: list[Request], callers: int) -> list[Done]:
    places = asyncio.Semaphore(callers)

    async def one(request: Request) -> Done:
        async with places:
            start = time.perf_counter()
            order = await rank(*request)
            return time.perf_counter() - start, order

    return list(await asyncio.gather(*map(one, requests)))


def _send(stream: TextIO, value: dict[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
