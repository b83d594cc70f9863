"""Many clients of one service: ours on onnxruntime, a Flask app and infinity on torch, with the same weights.

Run it with: .venv/bin/python benchmarks/peers/service.py [--soak]
All requests go to 127.0.0.1. `--soak` adds ten minutes of load on our service, to watch its memory.
"""

import asyncio
import itertools
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from classifier import Classifier, classifier
from lists import Lists, Request
from tables import print_table
from team import PEERS, ROOT

from rerank_plugins import Reranker

INFINITY = ROOT / ".bench" / "infinity"
CLIENTS = (1, 8, 32)
# Name, documents, tokens per document, requests for each number of clients.
LOADS = (("50 of 150 tokens", 50, 150, 32), ("5 of 30 tokens", 5, 30, 480))
CHECKED = 10_000
_STARTUP_SECONDS = 180.0
_LONG = 600.0
_SOAK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Contestant:
    """A service: the command that starts it on a port, and its path."""

    label: str
    command: list[str]
    path: str


def main() -> None:
    """Print requests per second and latencies, then those of /health under load, and check ten thousand responses."""
    folders, lists = classifier(), Lists()
    rows: dict[str, list[list[str]]] = {name: [] for name, *_ in LOADS}
    with ExitStack() as services:
        urls = {each.label: services.enter_context(_running(each))[0] for each in _contestants(folders)}
        for name, documents, tokens, count in LOADS:
            requests = lists.requests(min(count, 48), documents=documents, tokens=tokens)
            for clients in CLIENTS:
                for label, url in urls.items():
                    seconds, latencies = asyncio.run(_load(url, list(_repeated(requests, count)), clients))
                    rows[name].append([str(clients), label, *_figures(seconds, latencies)])
    for name, *_ in LOADS:
        print(f"\n### {name}\n")
        print_table(["clients", "", "requests per second", "p50, ms", "p95, ms", "p99, ms"], rows[name])
    ours = _contestants(folders)[0]
    with _running(ours) as (url, process):
        _probe(url, lists)
        _check(url, lists, folders.fp32)
        if "--soak" in sys.argv:
            _soak(url, lists, process)


def _contestants(folders: Classifier) -> list[Contestant]:
    # The others have no timeout.
    serve = [sys.executable, "-m", "rerank_plugins", "serve", "--timeout", str(_LONG), "--model"]
    flask = str(Path(__file__).with_name("flask_app.py"))
    infinity = [str(INFINITY / "bin" / "infinity_emb"), "v2", "--model-id", str(folders.torch), "--device", "cpu"]
    return [
        Contestant(
            "rerank_plugins, fp32",
            [*serve, str(folders.fp32), "--port"],
            "/rerank",
        ),
        Contestant(
            "rerank_plugins, int8",
            [*serve, str(folders.int8), "--port"],
            "/rerank",
        ),
        Contestant("Flask", [str(PEERS / "bin" / "python"), flask, str(folders.torch)], "/rerank"),
        Contestant("infinity", [*infinity, "--port"], "/rerank"),
    ]


@contextmanager
def _running(contestant: Contestant) -> Iterator[tuple[str, psutil.Process]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*contestant.command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}{contestant.path}"
    try:
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not _answers(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{contestant.label} did not start: {contestant.command}")
            time.sleep(0.5)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.post(url, json={"query": "who", "documents": ["a", "b"]}, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def _repeated(requests: list[Request], count: int) -> Iterator[Request]:
    return itertools.islice(itertools.cycle(requests), count)


async def _load(url: str, requests: list[Request], clients: int) -> tuple[float, list[float]]:
    """Let each client send one request after another until all are done."""
    waiting = iter(requests)
    latencies: list[float] = []

    async def ask(client: httpx.AsyncClient) -> None:
        for query, documents in waiting:
            start = time.perf_counter()
            response = await client.post(url, json={"query": query, "documents": documents})
            response.raise_for_status()
            latencies.append(time.perf_counter() - start)

    async with httpx.AsyncClient(timeout=_LONG, limits=httpx.Limits(max_connections=clients)) as client:
        start = time.perf_counter()
        await asyncio.gather(*(ask(client) for _ in range(clients)))
        return time.perf_counter() - start, latencies


def _figures(seconds: float, latencies: list[float]) -> list[str]:
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return [f"{len(latencies) / seconds:.2f}", *(f"{cuts[percent - 1] * 1000:,.0f}" for percent in (50, 95, 99))]


def _probe(url: str, lists: Lists) -> None:
    """Request /health repeatedly while 32 clients rerank 50 documents each."""
    requests = lists.requests(64, documents=50, tokens=150)
    health = url.removesuffix("/rerank") + "/health"

    async def both() -> list[float]:
        load = asyncio.create_task(_load(url, requests, 32))
        latencies = []
        async with httpx.AsyncClient(timeout=60) as client:
            while not load.done():
                start = time.perf_counter()
                (await client.get(health)).raise_for_status()
                latencies.append(time.perf_counter() - start)
                await asyncio.sleep(0.05)
        await load
        return latencies

    latencies = asyncio.run(both())
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    print(
        f"\n/health while 32 clients rerank 50 documents each, {len(latencies):,} times: "
        f"p50 {cuts[49] * 1000:.1f} ms, p95 {cuts[94] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms."
    )


def _check(url: str, lists: Lists, folder: Path) -> None:
    """Send ten thousand requests and compare each response with the library's own result."""
    requests = lists.requests(100, documents=5, tokens=30)
    with Reranker(folder) as reranker:
        expected = {
            query: {documents[each.index]: each.raw_score for each in reranker.rank(query, documents)}
            for query, documents in requests
        }
    failed = crossed = 0
    waiting = iter(list(_repeated(requests, CHECKED)))

    async def ask(client: httpx.AsyncClient) -> None:
        nonlocal failed, crossed
        for query, documents in waiting:
            response = await client.post(url, json={"query": query, "documents": documents})
            if response.status_code != 200:
                failed += 1
                continue
            found = {row["document"]: row["score"] for row in response.json()["results"]}
            own = expected[query]
            crossed += found.keys() != own.keys() or any(abs(found[text] - own[text]) > 1e-3 for text in own)

    async def all_of_them() -> None:
        async with httpx.AsyncClient(timeout=_LONG) as client:
            await asyncio.gather(*(ask(client) for _ in range(32)))

    asyncio.run(all_of_them())
    print(f"\n{CHECKED:,} requests with 5 short documents, 32 clients: {failed} failed, {crossed} with wrong results.")


def _soak(url: str, lists: Lists, process: psutil.Process) -> None:
    requests = lists.requests(48, documents=10, tokens=150)
    start, rows = time.monotonic(), []
    while (passed := time.monotonic() - start) < _SOAK_SECONDS:
        rows.append([f"{passed:.0f}", f"{process.memory_info().rss / 2**20:.0f}"])
        asyncio.run(_load(url, list(_repeated(requests, 400)), 8))
    print("\n### Memory under load\n")
    print_table(["seconds", "resident MB"], rows)


if __name__ == "__main__":
    main()
