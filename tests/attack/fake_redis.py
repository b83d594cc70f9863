"""A Redis of our own on the loopback address, which can be made to say anything."""

import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tests.waiting import SECONDS

# What it says to a command, in chunks; None: it closes the connection.
Saying = Callable[["FakeRedis", list[bytes]], Iterable[bytes | None]]


class FakeRedis(socketserver.ThreadingTCPServer):
    """Knows MGET and SET, and says OK to AUTH and SELECT.

    Attributes:
        url: Its address.
        store: Its values.
        odd: What it says in place of its own answers, while it is not None.
        odd_for: The commands to which it says that.
        stopped: Set at the end, so that slow answers end too.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"redis://127.0.0.1:{self.server_address[1]}/0"
        self.store: dict[bytes, bytes] = {}
        self.odd: Saying | None = None
        self.odd_for = (b"MGET", b"SET")
        self.stopped = threading.Event()

    def answer(self, command: list[bytes]) -> bytes:
        """Answer as Redis does."""
        if command[0] == b"MGET":
            return array([self.store.get(key) for key in command[1:]])
        if command[0] == b"SET":
            self.store[command[1]] = command[2]
        return b"+OK\r\n"


class _Handler(socketserver.StreamRequestHandler):
    server: FakeRedis

    def handle(self) -> None:
        try:
            while line := self.rfile.readline():
                command = [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
                for chunk in self._say(command):
                    if chunk is None:
                        return
                    self.wfile.write(chunk)
        except (OSError, ValueError):  # The client has gone, in the middle of a command maybe.
            return

    def _say(self, command: list[bytes]) -> Iterable[bytes | None]:
        odd = self.server.odd if command[0] in self.server.odd_for else None
        return [self.server.answer(command)] if odd is None else odd(self.server, command)


def array(values: list[bytes | None]) -> bytes:
    """Spell a list of values."""
    spelled = [b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value) for value in values]
    return b"*%d\r\n" % len(spelled) + b"".join(spelled)


@contextmanager
def fake_redis() -> Iterator[FakeRedis]:
    """Serve on a free port until the end of the block."""
    with FakeRedis() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join(SECONDS)


def _says(*chunks: bytes | None) -> Saying:
    return lambda server, command: chunks


def _drips(server: FakeRedis, command: list[bytes]) -> Iterator[bytes]:
    """The right answer, a byte at a time: each comes in time, and all of them together do not."""
    for byte in server.answer(command):
        server.stopped.wait(0.02)
        yield bytes([byte])


def _is_silent(server: FakeRedis, command: list[bytes]) -> Iterator[bytes]:
    server.stopped.wait(SECONDS)
    yield from ()


def _never_ends(server: FakeRedis, command: list[bytes]) -> Iterator[bytes]:
    yield b"$2000000000\r\n"
    while not server.stopped.is_set():
        yield b"x" * 65_536


def _closes_halfway(server: FakeRedis, command: list[bytes]) -> Iterator[bytes | None]:
    answer = server.answer(command)
    yield answer[: len(answer) // 2]
    yield None


def _with_more_values(server: FakeRedis, command: list[bytes]) -> Iterator[bytes]:
    yield array([server.store.get(key) for key in [*command[1:], *command[1:]]])


ODDITIES: dict[str, Saying] = {
    "a number": _says(b":5\r\n"),
    "OK": _says(b"+OK\r\n"),
    "another word": _says(b"+QUEUED\r\n"),
    "an error": _says(b"-ERR something is wrong\r\n"),
    "still loading": _says(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "elsewhere": _says(b"-MOVED 3999 127.0.0.1:1\r\n"),
    "no list": _says(b"*-1\r\n"),
    "a value, not a list": _says(b"$3\r\nabc\r\n"),
    "too few values": _says(b"*0\r\n"),
    "too many values": _with_more_values,
    "lists in a list": _says(b"*2\r\n*1\r\n:1\r\n*1\r\n$-1\r\n"),
    "errors and numbers in a list": _says(b"*2\r\n-ERR no\r\n:3\r\n"),
    "a list in a list in a list": _says(b"*1\r\n" * 20_000),
    "a length of letters": _says(b"$many\r\n"),
    "a length below zero": _says(b"*2\r\n$-7\r\n$-7\r\n"),
    "HTTP": _says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "noise": _says(bytes(range(256)) + b"\r\n"),
    "nothing, and closes": _says(None),
    "half of it, and closes": _closes_halfway,
    "drips": _drips,
    "never ends": _never_ends,
}
# Beyond the 21: what cannot be told from a slow server, and what comes later than its answer.
MORE_ODDITIES: dict[str, Saying] = {
    "silence": _is_silent,
    "RESP3": _says(b"%1\r\n+a\r\n_\r\n"),
    "its answer twice": lambda server, command: [server.answer(command) * 2],
}
