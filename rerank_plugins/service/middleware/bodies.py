"""Bound the size of a request's body, and the time it takes to arrive."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rerank_plugins.service.errors import BodyTimeoutError, BodyTooLargeError

# What a body must bring, as Apache's mod_reqtimeout has it (body=20,MinRate=500): 500 bytes a second after 20 seconds.
_GRACE_SECONDS = 20.0
_LEAST_BYTES_A_SECOND = 500


class BodyLimit:
    """Stop reading a body that is too large, whatever its headers say, or too slow.

    Args:
        app: The application.
        max_bytes: The most bytes that a body may have.
        seconds: The longest that it may take to arrive; it may take less if it drips.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self._app, self._max_bytes, self._seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, counting its body as it is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        read, complete = 0, False
        start = asyncio.get_running_loop().time()

        async def counting() -> Message:
            nonlocal read, complete
            if complete:  # From here on only a disconnect can arrive.
                return await receive()
            if declared.isdigit() and int(declared) > self._max_bytes:
                raise self._too_large()
            try:
                async with asyncio.timeout_at(start + self._allowed(read)):
                    message = await receive()
            except TimeoutError:
                raise BodyTimeoutError(
                    f"{read:,} bytes of the body came within {self._allowed(read):.0f} s. Send it faster."
                ) from None
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise self._too_large()
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, counting, send)

    def _allowed(self, read: int) -> float:
        """Return how many seconds a body may have taken of which so many bytes have arrived."""
        return min(self._seconds, _GRACE_SECONDS + read / _LEAST_BYTES_A_SECOND)

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(
            f"The body exceeds the limit of {self._max_bytes:,} bytes. Send fewer or shorter documents."
        )
