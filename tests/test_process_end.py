"""A program that ends while its threads rank: what waits is dropped, the passes under way end, the status is its own.

Passes are counted, not timed. The backend holds each pass until a caller hears that its pairs were dropped, so any pass
that starts after that, or a queue that is worked off, shows in the count.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 120.0
WORKERS = 2

PROGRAM = """
import os, signal, sys, threading
from rerank_plugins import ClosedError, Reranker
from rerank_plugins.backends.onnx import OnnxBackend

loaded, dropped, both_at_work = threading.Event(), threading.Event(), threading.Barrier({workers} + 1)
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Counting(OnnxBackend):
    def forward(self, inputs):
        if loaded.is_set():
            os.write(log, b"p")
            if not dropped.is_set():
                both_at_work.wait()
            dropped.wait()
        return super().forward(inputs)

reranker = Reranker(backend=Counting, num_threads={workers})
loaded.set()

def rank():
    try:
        reranker.rank("who wrote hamlet", [f"document {{number}}" for number in range(2000)])
    except ClosedError:
        os.write(log, b"d")
    finally:
        dropped.set()

threading.Thread(target=rank, daemon=True).start()
both_at_work.wait()
os.write(log, b"e")
{end}
"""

FOR_EVER = "threading.Event().wait()"


def start(end: str, log: Path) -> subprocess.Popen[str]:
    program = PROGRAM.format(workers=WORKERS, end=end)
    return subprocess.Popen([sys.executable, "-c", program, str(log)], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("reranker.close()", 0),
        ("del reranker", 0),
        ("raise ValueError('the program\\'s own')", 1),
    ],
)
def test_what_waits_is_dropped_when_the_main_thread_ends(tmp_path: Path, end: str, status: int) -> None:
    program = start(end, tmp_path / "log")
    _, errors = program.communicate(timeout=SECONDS)
    assert program.returncode == status, errors
    assert errors == "" or "the program's own" in errors
    assert sorted((tmp_path / "log").read_text()) == sorted("p" * WORKERS + "e" + "d"), "a pass began after the end"


def test_ctrl_c_ends_a_threaded_program(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = start("print('ranking', file=sys.stderr, flush=True)\n" + FOR_EVER, log)
    assert program.stderr is not None
    assert program.stderr.readline() == "ranking\n"
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=SECONDS)
    assert program.returncode == -signal.SIGINT, errors
    assert "KeyboardInterrupt" in errors
    assert "terminate called" not in errors
    assert sorted(log.read_text()) == sorted("p" * WORKERS + "e" + "d"), "a pass began after the end"
