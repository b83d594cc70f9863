"""One HTTP connection: uvicorn's protocol, with limits on what a caller may send before the application sees it."""

import asyncio
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rerank_plugins.service.listening.connections import Connections, Phase

# A request's line and headers; nginx allows 4 buffers of 8 KiB for large ones, h11 64 KiB, Apache 100 headers.
_MOST_HEAD_BYTES = 65_536
_MOST_HEADERS = 100
# What chunked encoding may add to a body: as in Go's net/http, about as much as there is body, and some more.
_MOST_OVERHEAD = 131_072
_ANSWERS = {
    400: (b"400 Bad Request", b"The request's body is sent in chunks that are too small."),
    408: (b"408 Request Timeout", b"The request's head was not received in time."),
    431: (b"431 Request Header Fields Too Large", b"The request's line and headers are too large."),
    503: (b"503 Service Unavailable", b"All connections of this service are busy. Retry later."),
}


class Connection(HttpToolsProtocol):
    """A connection with deadlines for a request's head and for what nobody reads, in a bounded number.

    uvicorn has a deadline for idle connections after their first answer, and none before it, for half a head, or for an
    answer that is not taken. Xinference's `RequestDeadlineMixin` is the model, and nginx for names and defaults.

    Args:
        config: uvicorn's.
        server_state: uvicorn's.
        app_state: uvicorn's.
        connections: The connections of the service.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections
        self._head_bytes = self._headers = self._wire_bytes = self._body_bytes = 0
        self._in_head = self._in_body = False

    def unsent(self) -> int:
        """How many bytes of answers the other side has not taken yet."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """End it immediately."""
        self.transport.abort()

    def expire(self, phase: Phase) -> None:
        """End it, because a phase took too long; half a head gets an answer."""
        if phase is Phase.HEAD and self._in_head:
            self._refuse(408)
        elif phase is Phase.HEAD:
            self.transport.close()
        else:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Count the connection, or refuse it."""
        super().connection_made(transport)
        if not self._connections.open(self):
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.close(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is more than a head may have, or less body than the bytes around it."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if not self._in_head and not self._in_body and self._connections.phase(self) is Phase.IDLE:
            self._connections.enter(self, Phase.HEAD)  # its time starts with its first byte
        self._wire_bytes += len(data)
        self._parse(data)
        if self._in_head and self._wire_bytes > _MOST_HEAD_BYTES:
            self._refuse(431)
        elif self._in_body and self._wire_bytes > 2 * self._body_bytes + _MOST_OVERHEAD:
            self._refuse(400)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay_with_http(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")

    def _stay_with_http(self, rest: bytes) -> None:
        """Parse a request again without its wish to speak something else, as RFC 9110 (7.8) allows.

        Java's HttpClient offers HTTP/2 with its first request, and the parser would skip that request's body.
        """
        if self.parser.get_method() == b"CONNECT":
            self.send_400_response("This is not a proxy.")
            return
        kept = [(name, value) for name, value in self.headers if name not in (b"upgrade", b"connection")]
        head = b"".join(b"%s: %s\r\n" % header for header in kept)
        method, url = self.parser.get_method(), self.url
        self.parser = httptools.HttpRequestParser(self)
        self._parse(b"%s %s HTTP/1.1\r\n%s\r\n" % (method, url, head) + rest)

    def on_message_begin(self) -> None:
        """Begin to count a request's head."""
        super().on_message_begin()
        self._in_head, self._in_body = True, False
        self._head_bytes = self._headers = self._wire_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's line."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._headers += 1
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self._in_head = False
        if self.parser.should_upgrade():
            return
        self._in_body = True
        self._wire_bytes = self._body_bytes = 0
        self._connections.enter(self, Phase.BUSY)
        super().on_headers_complete()
        if self._connections.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if not self._in_body:  # a request that is parsed again
            return
        self._in_body = False
        super().on_message_complete()
        if self.cycle.response_complete and not self.pipeline:
            self._connections.enter(self, Phase.IDLE)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        more = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing() or more:
            return
        phase = Phase.LINGERING if self._in_body else Phase.HEAD if self._in_head else Phase.IDLE
        self._connections.enter(self, phase)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > _MOST_HEAD_BYTES or self._headers > _MOST_HEADERS:
            self._refuse(431)
            # What the parser calls must raise to stop it.
            raise _HeadTooLargeError

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and (self._in_head or self.cycle.response_started):
            self.transport.abort()  # Another answer belongs here.
            return
        line, text = _ANSWERS[status]
        body = b'{"error":"%s"}' % text
        headers = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n" % len(body)
        retry = b"Retry-After: 1\r\n" if status == 503 else b""
        self.transport.write(b"HTTP/1.1 %s\r\n%s%s\r\n%s" % (line, headers, retry, body))
        self.transport.close()


class _HeadTooLargeError(httptools.HttpParserError):
    """A request's line and headers are too large, which has been answered."""
