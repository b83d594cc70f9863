"""Start the contestants, and let them do the same jobs in turns, so that a drifting machine hits all alike."""

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
# Where the peers are installed (see README.md): those that share our versions of torch and transformers, and the one
# that needs older ones.
PEERS, OLDER = ROOT / ".bench" / "peers", ROOT / ".bench" / "onnx"
# After a run the threads of OpenMP and onnxruntime still spin for a moment (200 ms by default with Intel's OpenMP).
_REST = 0.3
_FIRST = 5


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to rerank.

    Attributes:
        label: What the tables call it.
        function: Its function in `contestants.py`.
        folder: The model.
        options: Keywords for the function.
        environment: The virtual environment it runs in; None for ours.
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
    """What a contestant did in one kind of job.

    Attributes:
        latencies: Seconds of each request.
        orders: The places of each request's documents, best first.
        seconds: Of all its jobs together.
        peak_mb: The most memory its process had held by then.
        error: What it failed with; None where it did not.
    """

    latencies: list[float] = field(default_factory=list)
    orders: list[list[int]] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0
    error: str | None = None

    @property
    def median(self) -> float:
        """Of the latencies, in seconds."""
        return statistics.median(self.latencies)

    @property
    def p95(self) -> float:
        """Of the latencies, in seconds; the largest where there are fewer than twenty."""
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(0.95 * len(self.latencies)))]

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def add(self, answer: dict[str, Any]) -> None:
        """Take in a worker's answer."""
        if "error" in answer:
            self.error = answer["error"]
            return
        self.latencies += answer["latencies"]
        self.orders += answer["orders"]
        self.seconds += answer["seconds"]
        self.peak_mb = answer["peak_mb"]

    def agreement(self, reference: "Measured") -> tuple[float, float]:
        """Return the mean Kendall tau, and the mean overlap of the first five, with another's orders."""
        taus, overlaps = [], []
        for mine, other in zip(self.orders, reference.orders, strict=True):
            taus.append(kendalltau(_ranks(mine), _ranks(other)).statistic)
            overlaps.append(len(set(mine[:_FIRST]) & set(other[:_FIRST])) / len(other[:_FIRST]))
        return statistics.fmean(taus), statistics.fmean(overlaps)


class Team:
    """Contestants that are loaded and wait for jobs."""

    def __init__(self, workers: dict[str, "subprocess.Popen[str]"]) -> None:
        self._workers = workers

    def measure(self, jobs: Iterable[Sequence[Request]], *, callers: int = 1) -> dict[str, Measured]:
        """Let every contestant do each job before the next one begins; who goes first changes.

        Args:
            jobs: Each some requests.
            callers: How many of a job's requests are under way at once.
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
    """Start a process for each contestant, and end them all at last."""
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
        raise RuntimeError(f"A worker ended without an answer. Run it by itself to see why: {worker.args!r}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _ranks(order: list[int]) -> list[int]:
    ranks = [0] * len(order)
    for rank, place in enumerate(order):
        ranks[place] = rank
    return ranks
