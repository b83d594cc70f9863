"""Open the sockets that a service listens on, and say how many connections its descriptors allow."""

import asyncio
import errno
import socket
import time
from typing import Any

from rerank_plugins.errors import InvalidValueError

# Connections that the kernel keeps until they are accepted; uvicorn's and nginx's defaults are of this size.
_BACKLOG = 2048
# Descriptors that are no connections: listeners, files of the model, Redis, the log, and connections that are accepted
# or closed but not yet counted.
_RESERVED_DESCRIPTORS = 128
# What accept() fails with when descriptors or memory run out, as asyncio lists them.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind to every address of a host.

    Args:
        host: A name or an address.
        port: The port; 0 for any free one, which all addresses then share.

    Raises:
        InvalidValueError: If the address can't be bound, such as when the port is taken.

    Examples:
        >>> listen("127.0.0.1", 8000)[0].getsockname()
        ('127.0.0.1', 8000)
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, address in dict.fromkeys(found):
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], sockets[0].getsockname()[1] or port, *address[2:]))
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise InvalidValueError(
            f"Can't listen on host={host!r}, port={port}: {error.strerror or error}. Stop what uses it, or choose "
            "another --host or --port."
        ) from None
    return sockets


def queue_connections(listener: socket.socket) -> None:
    """Give a listener that asyncio already serves its full queue.

    asyncio accepts as many connections in one go as it was told to queue, before any of them is counted. It gets a
    small number, so that a burst can't use up the descriptors; the kernel gets this one.
    """
    listener.listen(_BACKLOG)


def most_connections(wanted: int) -> int:
    """Return how many connections may be open at once: as many as wanted, or as the limit on descriptors allows.

    Examples:
        >>> resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        >>> most_connections(100_000)
        896
    """
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return wanted
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, descriptors - min(_RESERVED_DESCRIPTORS, descriptors // 2)))


class QuietAccepts:
    """An event loop's exception handler that reports a lack of descriptors once a minute.

    asyncio reports each connection that it could not accept, with a traceback, and tries again a second later. Other
    exceptions are reported as usual.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report an exception that nobody caught."""
        error = context.get("exception")
        if not (
            isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
        ):
            loop.default_exception_handler(context)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + 60.0
            loop.default_exception_handler({"message": f"No connection can be accepted: {error.strerror}"})
