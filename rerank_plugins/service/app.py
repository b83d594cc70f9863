"""The application: routes, what surrounds them, and how an error becomes an answer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from rerank_plugins import __version__
from rerank_plugins.errors import OverloadedError, RerankError
from rerank_plugins.options import RerankConfig, ServiceSettings
from rerank_plugins.service import routes, status
from rerank_plugins.service.context import Context
from rerank_plugins.service.engine import Engine
from rerank_plugins.service.errors import UnauthorizedError
from rerank_plugins.service.metrics import Metrics
from rerank_plugins.service.middleware import BodyLimited, KeyRequired, Observed
from rerank_plugins.wire.introduction import INTRODUCTION

_HEADERS: Mapping[type[Exception], Mapping[str, str]] = {
    # Seconds: a full queue moves on with every batch.
    OverloadedError: {"Retry-After": "1"},
    UnauthorizedError: {"WWW-Authenticate": "Bearer"},
}


def create_app(settings: ServiceSettings, config: RerankConfig) -> FastAPI:
    """Make the application; the model begins to load when it starts.

    Args:
        settings: How it listens, whom it answers, how much it takes.
        config: Which model, and how it runs.

    Examples:
        >>> app = create_app(ServiceSettings(), RerankConfig())
        >>> uvicorn.run(app)
    """
    # One deadline, which counts the wait for the model too.
    engine, metrics = Engine(replace(config, timeout=None), timeout=settings.timeout), Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.running():
            yield

    # Its documentation brings its scripts along, where FastAPI takes them from elsewhere.
    app = FastAPIOffline(
        title="rerank_plugins",
        version=__version__,
        summary="Order documents by what a cross-encoder says of each.",
        redoc_url=None,
        # For the document alone, so that its page asks for a key: `KeyRequired` is what checks it.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if settings.api_keys else [],
        lifespan=lifespan,
    )
    app.state.context = Context(engine, settings, metrics)
    app.include_router(routes.router)
    app.include_router(status.router)
    app.mount("/page", StaticFiles(directory=status.PAGE), name="page")
    for kind in (RerankError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _refuse)
    keys = list(settings.api_keys)
    # The last one added is the outermost.
    app.add_middleware(BodyLimited, max_bytes=settings.max_body_bytes, seconds=settings.timeout)
    app.add_middleware(KeyRequired, keys=keys, refuse=_answer_of)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID"],
        )
    app.add_middleware(Observed, metrics=metrics, refuse=_answer_of)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    return _answer_of(request.scope, error)


def _answer_of(scope: Scope, error: Exception) -> JSONResponse:
    """Put an error into the words and the status of the route's wire format."""
    state: dict[str, Any] = scope["state"]
    dialect = state.get("dialect") or routes.DIALECTS.get(scope["path"], INTRODUCTION)
    headers: Mapping[str, str] = {}
    if isinstance(error, RequestValidationError):
        status_code, dialect, message = routes.complaint(error, dialect)
    elif isinstance(error, HTTPException):
        status_code, message, headers = error.status_code, routes.own_words(error), dict(error.headers or {})
    elif isinstance(error, RerankError):
        status_code, message = dialect.status_of(error), str(error)
        headers = _HEADERS.get(type(error), {})
    else:
        status_code, message = 500, f"Something failed here, and the log knows what under request id {state['id']}."
    body = dialect.failure(status_code, message, state["id"])
    return JSONResponse(body.model_dump(), status_code, dict(headers))
