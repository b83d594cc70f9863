"""Opening sockets, and what the limit on descriptors leaves for connections."""

import asyncio
import errno
import logging
import resource
import socket
import subprocess
import sys

import pytest

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.service.listening.sockets import QuietAccepts, listen, most_connections


def test_any_free_port() -> None:
    (listener,) = listen("127.0.0.1", 0)
    with listener:
        assert listener.getsockname()[1] > 0


def test_a_name_is_listened_on_at_all_its_addresses() -> None:
    listeners = listen("localhost", 0)
    found = {each[4][0] for each in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert {each.getsockname()[0] for each in listeners} == found
    assert len({each.getsockname()[1] for each in listeners}) == 1
    for each in listeners:
        each.close()


def test_a_taken_port_ends_with_one_line() -> None:
    (listener,) = listen("127.0.0.1", 0)
    with listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(InvalidValueError, match=f"port={port}: Address already in use"):
            listen("127.0.0.1", port)
        done = subprocess.run(
            [sys.executable, "-m", "rerank_plugins", "serve", "--port", str(port)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(port) in done.stderr


def test_descriptors_are_left_for_what_is_no_connection() -> None:
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert most_connections(10) == 10
    assert most_connections(10**9) < descriptors


async def test_a_lack_of_descriptors_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    loop, handler = asyncio.get_running_loop(), QuietAccepts()
    for _ in range(1_000):
        error = OSError(errno.EMFILE, "Too many open files")
        handler(loop, {"message": "socket.accept() out of system resource", "exception": error})
    assert [record.getMessage() for record in caplog.records] == ["No connection can be accepted: Too many open files"]
    with caplog.at_level(logging.ERROR):
        handler(loop, {"message": "something else", "exception": OSError(errno.EPIPE, "Broken pipe")})
    assert len(caplog.records) == 2
