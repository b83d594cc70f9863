"""What the worst bodies cost a service: peak memory with 8 clients, and the processor time of the event loop.

    python benchmarks/bodies.py             # bodies of 16 MiB, from 8 clients at once
    python benchmarks/bodies.py --parsing   # the parsing alone, for each body
    python benchmarks/bodies.py --loop      # the longest time that the event loop computes without a pause

Run it from the repository: it uses the attacks of the tests.
"""

import argparse
import asyncio
import tempfile
import time
import tracemalloc
from pathlib import Path

import httpx

from rerank_plugins import RerankConfig
from rerank_plugins.errors import InvalidValueError
from rerank_plugins.options import ServiceSettings
from rerank_plugins.wire.bodies import parse
from rerank_plugins.wire.jina import JINA
from tests.attack.bodies import worst
from tests.attack.service import under_attack
from tests.service.conftest import running

MIB = 2**20


def parsing(size: int) -> None:
    """Print processor time and peak memory of parsing each body once."""
    for name, body in worst(size).items():
        start = time.process_time()
        outcome = parsed(body)
        seconds = time.process_time() - start
        tracemalloc.start()
        parsed(body)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"{name:32} {1000 * seconds:6.0f} ms  {peak / MIB:6.0f} MiB  {outcome}")


def parsed(body: bytes) -> str:
    """Parse a body as the service does, and say what came of it."""
    try:
        return f"{len(parse(body, (JINA,), lambda _: JINA, most=1_000)[1].texts)} documents"
    except InvalidValueError as error:
        return str(error)[:60]


def serving(size: int) -> None:
    """Print the peak memory of a service with 8 clients for each body, and the statuses that they get."""
    for name, body in worst(size).items():
        with tempfile.TemporaryDirectory() as folder:
            flags = ("--max-body-bytes", size, "--timeout", 20)
            with under_attack(Path(folder), *flags) as target:
                before = target.peak()
                statuses = target.statuses_of(body) | target.statuses_of(body)
                print(f"{name:32} {before:5} -> {target.peak():5} MiB  {sorted(statuses)}", flush=True)


def looping(size: int) -> None:
    """Print the longest step of the event loop while a service in this process answers each body, in processor time."""
    longest = 0.0
    run = asyncio.Handle._run  # each step of an event loop is one such call

    def measured(handle: asyncio.Handle) -> None:
        nonlocal longest
        start = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - start)

    asyncio.Handle._run = measured  # type: ignore[method-assign]
    settings = ServiceSettings(max_body_bytes=size)
    with running(settings, RerankConfig()) as service:
        service.post("/rerank", {"query": "who", "documents": ["a"]})
        for name, body in worst(size).items():
            longest = 0.0
            answer = httpx.post(
                f"{service.url}/rerank", content=body, headers={"Content-Type": "application/json"}, timeout=120
            )
            print(f"{name:32} {1000 * longest:6.1f} ms  {answer.status_code}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parsing", action="store_true", help="measure the parsing alone")
    parser.add_argument("--loop", action="store_true", help="measure the event loop")
    parser.add_argument("--mib", type=int, default=16, help="the size of each body")
    arguments = parser.parse_args()
    measure = parsing if arguments.parsing else looping if arguments.loop else serving
    measure(arguments.mib * MIB)
