"""Run the application with uvicorn, and shut it down without losing accepted requests."""

import asyncio
import logging
import signal
from types import FrameType

import structlog
import uvicorn

from rerank_plugins.options import RerankConfig, ServiceSettings
from rerank_plugins.service.admission import Admission
from rerank_plugins.service.app import create_app

# Longer than clients and proxies keep an idle connection (httpx 5 s, nginx 60 s): if the server closed it first, it
# could cross with a request that is already on its way.
_KEEP_ALIVE_SECONDS = 75
# For responses that are still being sent, and for callers who never finish sending.
_LAST_SECONDS = 10


def serve(settings: ServiceSettings, config: RerankConfig) -> None:
    """Listen until SIGTERM or SIGINT, then finish accepted requests and return."""
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
        app.state.context.admission,
    ).run()


class _Server(uvicorn.Server):
    """A server that drains before it stops: new requests get 503 while those in flight are finished.

    uvicorn by itself closes its sockets immediately, so new callers would get a refused connection.
    """

    def __init__(self, config: uvicorn.Config, admission: Admission) -> None:
        super().__init__(config)
        self._admission = admission
        self._ending: asyncio.Task[None] | None = None

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
        structlog.get_logger("rerank_plugins.service").info(
            "draining", signal=signal.Signals(sig).name, in_flight=self._admission.in_flight
        )
        await self._admission.drain()
        super().handle_exit(sig, frame)


def _log_as_json() -> None:
    """Write the log of this process, including uvicorn's, to standard error: one JSON object per line."""
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
