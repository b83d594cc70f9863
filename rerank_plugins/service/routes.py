"""The routes that rerank, one a wire format, and what they share."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Discriminator, Tag
from starlette.exceptions import HTTPException

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.options import ServiceSettings
from rerank_plugins.service.context import context_of
from rerank_plugins.service.errors import DisconnectedError
from rerank_plugins.wire import cohere, introduction, jina, tei
from rerank_plugins.wire.base import Dialect, RerankRequest
from rerank_plugins.wire.cohere import COHERE
from rerank_plugins.wire.introduction import INTRODUCTION
from rerank_plugins.wire.jina import JINA
from rerank_plugins.wire.tei import TEI

T = TypeVar("T")
Req = TypeVar("Req", bound=RerankRequest)

# What a path speaks before its body was read.
DIALECTS: dict[str, Dialect[Any]] = {"/rerank": TEI, "/v1/rerank": JINA, "/v2/rerank": COHERE}

router = APIRouter(tags=["rerank"])

# Parts of an error's place that are no field of the body.
_NO_FIELDS = {"body", "introduction", "tei", "as-string", "as-object"}


def _shape(body: object) -> str:
    return "tei" if isinstance(body, dict) and "texts" in body and body.get("documents") is None else "introduction"


EitherRequest = Annotated[
    Annotated[introduction.Request, Tag("introduction")] | Annotated[tei.Request, Tag("tei")],
    Discriminator(_shape),
    Body(),
]


def _errors(*dialects: Dialect[Any]) -> dict[int | str, dict[str, Any]]:
    """Tell the OpenAPI document which errors a route has, and in which shape."""
    schema: Any = dialects[0].error_schema
    for dialect in dialects[1:]:
        schema = schema | dialect.error_schema
    reasons = {
        400: "The body is not JSON, or lacks what cannot be missing.",
        401: "No key, or a wrong one.",
        408: "The body did not come within the service's timeout.",
        413: "The body has too many bytes.",
        422: "A field is wrong, or over a limit.",
        424: "The model gave no usable scores (in the format of text-embeddings-inference).",
        429: "Too much waits already; Retry-After says when to come back.",
        500: "The model gave no usable scores.",
        503: "The model is not there, or the service is ending.",
        504: "It took longer than the service's timeout.",
    }
    used = {status for each in dialects for status in each.statuses.values()}
    return {
        status: {"model": schema, "description": reason}
        for status, reason in reasons.items()
        if status != 424 or status in used
    }


@router.post("/rerank", response_model_exclude_none=True, responses=_errors(INTRODUCTION, TEI))
async def rerank(request: Request, body: EitherRequest) -> introduction.Answer | list[tei.Rank]:
    """Rerank `documents`, or `texts` in the format of text-embeddings-inference."""
    if isinstance(body, tei.Request):
        return await _answer(request, TEI, body)  # type: ignore[no-any-return]
    return await _answer(request, INTRODUCTION, body)  # type: ignore[no-any-return]


@router.post("/v1/rerank", response_model_exclude_none=True, responses=_errors(JINA))
async def rerank_jina(request: Request, body: jina.Request) -> jina.Answer:
    """Rerank in Jina's format."""
    return await _answer(request, JINA, body)  # type: ignore[no-any-return]


@router.post("/v2/rerank", response_model_exclude_none=True, responses=_errors(COHERE))
async def rerank_cohere(request: Request, body: cohere.Request) -> cohere.Answer:
    """Rerank in Cohere's format."""
    return await _answer(request, COHERE, body)  # type: ignore[no-any-return]


def complaint(error: RequestValidationError, dialect: Dialect[Any]) -> tuple[int, Dialect[Any], str]:
    """Say what is wrong with a body: status, wire format and words; never what the caller sent."""
    first, body = error.errors()[0], error.body
    if first["type"] == "json_invalid":
        return 400, dialect, f"The body is not JSON: {first['ctx']['error']}, at character {first['loc'][-1]}."
    if isinstance(body, bytes):
        return 400, dialect, "The body is not declared as JSON: send the header Content-Type: application/json."
    if dialect is TEI and _shape(body) == "introduction":
        dialect = INTRODUCTION
        if isinstance(body, dict) and not (body.get("query") and body.get("documents")):
            return 400, dialect, introduction.MISSING
    if dialect is TEI and isinstance(body, dict) and body.get("texts") == []:
        return 400, dialect, tei.EMPTY
    place = ".".join(str(part) for part in first["loc"] if part not in _NO_FIELDS) or "the body"
    return 422, dialect, f"{place}: {first['msg'].removeprefix('Value error, ')}."


def own_words(error: HTTPException) -> str:
    """Say what is wrong where FastAPI or starlette say it in few words."""
    if error.detail == "There was an error parsing the body":
        return (
            "The body cannot be read as JSON: it is no UTF-8, nests too deep, holds a number of too many digits, or "
            "ended too early."
        )
    return str(error.detail)


async def _answer(request: Request, dialect: Dialect[Req], body: Req) -> Any:
    request.state.dialect = dialect
    engine, settings = context_of(request).engine, context_of(request).settings
    texts = body.texts
    _check_limits(settings, body.query, texts)
    with engine.counted():
        results = await _unless_gone(request, engine.rank(body.query, texts, top_n=body.top_n))
    request.state.report = results.report
    if settings.log_texts:
        request.state.texts = {"query": body.query, "documents": texts}
    return dialect.answer(body, results, request.state.id)


def _check_limits(settings: ServiceSettings, query: str, texts: list[str]) -> None:
    if len(texts) > settings.max_documents:
        raise InvalidValueError(
            f"{len(texts):,} documents are over the limit of {settings.max_documents:,} a request. Send fewer, or "
            "several requests."
        )
    for name, text in (("query", query), *((f"document {place}", text) for place, text in enumerate(texts))):
        if len(text) > settings.max_characters:
            raise InvalidValueError(
                f"{name} has {len(text):,} characters, over the limit of {settings.max_characters:,}. Send the part "
                "that matters."
            )


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do some work, but drop it when the caller hangs up, so that its place in the queue is free."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise DisconnectedError("The caller hung up before the answer was there.")
    finally:
        for task in (working, leaving):
            task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
