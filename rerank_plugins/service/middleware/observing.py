"""Give each request an id, a line in the log and a place in the metrics, and answer unexpected errors."""

import asyncio
import re
import time
import uuid
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rerank_plugins.results import RerankReport
from rerank_plugins.service.log import traceback_of
from rerank_plugins.service.metrics import Metrics
from rerank_plugins.service.refusals import refuse
from rerank_plugins.wire.paths import FORMATS

_log = structlog.get_logger("rerank_plugins.service")
# An id sent by a caller is written into logs and headers: only characters that are harmless in both.
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_LONGEST_PATH = 200
# Counted by path even if the request was refused before it was routed.
_KNOWN_PATHS = frozenset({*FORMATS, "/info", "/metrics"})
# Asked every few seconds: not worth a line in the log.
_UNLOGGED = frozenset({"/health", "/ready", "/metrics"})


class Observing:
    """The outermost middleware.

    It also turns an unexpected exception into a 500 without details; the traceback goes to the log.

    Args:
        app: The application.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state["id"] = _id_of(scope)
        start, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = state["id"]
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - nobody further out would answer, not even a panic in Rust
            name, path = type(error).__name__, _shown(scope["path"])
            _log.error("internal error", request_id=state["id"], path=path, error=name, exception=traceback_of(error))
            if not status:
                await refuse(scope, error)(scope, receive, sending)
        finally:
            self._record(scope, status, time.perf_counter() - start)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's own path: a path made up by a caller must not become a label.
        path: str = scope["path"]
        route: str = getattr(scope.get("route"), "path", path if path in _KNOWN_PATHS else "other")
        state: dict[str, Any] = scope["state"]
        report = state.get("report")
        self._metrics.observe(route, status, seconds, report)
        if route in _UNLOGGED:
            return
        _log.info(
            "request",
            request_id=state["id"],
            method=scope["method"],
            path=_shown(path),
            status=status,
            format=getattr(state.get("format"), "name", None),
            seconds=round(seconds, 6),
            **_numbers(report),
            **({"texts": state["texts"]} if "texts" in state else {}),
        )


def _shown(path: str) -> str:
    """Return a path as the log shows it: anybody can send a long one."""
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}... ({len(path):,} characters)"


def _id_of(scope: Scope) -> str:
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if _ID.fullmatch(sent) else uuid.uuid4().hex


def _numbers(report: RerankReport | None) -> dict[str, Any]:
    if report is None:
        return {}
    return {
        "documents": report.candidates,
        "tokens": report.tokens,
        "truncated": report.truncated,
        "queue_seconds": report.queue_seconds,
    }
