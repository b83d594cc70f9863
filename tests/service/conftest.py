"""Services on a free local port, stopped after the tests."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from rerank_plugins import RerankConfig
from rerank_plugins.options import ServiceSettings
from rerank_plugins.service.app import create_app
from rerank_plugins.service.engine import Ranker
from rerank_plugins.service.listening.sockets import listen
from rerank_plugins.service.server import Server
from tests.waiting import SECONDS, until

Start = Callable[..., "Service"]


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        url: Where it listens.
        app: The application, for tests that look inside.
        server: What serves it.
    """

    url: str
    app: FastAPI
    server: Server

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=headers, timeout=SECONDS)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=SECONDS)


@contextmanager
def running(
    settings: ServiceSettings, config: RerankConfig, load: Callable[[], Ranker] | None = None
) -> Iterator[Service]:
    """Run an application on a free port, in a thread."""
    app = create_app(settings, config, load=load)
    (listener,) = listen("127.0.0.1", 0)
    server = Server(app, settings)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    service = Service(f"http://127.0.0.1:{listener.getsockname()[1]}", app, server)
    try:
        until(lambda: server.started)
        yield service
    finally:
        server.should_exit = True
        thread.join(SECONDS)


@pytest.fixture
def start(model_folder: Callable[[str], Path]) -> Iterator[Start]:
    """Start a service with a tiny model or what `load` returns, with any settings; `config` configures the model."""
    opened = []

    def begin(
        *, config: RerankConfig | None = None, load: Callable[[], Ranker] | None = None, **settings: object
    ) -> Service:
        context = running(
            ServiceSettings(**settings),
            RerankConfig(model=str(model_folder("bert-onnx"))) if config is None else config,
            load,
        )
        opened.append(context)
        return context.__enter__()

    yield begin
    for context in reversed(opened):
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A service with the embedded model and default settings, shared by all tests that only send requests."""
    with running(ServiceSettings(), RerankConfig()) as opened:
        yield opened
