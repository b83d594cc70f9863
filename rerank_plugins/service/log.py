"""Write the log of this process as JSON, without ever waiting for whoever reads it."""

import logging
import os
import queue
import threading
import time
import traceback
from typing import Any

import structlog

# Lines that wait for a reader; 10,000 of the service's own are about 3 MB.
_MOST_LINES = 10_000
# How long the end of the process waits for the last lines to be read.
_LAST_SECONDS = 2.0


def log_as_json() -> None:
    """Write the log of this process, including uvicorn's, to standard error: one JSON object per line."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = DroppingHandler(2)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(capture=True)


def traceback_of(error: BaseException) -> str:
    """Format a traceback without the values of variables.

    Where a process did not call `log_as_json`, structlog would draw it with them, which takes seconds.
    """
    return "".join(traceback.format_exception(error))


class DroppingHandler(logging.Handler):
    """Writes lines from a thread of its own, and drops and counts what nobody reads in time.

    A pipe that is not read blocks whoever writes to it: a pager, or a container's log driver in its default mode, would
    stop the service.

    Args:
        descriptor: Where to write. Not `sys.stderr`: a thread that waits in there holds a lock that Python needs at its
            end.
        most: How many lines may wait.
    """

    def __init__(self, descriptor: int, *, most: int = _MOST_LINES) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(most)
        self._dropped = 0
        threading.Thread(target=self._write_all, name="rerank-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line, or drop it if too many wait."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001  # as every handler of the standard library does
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment for the lines to be written, as the end of the process does."""
        end = time.monotonic() + _LAST_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.01)

    def _write_all(self) -> None:
        while True:
            line = self._lines.get()
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._write(self._format_dropped(dropped))
            self._write(line)
            self._lines.task_done()

    def _format_dropped(self, count: int) -> str:
        text = f"{count} lines were dropped, because nobody read the log"
        record: Any = logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"})
        record.msg = text
        return self.format(record)

    def _write(self, line: str) -> None:
        left = line.encode(errors="replace") + b"\n"
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            pass  # The reader is gone: there is nobody to tell.
