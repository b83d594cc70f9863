"""The routes that say how the service is: alive, ready, made of what, doing what; and the page."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from rerank_plugins import __version__
from rerank_plugins.service.context import context_of
from rerank_plugins.service.engine import State
from rerank_plugins.service.metrics import CONTENT_TYPE

router = APIRouter(tags=["status"])
PAGE = Path(__file__).with_name("page")
# The page needs nothing from elsewhere, and nobody may frame it.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"description": "It is not."}}


@router.get("/", include_in_schema=False)
def page() -> FileResponse:
    """A page to try it on."""
    return FileResponse(PAGE / "index.html", headers=_PAGE_HEADERS)


@router.get("/health", responses=_UNAVAILABLE)
async def health(request: Request) -> JSONResponse:
    """Whether the engine is alive: loading, ready and draining are; failed and stalled are not."""
    state = context_of(request).engine.state
    return JSONResponse({"status": state}, 503 if state in (State.FAILED, State.STALLED) else 200)


@router.get("/ready", responses=_UNAVAILABLE)
async def ready(request: Request) -> JSONResponse:
    """Whether requests are answered at once: the model is loaded and warm, and the service is not ending."""
    state = context_of(request).engine.state
    return JSONResponse({"status": state}, 200 if state is State.READY else 503)


@router.get("/info")
async def info(request: Request) -> dict[str, Any]:
    """What the service is made of, without secrets."""
    engine, settings = context_of(request).engine, context_of(request).settings
    config, reranker = engine.config, engine.reranker
    return {
        "version": __version__,
        "status": engine.state,
        "model": config.model or "embedded",
        "revision": config.revision,
        "backend": reranker.backend if reranker else None,
        "device": reranker.device if reranker else None,
        "dtype": reranker.dtype if reranker else None,
        "activation": reranker.activation if reranker else None,
        "limits": {
            "max_length": reranker.max_length if reranker else config.max_length,
            "max_documents": settings.max_documents,
            "max_characters": settings.max_characters,
            "max_body_bytes": settings.max_body_bytes,
            "max_queue": config.max_queue,
            "timeout": settings.timeout,
        },
    }


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    engine, collected = context_of(request).engine, context_of(request).metrics
    collected.in_flight.set(engine.in_flight)
    collected.ready.set(engine.state is State.READY)
    return Response(collected.text(), media_type=CONTENT_TYPE)
