"""The routes that describe the service: health, readiness, set-up, metrics, and the page."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from rerank_plugins import __version__
from rerank_plugins.service.context import context_of, public_name
from rerank_plugins.service.engine import State, facts_of
from rerank_plugins.service.metrics import CONTENT_TYPE

router = APIRouter(tags=["status"])
PAGE = Path(__file__).with_name("page")
# The page loads nothing from other hosts and can't be framed.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
}
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"description": "Unavailable."}}

# Each route answers HEAD too, which load balancers and monitors send; FastAPI, unlike starlette, does not add it.


@router.head("/", include_in_schema=False)
@router.get("/", include_in_schema=False)
def page() -> FileResponse:
    """A page to try the service."""
    return FileResponse(PAGE / "index.html", headers=_PAGE_HEADERS)


@router.head("/health", include_in_schema=False)
@router.get("/health", responses=_UNAVAILABLE)
async def health(request: Request) -> JSONResponse:
    """Liveness: 200 while loading, ready or draining; 503 once the model has failed or stalled."""
    state = context_of(request).state
    return JSONResponse({"status": state}, 503 if state in (State.FAILED, State.STALLED) else 200)


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses=_UNAVAILABLE)
async def ready(request: Request) -> JSONResponse:
    """Readiness: 200 when the model is loaded and warm, and the service is not shutting down."""
    state = context_of(request).state
    return JSONResponse({"status": state}, 200 if state is State.READY else 503)


@router.head("/info", include_in_schema=False)
@router.get("/info")
async def info(request: Request) -> dict[str, Any]:
    """The model, its settings and the limits, without secrets."""
    context = context_of(request)
    settings, config = context.settings, context.config
    names = ("backend", "device", "dtype", "activation", "takes_instruction", "max_length")
    facts = facts_of(context.engine.ranker, *names)
    max_length = facts.pop("max_length")
    return {
        "version": __version__,
        "status": context.state,
        "model": public_name(str(config.model or "embedded")),
        "revision": config.revision,
        **facts,
        "limits": {
            "max_length": config.max_length if max_length is None else max_length,
            "max_documents": settings.max_documents,
            "max_characters": settings.max_characters,
            "max_body_bytes": settings.max_body_bytes,
            "max_queue": config.max_queue,
            "max_queue_bytes": settings.max_queue_bytes,
            "timeout": settings.timeout,
        },
    }


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Metrics in Prometheus's text format."""
    context = context_of(request)
    context.metrics.in_flight.set(context.admission.in_flight)
    context.metrics.ready.set(context.state is State.READY)
    return Response(context.metrics.text(), media_type=CONTENT_TYPE)
