"""A service in a process of its own, as an attacker meets it: with few descriptors, and a log that is counted."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.waiting import SECONDS, until

CLIENTS = 8


@dataclass(frozen=True)
class Target:
    """A service under attack.

    Attributes:
        url: Where it listens.
        process: Its process.
        log: What it writes to standard error.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def answers(self) -> bool:
        """Whether its health and a client that ranks are answered."""
        body = {"query": "who", "documents": ["a"]}
        return (
            httpx.get(f"{self.url}/health", timeout=SECONDS).status_code == 200
            and httpx.post(f"{self.url}/rerank", json=body, timeout=SECONDS).status_code == 200
        )

    def statuses_of(self, body: bytes) -> set[int]:
        """Send a body from 8 clients at once; the statuses that they get, 0 for a connection that was closed."""

        def send(_: int) -> int:
            headers = {"Content-Type": "application/json"}
            try:
                return httpx.post(f"{self.url}/rerank", content=body, headers=headers, timeout=2 * SECONDS).status_code
            except httpx.TransportError:  # refused while it still sent
                return 0

        with ThreadPoolExecutor(CLIENTS) as clients:
            return set(clients.map(send, range(CLIENTS)))

    def peak(self) -> int:
        """Its peak of resident memory so far, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@contextmanager
def under_attack(folder: Path, *flags: object, descriptors: int | None = None) -> Iterator[Target]:
    """Run `rerank-plugins serve` on a free port, ready to rank, until the block ends.

    Args:
        folder: Where to write its log.
        flags: Flags of the command.
        descriptors: How many descriptors it may open.
    """
    log = folder / "service.log"
    limit = f"ulimit -n {descriptors}; " if descriptors else ""
    command = [sys.executable, "-m", "rerank_plugins", "serve", "--port", "0", *map(str, flags)]
    with log.open("wb") as written:
        process = subprocess.Popen(
            ["bash", "-c", f'{limit}exec "$@"', "bash", *command],
            stderr=written,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        until(lambda: _url(log) or process.poll() is not None)
        target = Target(_url(log), process, log)
        until(lambda: httpx.get(f"{target.url}/ready", timeout=SECONDS).status_code == 200)
        yield target
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _url(log: Path) -> str:
    for line in log.read_text().splitlines():
        if '"event": "listening"' in line:
            return str(json.loads(line)["url"])
    return ""
