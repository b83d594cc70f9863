"""Start the contestants and alternate between them, so that changes in the machine's speed affect all alike."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import kendalltau

Request = tuple[str, list[str]]
ROOT = Path(__file__).parents[2]
# Virtual environments (see README.md): of the peers that work with our versions of torch and transformers, and of the
# one that needs older versions.
PEERS, OLDER = ROOT / ".bench" / "peers", ROOT / ".bench" / "onnx"
# After a run, the threads of OpenMP and onnxruntime keep spinning briefly (200 ms by default with Intel's OpenMP).
_REST = 0.3
_FIRST = 5


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to rerank.

    Attributes:
        label: Its name in the tables.
        function: Its function in `contestants.py`.
        folder: The model's folder.
        options: Keyword arguments for the function.
        environment: The virtual environment it runs in; None: ours.
    """

    label: str
    function: str
    folder: Path
    options: dict[str, object] = field(default_factory=dict)
    environment: Path | None = None

    @property
    def command(self) -> list[str]:
        """The worker's command line."""
        python = sys.executable if self.environment is None else str(self.environment / "bin" / "python")
        worker = str(Path(__file__).with_name("worker.py"))
        return [python, worker, self.function, str(self.folder), json.dumps(self.options)]


@dataclass(slots=True)
class Measured:
    """A contestant's results for one kind of job.

    Attributes:
        latencies: Seconds per request.
        orders: The indices of each request's documents, best first.
        seconds: Total time of all its jobs.
        peak_mb: Peak memory of its process so far.
        error: The error message, if it failed.
    """

    latencies: list[float] = field(default_factory=list)
    orders: list[list[int]] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0
    error: str | None = None

    @property
    def median(self) -> float:
        """The median latency, in seconds."""
        return statistics.median(self.latencies)

    @property
    def p95(self) -> float:
        """The 95th percentile of the latencies, in seconds; the largest if there are fewer than twenty."""
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(0.95 * len(self.latencies)))]

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    def add(self, answer: dict[str, Any]) -> None:
        """Add a worker's results."""
        if "error" in answer:
            self.error = answer["error"]
            return
        self.latencies += answer["latencies"]
        self.orders += answer["orders"]
        self.seconds += answer["seconds"]
        self.peak_mb = answer["peak_mb"]

    def agreement(self, reference: "Measured") -> tuple[float, float]:
        """Return the mean Kendall tau and the mean overlap of the top five with the reference's orders."""
        taus, overlaps = [], []
        for mine, other in zip(self.orders, reference.orders, strict=True):
            taus.append(kendalltau(_ranks(mine), _ranks(other)).statistic)
            overlaps.append(len(set(mine[:_FIRST]) & set(other[:_FIRST])) / len(other[:_FIRST]))
        return statistics.fmean(taus), statistics.fmean(overlaps)


class Team:
    """Loaded contestants, ready for jobs."""

    def __init__(self, workers: dict[str, "subprocess.Popen[str]"]) -> None:
        self._workers = workers

    def measure(self, jobs: Iterable[Sequence[Request]], *, callers: int = 1) -> dict[str, Measured]:
        """Let every contestant finish a job before the next job starts, and rotate who goes first.

        Args:
            jobs: Lists of requests.
            callers: Number of concurrent requests.
        """
        measured = {label: Measured() for label in self._workers}
        labels = list(measured)
        for turn, requests in enumerate(jobs):
            for label in labels[turn % len(labels) :] + labels[: turn % len(labels)]:
                if measured[label].error is None:
                    time.sleep(_REST)
                    measured[label].add(_ask(self._workers[label], {"requests": requests, "callers": callers}))
        return measured


@contextmanager
def loaded(contestants: Iterable[Contestant]) -> Iterator[Team]:
    """Start a process for each contestant, and end all of them on exit."""
    workers: dict[str, subprocess.Popen[str]] = {}
    try:
        for contestant in contestants:
            worker = subprocess.Popen(
                contestant.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            workers[contestant.label] = worker
            _read(worker)
        yield Team(workers)
    finally:
        for worker in workers.values():
            worker.communicate()


def _ask(worker: "subprocess.Popen[str]", job: dict[str, object]) -> dict[str, Any]:
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    return _read(worker)


def _read(worker: "subprocess.Popen[str]") -> dict[str, Any]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"A worker ended without a result. To see why, run it directly: {worker.args!r}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _ranks(order: list[int]) -> list[int]:
    ranks = [0] * len(order)
    for rank, place in enumerate(order):
        ranks[place] = rank
    return ranks
