"""Who comes in under which name and key, and what is said to those who do not."""

import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.service import keys as keys_module
from rerank_plugins.service.keys import Brake, Keys
from rerank_plugins.service.log import DroppingHandler
from rerank_plugins.service.middleware.hosts import is_local
from tests.service.conftest import Service, Start
from tests.service.fakes import FakeRanker
from tests.service.test_serving import BODY, command, get
from tests.waiting import SECONDS, until

KEY, OTHER = "a-key-of-16-chars", "b-key-of-16-chars"


class Panic(BaseException):
    """What a panic in Rust becomes: no Exception."""


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "[::1]", "localhost", "LOCALHOST.:1", "a.localhost"]
)
def test_local_names(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["rebind.test", "rebind.test:8000", "localhost.evil.test", "127.0.0.1.evil.test", "a:b", ""]
)
def test_foreign_names(host: str) -> None:
    assert not is_local(host)


def test_a_foreign_name_is_refused_where_there_is_no_key(start: Start) -> None:
    opened, closed = start(), start(api_keys=KEY)
    for path in ("/", "/info", "/health"):
        refused = opened.get(path, Host="rebind.test")
        assert (refused.status_code, "API keys" in refused.json()["error"]) == (403, True)
    assert opened.post("/rerank", BODY, Host="rebind.test").status_code == 403
    assert opened.get("/info", Host="localhost:1").status_code == 200
    assert closed.get("/info", Host="rerank.example.org", Authorization=f"Bearer {KEY}").status_code == 200


def test_no_redirect_goes_to_the_host_that_was_sent(start: Start) -> None:
    service = start(api_keys=KEY)
    for path in ("/rerank/", "/health/", "/page", "/docs/"):
        answer = service.get(path, Host="evil.example", Authorization=f"Bearer {KEY}")
        assert (answer.status_code, answer.headers.get("Location")) == (404, None)


def test_pages_are_not_framed_and_load_nothing_foreign(service: Service) -> None:
    for path in ("/", "/docs"):
        answer = service.get(path)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for path in ("/", "/docs", "/page/script.js", "/health"):
        assert service.get(path).headers["X-Content-Type-Options"] == "nosniff"
    assert service.post("/rerank", {}).headers["X-Content-Type-Options"] == "nosniff"


def test_a_panic_is_an_error_with_an_id(start: Start) -> None:
    ranker = FakeRanker()
    service = start(load=lambda: ranker)
    ranker.error = Panic("of a text")  # type: ignore[assignment]
    answer = service.post("/rerank", BODY)
    assert (answer.status_code, answer.headers["X-Request-ID"] in answer.json()["error"]) == (500, True)
    assert 'status="500"' in service.get("/metrics").text
    ranker.error = None
    assert service.post("/rerank", BODY).status_code == 200


def test_keys_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the team\n{KEY}\n\n")
    keys = Keys((), str(file))
    assert (keys.match(KEY), keys.match(OTHER), keys.match("# of the team")) == (True, False, False)
    file.write_text(f"{OTHER}\n")
    keys.reload()
    assert (keys.match(KEY), keys.match(OTHER)) == (False, True)
    for wrong in ("", "short\n", "a key with spaces in it\n"):
        file.write_text(wrong)
        keys.reload()
        assert keys.match(OTHER), "what is wrong changes nothing"
        with pytest.raises(InvalidValueError, match="api_keys_file"):
            Keys((), str(file))
    file.unlink()
    with pytest.raises(InvalidValueError, match="can't be read"):
        Keys((), str(file))


def test_keys_are_read_again_on_sighup(tmp_path: Path, model_folder: Callable[[str], Path]) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    with command("--model", model_folder("bert-onnx"), "--api-keys-file", file) as (process, url):
        assert get(f"{url}/info", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        file.write_text(OTHER)
        process.send_signal(signal.SIGHUP)
        until(lambda: get(f"{url}/info", headers={"Authorization": f"Bearer {OTHER}"}).status_code == 200)
        assert get(f"{url}/info", headers={"Authorization": f"Bearer {KEY}"}).status_code == 401


async def test_guesses_are_braked(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(keys_module, "_BRAKE_SECONDS", 10_000.0)
    brake = Brake()
    for _ in range(keys_module._FREE_GUESSES):
        assert await brake.wait("1.2.3.4")
        brake.note_wrong("1.2.3.4")
    waiting = [asyncio.create_task(brake.wait("1.2.3.4")) for _ in range(keys_module._MOST_WAITING)]
    await asyncio.sleep(0)
    assert not await brake.wait("1.2.3.4"), "too many wait"
    assert await brake.wait("5.6.7.8"), "others do not wait"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def test_many_guesses_are_refused_and_callers_without_a_key_are_not_guessing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "_MOST_WAITING", 0)
    service = start(api_keys=KEY)
    for _ in range(2 * keys_module._FREE_GUESSES):
        assert service.get("/info").status_code == 401, "no key is no guess"
    for _ in range(keys_module._FREE_GUESSES):
        assert service.get("/info", Authorization="Bearer guess").status_code == 401
    refused = service.get("/info", Authorization=f"Bearer {KEY}")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    assert service.get("/health").status_code == 200


def test_a_log_that_nobody_reads_does_not_block() -> None:
    reading, writing = os.pipe()
    handler = DroppingHandler(writing, most=10)
    logger = logging.getLogger("full")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for number in range(20_000):
        logger.info("line %d", number)
    os.set_blocking(reading, False)
    received = b""

    def dropped() -> bool:
        nonlocal received
        try:
            received += os.read(reading, 1 << 20)
        except BlockingIOError:
            logger.info("one more")
        return b"lines were dropped" in received

    until(dropped)
    assert b"line 0\nline 1\n" in received
    logger.removeHandler(handler)


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["stopped", "gone"])
def test_a_service_whose_log_nobody_reads_answers(model_folder: Callable[[str], Path], reader: str) -> None:
    with command("--model", model_folder("bert-onnx")) as (process, url):
        if reader == "gone":
            assert process.stderr is not None
            process.stderr.close()
        for _ in range(300):  # a pipe holds about 240 lines
            assert get(f"{url}/nowhere").status_code == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_long_path_is_not_logged_whole() -> None:
    with command() as (process, url):
        get(f"{url}/{'a' * 30_000}")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        log = process.stderr.read()
    assert "(30,001 characters)" in log
    assert len(log) < 5_000


@pytest.mark.slow
def test_whoever_asks_while_it_drains_is_sent_elsewhere() -> None:
    with command("--max-documents", 5_000) as (process, url):
        until(lambda: get(f"{url}/ready").status_code == 200)
        address = tuple(url.removeprefix("http://").split(":"))
        documents = [f"Passage {place} says that bread is baked. " * 20 for place in range(400)]
        with socket.create_connection(address, timeout=SECONDS) as busy, httpx.Client(base_url=url) as kept:
            kept.get("/health")
            body = httpx.Request("POST", url, json={"query": "who", "documents": documents}).content
            head = f"POST /rerank HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            busy.sendall(head.encode() + body)
            until(lambda: "rerank_in_flight 1.0" in kept.get("/metrics").text)
            process.send_signal(signal.SIGTERM)
            until(lambda: kept.get("/ready").json() == {"status": "draining"})
            refused = kept.post("/rerank", json=BODY)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert refused.headers["Connection"] == "close"
            assert b" 200 " in busy.recv(100)
        assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_folder_of_the_server_is_not_told(start: Start, model_folder: Callable[[str], Path]) -> None:
    folder = model_folder("bert-onnx")
    service = start()
    answers = [service.get("/info"), service.post("/v1/rerank", BODY)]
    assert [answer.json()["model"] for answer in answers] == [folder.name] * 2
    assert not any(str(folder.parent) in answer.text for answer in answers)
