"""Run the application with uvicorn, and shut it down without losing accepted requests."""

import asyncio
import signal
import socket
import threading
from functools import partial
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from rerank_plugins.options import RerankConfig, ServiceSettings
from rerank_plugins.service.app import create_app
from rerank_plugins.service.context import Context
from rerank_plugins.service.listening.connection import Connection
from rerank_plugins.service.listening.connections import Connections
from rerank_plugins.service.listening.sockets import QuietAccepts, listen, most_connections, queue_connections
from rerank_plugins.service.log import log_as_json

# Longer than clients and proxies keep an idle connection (httpx 5 s, nginx 60 s): if the server closed it first, it
# could cross with a request that is already on its way.
_KEEP_ALIVE_SECONDS = 75
# For responses that are still being sent, and for callers who never finish sending.
_LAST_SECONDS = 10


# How many connections asyncio accepts in one go, before any of them is counted.
_ACCEPTED_AT_ONCE = 16
_log = structlog.get_logger("rerank_plugins.service")


def serve(settings: ServiceSettings, config: RerankConfig) -> None:
    """Listen until SIGTERM or SIGINT, then finish accepted requests and return.

    Raises:
        InvalidValueError: If the address can't be bound, such as when the port is taken.
    """
    sockets = listen(settings.host, settings.port)
    app = create_app(settings, config)
    log_as_json()
    Server(app, settings).run(sockets)


class Server(uvicorn.Server):
    """A server that drains before it stops: new requests get 503 while those in flight are finished.

    uvicorn by itself closes its sockets immediately, so new callers would get a refused connection. It has no limits
    for slow callers either: see `Connection`.

    Args:
        app: What `create_app` made.
        settings: The limits on connections.

    Attributes:
        connections: Those that are open.
    """

    def __init__(self, app: FastAPI, settings: ServiceSettings) -> None:
        self.connections = Connections(
            most=most_connections(settings.max_connections),
            header_timeout=settings.header_timeout,
            send_timeout=settings.send_timeout,
        )
        connection: Any = partial(Connection, connections=self.connections)
        super().__init__(
            uvicorn.Config(
                app,
                http=connection,
                ws="none",
                backlog=_ACCEPTED_AT_ONCE,
                log_config=None,
                access_log=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_LAST_SECONDS,
            )
        )
        context: Context = app.state.context
        context.incoming.unsent = self.connections.unsent
        self._admission, self._keys = context.admission, context.keys
        self._ending: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, with an eye on the connections."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(QuietAccepts())
        # Signals can be listened to in the main thread alone, and Windows has no SIGHUP.
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._keys.reload)
        async with self.connections.watched():
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets)
        for listener in sockets or ():
            queue_connections(listener)
            host, port, *_ = listener.getsockname()
            _log.info("listening", url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal, stop immediately on the second."""
        if self._ending is not None:
            self.force_exit = True
            super().handle_exit(sig, frame)
            return
        # Python runs signal handlers in the main thread, which is the event loop's.
        loop = asyncio.get_running_loop()
        self._ending = loop.create_task(self._drain(sig, frame))

    async def _drain(self, sig: int, frame: FrameType | None) -> None:
        _log.info("draining", signal=signal.Signals(sig).name, in_flight=self._admission.in_flight)
        self.connections.draining = True
        await self._admission.drain()
        super().handle_exit(sig, frame)
