"""One connection, byte by byte: what is answered, what is refused, and when it ends."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.service.middleware import bodies
from tests.service.conftest import Service, Start
from tests.service.fakes import FakeRanker
from tests.waiting import SECONDS, until

BODY = json.dumps({"query": "who", "documents": ["a"]}).encode()
HEAD = b"POST /rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CLOSE = b"Connection: close\r\n"
LAST = HEAD + CLOSE + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


class Held(FakeRanker):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    async def arank(
        self, query: str, documents: Sequence[str], *, top_n: int | None = None, instruction: str | None = None
    ) -> ReportedList[RankResult]:
        await asyncio.to_thread(self.go.wait, SECONDS)
        return await super().arank(query, documents, top_n=top_n, instruction=instruction)


@contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as caller:
        yield caller


def rest(caller: socket.socket) -> bytes:
    """Read until the service ends the connection."""
    received = b""
    with suppress(ConnectionError):
        while more := caller.recv(65_536):
            received += more
    return received


def answer_of(caller: socket.socket) -> bytes:
    """Read one answer with a Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += caller.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(body) < length:
        body += caller.recv(65_536)
    return received


def status(answer: bytes) -> int:
    return int(answer.split()[1]) if answer else 0


def asked(service: Service, request: bytes) -> bytes:
    with connected(service) as caller:
        with suppress(ConnectionError):
            caller.sendall(request)
        return rest(caller)


def test_half_a_head_is_answered_and_ended(start: Start) -> None:
    service = start(header_timeout=0.1)
    assert status(asked(service, HEAD)) == 408
    with connected(service) as caller:
        assert rest(caller) == b""  # whoever sends nothing gets nothing
    with connected(service) as caller:
        caller.sendall(REQUEST)
        assert status(answer_of(caller)) == 200
        caller.sendall(HEAD)  # the second request has its own time
        assert status(rest(caller)) == 408


def test_an_answer_that_nobody_reads_ends(start: Start) -> None:
    service = start(load=FakeRanker, send_timeout=0.1, max_characters=10**7, max_body_bytes=10**7)
    body = json.dumps({"query": "who", "documents": ["a" * 10**6] * 8}).encode()
    with connected(service) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: service.server.connections.unsent())
        until(lambda: not service.server.connections)


def test_busy_connections_are_not_given_up(start: Start) -> None:
    ranker = Held()
    service = start(load=lambda: ranker, max_connections=2)
    with connected(service) as first, connected(service) as second:
        for caller in (first, second):
            caller.sendall(REQUEST)
        until(lambda: service.app.state.context.admission.in_flight == 2)
        refused = asked(service, REQUEST)
        assert (status(refused), b"Retry-After: 1" in refused) == (503, True)
        ranker.go.set()
        assert [status(answer_of(caller)) for caller in (first, second)] == [200, 200]
        assert status(asked(service, LAST)) == 200, "both are idle now: one makes room"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n",
        b"GET /health HTTP/1.1\r\nX: " + b"a" * 10**6,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 101 + b"\r\n",
    ],
    ids=["line", "header", "headers", "unfinished", "trailers"],
)
def test_a_head_has_a_size(service: Service, head: bytes) -> None:
    assert status(asked(service, head)) in (431, 0)  # 0: the rest that is on its way makes the kernel drop the answer


def test_tiny_chunks_are_refused_and_small_ones_are_not(service: Service) -> None:
    def chunked(size: int, body: bytes) -> bytes:
        pieces = (body[start : start + size] for start in range(0, len(body), size))
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    body = json.dumps({"query": "who", "documents": ["a" * 100_000]}).encode()
    head = HEAD + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    assert status(asked(service, head + chunked(1, body))) in (400, 0)
    assert status(asked(service, head + chunked(1, BODY))) == 200
    assert status(asked(service, head + chunked(16, body))) == 200


def test_a_body_that_drips_ends(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_GRACE_SECONDS", 0.2)
    service = start()
    with connected(service) as caller:
        caller.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        assert status(answer_of(caller)) == 408


def test_a_request_that_offers_another_protocol_is_answered(service: Service) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    with connected(service) as caller:
        for place in range(2):  # as Java's HttpClient sends them
            caller.sendall(HEAD + (b"" if place else offer) + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
            assert status(answer_of(caller)) == 200
    websocket = b"GET /health HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with connected(service) as caller:
        caller.sendall(websocket)
        assert status(answer_of(caller)) == 200


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [(b"GET http://localhost/health HTTP/1.1", 200), (b"CONNECT localhost:80 HTTP/1.1", 400), (b"nonsense", 400)],
)
def test_odd_targets(service: Service, request_line: bytes, expected: int) -> None:
    assert status(asked(service, request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")) == expected


def test_two_lengths_are_refused(service: Service) -> None:
    both = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % len(BODY)
    assert status(asked(service, HEAD + both)) == 400


def test_requests_in_a_row_are_answered_in_order(service: Service) -> None:
    with connected(service) as caller:
        caller.sendall(REQUEST * 3 + LAST)
        answers = rest(caller)
    assert [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]] == [200] * 4


def test_a_body_that_nobody_wants_does_not_keep_the_connection(service: Service) -> None:
    endless = b"GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(service) as caller:
        caller.sendall(endless)
        assert status(answer_of(caller)) == 200
        assert rest(caller) == b""
