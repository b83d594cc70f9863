"""The service from start to shutdown: loading, load, disconnecting callers, a model that hangs, SIGTERM."""

import asyncio
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from rerank_plugins import RerankConfig
from rerank_plugins.errors import RerankError
from rerank_plugins.options import ServiceSettings
from rerank_plugins.service.app import create_app
from rerank_plugins.service.engine import MAX_FAILURES
from rerank_plugins.service.errors import DisconnectedError
from rerank_plugins.service.refusals import STATUS, status_of
from rerank_plugins.wire.paths import FORMATS
from tests.fakes import controlled
from tests.service.conftest import Service, Start
from tests.service.fakes import FakeRanker
from tests.waiting import SECONDS, until

get, post = (partial(method, timeout=SECONDS) for method in (httpx.get, httpx.post))

KEY = "a-key-of-16-chars"
BODY = {"query": "who", "documents": ["hamlet", "bread"]}
HEADERS = b"POST /rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Gate:
    """A tiny model whose forward passes wait until the test releases them.

    Attributes:
        config: What loads it, through a backend of its own.
        open: Lets passes through.
        entered: Released at the start of each pass.
    """

    def __init__(self, folder: Path) -> None:
        backend, controls = controlled()
        controls.gate.clear()
        self.config = RerankConfig(model=str(folder), backend=backend)
        self.open, self.entered = controls.gate, controls.entered


@pytest.fixture
def gate(model_folder: Callable[[str], Path]) -> Iterator[Gate]:
    gate = Gate(model_folder("bert-onnx"))
    yield gate
    gate.open.set()


def ready(service: Service) -> None:
    until(lambda: service.get("/ready").status_code == 200)


def connection(url: str) -> socket.socket:
    """A connection to a service, for callers that disconnect or send half of a request."""
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


def test_requests_wait_for_the_model(start: Start, gate: Gate) -> None:
    service = start(config=gate.config)  # warming up, at the gate
    assert (service.get("/ready").status_code, service.get("/ready").json()) == (503, {"status": "loading"})
    assert service.get("/health").status_code == 200
    answers: queue.Queue[httpx.Response] = queue.Queue()
    asking = threading.Thread(target=lambda: answers.put(service.post("/rerank", BODY)))
    asking.start()
    until(lambda: service.app.state.context.admission.in_flight)
    assert answers.empty()
    gate.open.set()
    assert answers.get(timeout=SECONDS).status_code == 200
    assert service.get("/ready").json() == {"status": "ready"}
    asking.join()


def test_a_request_gives_up_in_time(start: Start, gate: Gate) -> None:
    service = start(config=gate.config, timeout=0.3)
    answer = service.post("/v2/rerank", BODY)
    assert answer.status_code == 504
    assert "waiting for the model to load" in answer.json()["message"]


def test_a_model_that_is_not_there(start: Start, tmp_path: Path) -> None:
    service = start(config=RerankConfig(model=str(tmp_path)))
    answer = service.post("/v1/rerank", BODY)
    assert (answer.status_code, "server log" in answer.json()["detail"]) == (503, True)
    assert tmp_path.name not in answer.text, "where the model is on the server is for its log alone"
    assert (service.get("/health").status_code, service.get("/health").json()) == (503, {"status": "failed"})
    assert service.get("/info").json()["status"] == "failed"


def test_a_model_that_hangs_turns_health_red(start: Start) -> None:
    ranker = FakeRanker()
    service = start(load=lambda: ranker)
    ready(service)
    ranker.busy_seconds = 1_000.0
    assert (service.get("/health").status_code, service.get("/health").json()) == (503, {"status": "stalled"})
    assert service.get("/ready").status_code == 503
    ranker.busy_seconds = 0.0
    assert (service.get("/health").status_code, service.get("/health").json()) == (200, {"status": "ready"})


def test_a_call_that_hangs_times_out(start: Start, gate: Gate) -> None:
    gate.open.set()
    service = start(config=gate.config, timeout=0.5)
    ready(service)
    gate.open.clear()
    answer = service.post("/rerank", BODY)
    assert (answer.status_code, "ranking took" in answer.json()["error"]) == (504, True)


def test_a_full_queue_refuses_at_once(start: Start, gate: Gate) -> None:
    gate.open.set()
    service = start(config=replace(gate.config, num_threads=1, max_queue=10))
    ready(service)
    gate.open.clear()
    while gate.entered.acquire(blocking=False):
        pass
    answers: queue.Queue[httpx.Response] = queue.Queue()
    many = {"query": "who", "documents": [f"bread {place}" for place in range(10)]}
    asking = threading.Thread(target=lambda: answers.put(service.post("/rerank", many)))
    asking.start()
    assert gate.entered.acquire(timeout=SECONDS)
    refused = service.post("/rerank", {"query": "what", "texts": ["a", "b", "c"]})
    assert answers.empty(), "refused while the others still wait"
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["error_type"] == "Overloaded"
    gate.open.set()
    assert answers.get(timeout=SECONDS).status_code == 200
    asking.join()


def test_a_caller_who_hangs_up_frees_the_place(start: Start, gate: Gate) -> None:
    gate.open.set()
    service = start(config=replace(gate.config, num_threads=1, max_queue=10))
    ready(service)
    gate.open.clear()
    while gate.entered.acquire(blocking=False):
        pass
    admission = service.app.state.context.admission
    body = json.dumps(BODY | {"documents": [f"bread {n}" for n in range(10)]}).encode()
    with connection(service.url) as caller:
        caller.sendall(HEADERS + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert gate.entered.acquire(timeout=SECONDS)
        assert admission.in_flight == 1
    until(lambda: not admission.in_flight)
    gate.open.set()
    assert service.post("/rerank", BODY | {"documents": ["a"] * 10}).status_code == 200


async def test_health_answers_while_the_model_is_busy(start: Start, gate: Gate) -> None:
    gate.open.set()
    service = start(config=gate.config)
    ready(service)
    gate.open.clear()
    documents = [f"Passage {place} says that bread is baked and Hamlet was written. " * 3 for place in range(50)]
    async with httpx.AsyncClient(base_url=service.url, timeout=SECONDS) as client:
        callers = [
            asyncio.create_task(client.post("/rerank", json={"query": f"who wrote {caller}", "documents": documents}))
            for caller in range(32)
        ]
        await asyncio.to_thread(until, lambda: service.app.state.context.admission.in_flight == len(callers))
        assert (await client.get("/health")).status_code == 200
        assert not any(caller.done() for caller in callers)
        gate.open.set()
        assert {answer.status_code for answer in await asyncio.gather(*callers)} == {200}


@contextmanager
def command(*arguments: object, **environment: str) -> Iterator["tuple[subprocess.Popen[str], str]"]:
    """Run `rerank-plugins serve` on a free port; its process, and its address once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rerank_plugins", "serve", "--port", "0", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if '"event": "listening"' in line:
                yield process, json.loads(line)["url"]
                break
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.slow
def test_sigterm_answers_what_was_accepted_and_refuses_the_rest() -> None:
    with command() as (process, url):
        until(lambda: get(f"{url}/ready").status_code == 200)
        documents = [f"Passage {place} says that bread is baked. " * 20 for place in range(400)]
        answers: queue.Queue[httpx.Response] = queue.Queue()
        asking = threading.Thread(
            target=lambda: answers.put(post(f"{url}/rerank", json={"query": "who", "documents": documents}))
        )
        asking.start()
        until(lambda: "rerank_in_flight 1.0" in get(f"{url}/metrics").text)
        process.send_signal(signal.SIGTERM)
        refused = post(f"{url}/rerank", json=BODY)
        while refused.status_code == 200:  # the signal was not there yet
            refused = post(f"{url}/rerank", json=BODY)
        assert (refused.status_code, "shutting down" in refused.json()["error"]) == (503, True)
        assert get(f"{url}/ready").json() == {"status": "draining"}
        assert get(f"{url}/health").status_code == 200
        answer = answers.get(timeout=SECONDS)
        assert (answer.status_code, len(answer.json()["results"])) == (200, 400)
        assert process.wait(SECONDS) == -signal.SIGTERM
        asking.join()


def test_flags_and_variables_are_one(model_folder: Callable[[str], Path]) -> None:
    with command(
        "--model", model_folder("bert-onnx"), "--max-documents", 7, "--api-keys", f"{KEY},another-long-key",
        RERANK_MAX_CHARACTERS="99", RERANK_MAX_DOCUMENTS="8", RERANK_MAX_QUEUE="77",
    ) as (_, url):  # fmt: skip
        limits = get(f"{url}/info", headers={"Authorization": f"Bearer {KEY}"}).json()["limits"]
    assert (limits["max_documents"], limits["max_characters"], limits["max_queue"]) == (7, 99, 77)


def test_every_error_has_a_status_that_the_document_knows() -> None:
    def below(kind: type[RerankError]) -> set[type[RerankError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    unlisted = {kind for kind in below(RerankError) if not any(issubclass(kind, listed) for listed in STATUS)}
    assert unlisted == {RerankError}
    document = create_app(ServiceSettings(), RerankConfig()).openapi()
    for path, formats in FORMATS.items():
        known = {int(status) for status in document["paths"][path]["post"]["responses"]}
        expected = {status_of(kind(""), each) for each in formats for kind in STATUS if kind is not DisconnectedError}
        assert expected <= known


def test_a_dead_engine_turns_health_red(start: Start) -> None:
    ranker = FakeRanker()
    service = start(load=lambda: ranker)
    ready(service)
    ranker.error = RuntimeError("CUDA error: device-side assert triggered")
    for _ in range(MAX_FAILURES):
        answer = service.post("/rerank", BODY)
        assert (answer.status_code, "CUDA" in answer.text) == (500, False)
        assert answer.headers["X-Request-ID"] in answer.json()["error"]
    assert (service.get("/health").status_code, service.get("/ready").status_code) == (503, 503)
    ranker.error = None
    assert service.post("/rerank", BODY).status_code == 200
    assert service.get("/health").status_code == 200


def test_anything_that_ranks_can_be_served(start: Start) -> None:
    service = start(load=FakeRanker)
    assert [row["index"] for row in service.post("/v2/rerank", BODY | {"top_n": 1}).json()["results"]] == [0]
    info = service.get("/info").json()
    assert (info["status"], info["device"]) == ("ready", None)


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/info", "/metrics", "/docs"])
def test_head_is_get_without_a_body(service: Service, path: str) -> None:
    asked = httpx.head(service.url + path)
    got = service.get(path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["Content-Type"] == got.headers["Content-Type"]


def test_head_tells_the_state_too(start: Start, gate: Gate) -> None:
    service = start(config=gate.config)  # warming up, at the gate
    assert httpx.head(service.url + "/ready").status_code == 503
    assert httpx.head(service.url + "/health").status_code == 200


def test_a_load_that_fails_oddly_is_no_500(start: Start, model_folder: Callable[[str], Path]) -> None:
    config = RerankConfig(model=str(model_folder("bert-onnx")), cache="redis://:pa/ss@localhost:6379")
    service = start(config=config)
    answer = service.post("/rerank", BODY)
    assert answer.status_code == 503
    assert "pa" not in answer.json()["error"].replace("password", "")


def test_sigterm_does_not_wait_for_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # a Hub that never answers
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener, command("--model", "owner/name", HF_ENDPOINT=endpoint) as (process, url):
        assert get(f"{url}/ready").json() == {"status": "loading"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == -signal.SIGTERM


def test_half_a_request_does_not_keep_the_service_from_ending() -> None:
    with command(RERANK_TIMEOUT="2") as (process, url):
        with connection(url) as half:
            half.sendall(HEADERS + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
            assert b" 100 " in half.recv(1000), "the service waits for the body now"
            half.sendall(b"{")
            process.send_signal(signal.SIGTERM)
            assert b" 408 " in half.recv(1000)
        assert process.wait(SECONDS) == -signal.SIGTERM


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_curl() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^(curl .*?\n.*?)\n```", readme, re.DOTALL | re.MULTILINE)
    with command() as (_, url):
        asked = lines.replace("http://127.0.0.1:8000", url)
        done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["results"][0]["document"] == "Shakespeare wrote Hamlet."


def test_the_log_has_texts_only_where_they_are_asked_for() -> None:
    for flags, expected in (((), False), (("--log-texts",), True)):
        with command(*flags) as (process, url):
            post(f"{url}/rerank", json={"query": "a secret question", "documents": ["a secret text"]})
            post(f"{url}/rerank", json={"query": "a secret question", "documents": ["a secret text", 3]})
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            log = process.stderr.read()
        assert log.count('"event": "request"') == 2
        assert ("a secret text" in log) is expected


def test_a_wrong_setting_ends_with_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rerank_plugins", "serve", "--host", "0.0.0.0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--api-keys" in done.stderr


def test_logs_are_json() -> None:
    with command() as (process, url):
        post(f"{url}/rerank", json=BODY, headers={"X-Request-ID": "mine"})
        assert process.stderr is not None
        line = next(json.loads(line) for line in process.stderr if '"request"' in line)
    assert (line["request_id"], line["status"], line["documents"]) == ("mine", 200, 2)
    assert "hamlet" not in json.dumps(line)


def test_config_timeout_is_the_services(start: Start, model_folder: Callable[[str], Path]) -> None:
    config = replace(RerankConfig(model=str(model_folder("bert-onnx"))), timeout=1e-9)
    assert start(config=config).post("/rerank", BODY).status_code == 200
