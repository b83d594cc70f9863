"""Receive a request's body, parse it, and encode its answer; large ones in a thread of their own, one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from rerank_plugins.service.errors import BodyTimeoutError, DisconnectedError
from rerank_plugins.service.incoming import Body
from rerank_plugins.wire.errors import UnreadableBodyError

T = TypeVar("T")

# Parsed on the event loop in less than a millisecond.
_SMALL = 65_536
# One thread: what parsing needs for a moment is needed once, however many bodies arrive together.
_thread = ThreadPoolExecutor(1, thread_name_prefix="rerank-bodies")


async def received(request: Request, counted: Body) -> bytearray:
    """Return a request's body, counted as it arrives.

    Raises:
        UnreadableBodyError: If it is not declared as JSON.
        OverloadedError: If the bodies of all requests would exceed their limit.
        BodyTimeoutError: If it stopped arriving, and its place is needed.
        DisconnectedError: If the caller left.
    """
    if not _is_json(request.headers.get("content-type", "")):
        raise UnreadableBodyError("The body is not declared as JSON. Send the header Content-Type: application/json.")
    body = bytearray()
    try:
        async with counted.timeout:
            async for chunk in request.stream():
                counted.add(len(chunk))
                body += chunk
    except TimeoutError:
        raise BodyTimeoutError("The body stopped arriving, and others need its place. Send it again.") from None
    except ClientDisconnect:
        raise DisconnectedError("The caller closed the connection before the body was complete.") from None
    counted.complete()
    return body


async def off_the_loop(size: int, work: Callable[[], T]) -> T:
    """Do some work on a body or an answer of a size in bytes: in a thread if it is large."""
    if size <= _SMALL:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_thread, work)


def _is_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    return message.get_content_maintype() == "application" and (
        (kind := message.get_content_subtype()) == "json" or kind.endswith("+json")
    )
