"""The application: its routes, its middleware and its lifetime."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from rerank_plugins import __version__
from rerank_plugins.errors import RerankError
from rerank_plugins.options import RerankConfig, ServiceSettings
from rerank_plugins.reranker import Reranker
from rerank_plugins.service import routes, status
from rerank_plugins.service.admission import Admission
from rerank_plugins.service.context import Context
from rerank_plugins.service.documentation import add_documentation
from rerank_plugins.service.engine import Engine, Ranker
from rerank_plugins.service.incoming import Incoming
from rerank_plugins.service.keys import Keys
from rerank_plugins.service.metrics import Metrics
from rerank_plugins.service.middleware.bodies import BodyLimit
from rerank_plugins.service.middleware.hosts import HostCheck
from rerank_plugins.service.middleware.keys import KeyCheck
from rerank_plugins.service.middleware.observing import Observing
from rerank_plugins.service.refusals import refuse


def create_app(settings: ServiceSettings, config: RerankConfig, *, load: Callable[[], Ranker] | None = None) -> FastAPI:
    """Create the application; the model starts loading when the application starts.

    Args:
        settings: The address, the keys and the limits.
        config: Which model to serve, and how to run it.
        load: Makes the ranker; by default a `Reranker` of `config`.

    Examples:
        >>> app = create_app(ServiceSettings(), RerankConfig())
        >>> uvicorn.run(app)
    """
    # One deadline for the whole request: the service's own, which includes the wait for the model.
    load = load or (lambda: Reranker.from_config(replace(config, timeout=None)))
    engine = Engine(load, timeout=settings.timeout)
    keys = Keys(settings.api_keys, settings.api_keys_file)
    admission = Admission(max_queue=config.max_queue)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.running():
            yield
            admission.stop()

    # Serves the scripts of its documentation itself; FastAPI loads them from a CDN.
    app = FastAPIOffline(
        title="rerank_plugins",
        version=__version__,
        summary="Rerank documents with a cross-encoder.",
        redoc_url=None,
        # Only for the documentation, so that its page has a field for the key: `KeyCheck` checks it.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if settings.needs_key else [],
        # A redirect would go to whatever the Host header says.
        redirect_slashes=False,
        docs_url=None,
        lifespan=lifespan,
    )
    app.state.context = Context(
        settings, config, engine, admission, Incoming(settings.max_queue_bytes), keys, Metrics()
    )
    app.include_router(routes.router)
    app.include_router(status.router)
    add_documentation(app)
    app.mount("/page", StaticFiles(directory=status.PAGE), name="page")
    for kind in (RerankError, HTTPException):
        app.add_exception_handler(kind, _refuse)
    _add_middleware(app, app.state.context)
    return app


def _add_middleware(app: FastAPI, context: Context) -> None:
    """Add what surrounds the routes; the last one added is the outermost."""
    settings = context.settings
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, seconds=settings.timeout)
    app.add_middleware(KeyCheck, keys=context.keys)
    if not settings.needs_key:
        app.add_middleware(HostCheck)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID"],
        )
    app.add_middleware(Observing, metrics=context.metrics)


async def _refuse(request: Request, error: Exception) -> Response:
    return refuse(request.scope, error)
