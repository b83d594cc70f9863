"""What surrounds every request: its id, its line in the log, its place in the metrics, its key, its size."""

import asyncio
import hmac
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rerank_plugins.service.errors import UnauthorizedError
from rerank_plugins.service.metrics import Metrics
from rerank_plugins.service.routes import DIALECTS

_log = structlog.get_logger("rerank_plugins.service")
# An id that a caller sends is written into logs and headers: only what is harmless in both.
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# Open to everybody: what a load balancer asks, the page, which has a field for the key,
# and the documentation, which holds no secret and which a browser asks for without one.
OPEN_PATHS = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json"})
# What is counted by its path even where it was refused before it was routed.
KNOWN_PATHS = frozenset({*DIALECTS, "/info", "/metrics"})
OPEN_FOLDERS = ("/page/", "/static-offline-docs/")

# Makes the answer of an error.
Refuse = Callable[[Scope, Exception], ASGIApp]


class Observed:
    """Give each request an id, and tell of it when it is over.

    It also turns what nobody expected into a 500 without a trace outside, and with one in the log.

    Args:
        app: What answers.
        metrics: Where requests are counted.
        refuse: Makes the answer of an error.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, refuse: Refuse) -> None:
        self._app, self._metrics, self._refuse = app, metrics, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        state: dict[str, Any] = scope.setdefault("state", {})
        state["id"] = asked if _ID.fullmatch(asked) else uuid.uuid4().hex
        start, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = state["id"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the last one who can answer
            _log.exception("failed", request_id=state["id"], path=scope["path"], error=type(error).__name__)
            if not status:
                await self._refuse(scope, error)(scope, receive, sending)
        finally:
            self._tell(scope, state, status, time.perf_counter() - start)

    def _tell(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        # The route's own path: what a caller makes up must not become a label.
        path: str = scope["path"]
        route: str = getattr(scope.get("route"), "path", path if path in KNOWN_PATHS else "other")
        report = state.get("report")
        self._metrics.observe(route, status, seconds, report)
        if route in ("/health", "/ready", "/metrics"):
            return
        told = {}
        if report is not None:
            told = {
                "documents": report.candidates,
                "tokens": report.tokens,
                "truncated": report.truncated,
                "queue_seconds": report.queue_seconds,
            }
        _log.info(
            "request",
            request_id=state["id"],
            method=scope["method"],
            path=scope["path"],
            status=status,
            format=getattr(state.get("dialect"), "name", None),
            seconds=round(seconds, 6),
            **told,
            **({"texts": state["texts"]} if "texts" in state else {}),
        )


class KeyRequired:
    """Let only callers in that send one of the keys.

    Args:
        app: What answers.
        keys: The keys; without any, everybody comes in.
        refuse: Makes the answer of an error.
    """

    def __init__(self, app: ASGIApp, *, keys: Sequence[str], refuse: Refuse) -> None:
        self._app, self._refuse = app, refuse
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http" or not self._keys or _is_open(scope["path"]) or self._knows(scope):
            await self._app(scope, receive, send)
            return
        error = UnauthorizedError("This service wants a key: send it as 'Authorization: Bearer KEY'.")
        await self._refuse(scope, error)(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        kind, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        sent = key.strip().encode()
        # All of them, each in constant time: how long it takes says nothing of how near a guess is.
        matches = [hmac.compare_digest(sent, known) for known in self._keys]
        return kind.lower() == "bearer" and any(matches)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


class BodyLimited:
    """Stop reading a body that has too many bytes, whatever its headers say, or that takes too long to come.

    Args:
        app: What answers.
        max_bytes: How many a body may have.
        seconds: How long it may take.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self._app, self._max_bytes, self._seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whose body is counted as it is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        read, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def counting() -> Message:
            nonlocal read, whole
            if whole:  # From here on it waits for the caller to leave.
                return await receive()
            if declared.isdigit() and int(declared) > self._max_bytes:
                raise self._too_large()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _closing(408, f"The body did not come within {self._seconds:g} s.") from None
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise self._too_large()
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, counting, send)

    def _too_large(self) -> HTTPException:
        return _closing(413, f"The body has more than {self._max_bytes:,} bytes. Send fewer or shorter documents.")


def _closing(status: int, message: str) -> HTTPException:
    # An HTTPException is the only one that passes through where FastAPI reads a body. The connection is closed, or the
    # rest of the body would be read to keep it.
    return HTTPException(status, message, {"Connection": "close"})
