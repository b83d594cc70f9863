"""The routes that rerank, one per path, and what they share."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Request, Response
from fastapi.routing import APIRoute
from pydantic import Discriminator, Tag

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.options import ServiceSettings
from rerank_plugins.results import ReportedList
from rerank_plugins.service.bodies import off_the_loop, received
from rerank_plugins.service.context import context_of, public_name
from rerank_plugins.service.errors import DisconnectedError
from rerank_plugins.service.refusals import responses
from rerank_plugins.wire import cohere, introduction, jina, tei
from rerank_plugins.wire.base import RerankRequest
from rerank_plugins.wire.bodies import encode, parse
from rerank_plugins.wire.paths import FORMATS, SHARED_PATH, format_at, format_of

T = TypeVar("T")


class RerankRoute(APIRoute):
    """Reads the body and writes the answer itself; the signature of its function is for the OpenAPI document.

    FastAPI would parse any body on the event loop, whatever is in it, and build all of it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""

        async def handle(request: Request) -> Response:
            context = context_of(request)
            with context.incoming.receive() as counted:
                body = await received(request, counted)
                request.state.format, asked = await off_the_loop(
                    len(body),
                    partial(
                        parse,
                        body,
                        FORMATS[self.path],
                        partial(format_at, self.path),
                        most=context.settings.max_documents,
                    ),
                )
                answer = await self.endpoint(request, asked)
                content = await off_the_loop(len(body), partial(encode, answer))
                return Response(content, media_type="application/json")

        return handle


router = APIRouter(tags=["rerank"], route_class=RerankRoute)


def _format_name(body: object) -> str:
    return format_of(body).name


SharedRequest = Annotated[
    Annotated[introduction.Request, Tag("introduction")]
    | Annotated[tei.Request, Tag("tei")]
    | Annotated[jina.NamedRequest, Tag("jina")],
    Discriminator(_format_name),
    Body(),
]
SharedAnswer = introduction.Answer | jina.Answer | list[tei.Rank]


@router.post(SHARED_PATH, responses=responses(*FORMATS[SHARED_PATH]))
async def rerank(request: Request, body: SharedRequest) -> SharedAnswer:
    """Rerank `documents`. With a `model` in Jina's format; with `texts` in that of text-embeddings-inference."""
    return await _answer(request, body)  # type: ignore[no-any-return]


@router.post("/v1/rerank", responses=responses(*FORMATS["/v1/rerank"]))
async def rerank_jina(request: Request, body: jina.Request) -> jina.Answer:
    """Rerank in Jina's format."""
    return await _answer(request, body)  # type: ignore[no-any-return]


@router.post("/v2/rerank", responses=responses(*FORMATS["/v2/rerank"]))
async def rerank_cohere(request: Request, body: cohere.Request) -> cohere.Answer:
    """Rerank in Cohere's format."""
    return await _answer(request, body)  # type: ignore[no-any-return]


async def _answer(request: Request, body: RerankRequest) -> Any:
    context = context_of(request)
    texts = body.texts
    _check_lengths(context.settings, body, texts)
    with context.admission.admit(len(texts)):
        work = context.engine.rank(body.query, texts, top_n=body.top_n, instruction=body.instruction)
        results = await _unless_disconnected(request, work)
    request.state.report = results.report
    if context.settings.log_texts:
        request.state.texts = {"query": body.query, "instruction": body.instruction, "documents": texts}
    public = replace(results.report, model=public_name(results.report.model))
    return request.state.format.answer(body, ReportedList(results, public), request.state.id)


def _check_lengths(settings: ServiceSettings, body: RerankRequest, texts: list[str]) -> None:
    named = (("query", body.query), ("instruction", body.instruction or ""))
    for name, text in (*named, *((f"document {index}", text) for index, text in enumerate(texts))):
        if len(text) > settings.max_characters:
            raise InvalidValueError(
                f"{name} has {len(text):,} characters, which exceeds the limit of {settings.max_characters:,}. Send "
                "only the relevant part."
            )


async def _unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await some work, but cancel it when the caller disconnects, which frees its place in the queue."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise DisconnectedError("The caller closed the connection before the answer was ready.")
    finally:
        for task in (working, leaving):
            task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
