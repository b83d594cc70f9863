"""Run the application with uvicorn, and end it without losing what it has accepted."""

import asyncio
import logging
import signal
from types import FrameType

import structlog
import uvicorn

from rerank_plugins.options import RerankConfig, ServiceSettings
from rerank_plugins.service.app import create_app
from rerank_plugins.service.engine import Engine

# Longer than clients and proxies keep an idle connection (httpx 5 s, nginx 60 s): whoever closes first must not be
# the one who does not know of a request that is under way.
_KEEP_ALIVE_SECONDS = 75
# For what the engine has answered and is still being sent, and for callers who never finish sending.
_LAST_SECONDS = 10


def serve(settings: ServiceSettings, config: RerankConfig) -> None:
    """Listen until SIGTERM or SIGINT, then answer what was accepted, and end."""
    _log_as_json()
    app = create_app(settings, config)
    _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LAST_SECONDS,
        ),
        app.state.context.engine,
    ).run()


class _Server(uvicorn.Server):
    """A server that drains first: new requests get 503 while those in flight are answered.

    uvicorn by itself closes its sockets at once, so that a new caller is refused without a word.
    """

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine
        self._ending: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, end at the second."""
        if self._ending is not None:
            self.force_exit = True
            super().handle_exit(sig, frame)
            return
        # Python runs signal handlers between two steps of the main thread, which is the loop's.
        loop = asyncio.get_running_loop()
        self._ending = loop.create_task(self._drain(sig, frame))

    async def _drain(self, sig: int, frame: FrameType | None) -> None:
        structlog.get_logger("rerank_plugins.service").info(
            "draining", signal=signal.Signals(sig).name, in_flight=self._engine.in_flight
        )
        await self._engine.drain()
        super().handle_exit(sig, frame)


def _log_as_json() -> None:
    """Send the log of this process to standard error, one JSON object a line, uvicorn's too."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(capture=True)
