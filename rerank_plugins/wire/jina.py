"""Jina's wire format, which infinity, vLLM and many clients also use."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from rerank_plugins.wire.base import (
    DocumentsRequest,
    Flag,
    Format,
    Results,
    Schema,
    TextDocument,
    lax_number,
    not_a_bool,
)


def _all_for_zero(value: int) -> int | None:
    return value or None


# vLLM's clients send 0 for all.
AllOrSome = Annotated[
    int,
    Field(ge=0),
    BeforeValidator(not_a_bool),
    AfterValidator(_all_for_zero),
    lax_number("^[0-9]+$", minimum=0),
]


class Request(DocumentsRequest):
    """`POST /v1/rerank`."""

    model: str | None = Field(default=None, description="Ignored: one model is served.")
    top_n: AllOrSome | None = Field(default=None, description="How many results to return; 0, or nothing, for all.")
    raw_scores: Flag | None = Field(default=None, description="true for raw scores (logits), as in infinity.")
    return_documents: Flag | None = Field(default=None, description="false to leave out the texts.")


class NamedRequest(Request):
    """`POST /rerank`: the model is required, since it distinguishes this format from the introduction's."""

    model: Annotated[str | None, WithJsonSchema({"type": ["string", "null"]})] = Field(
        description="Ignored: one model is served."
    )


class Result(Schema):
    """One document."""

    index: int
    relevance_score: float
    document: TextDocument | None = None


class Usage(Schema):
    """The tokens that the model read."""

    total_tokens: int
    prompt_tokens: int


class Answer(Schema):
    """Documents, best first."""

    id: str
    model: str
    usage: Usage
    results: list[Result]


class Failure(Schema):
    """An error."""

    detail: str


def _answer(request: Request, results: Results, request_id: str) -> Answer:
    texts = request.texts
    tokens = results.report.tokens
    return Answer(
        id=request_id,
        model=results.report.model,
        usage=Usage(total_tokens=tokens, prompt_tokens=tokens),
        results=[
            Result(
                index=each.index,
                relevance_score=each.raw_score if request.raw_scores else each.score,
                document=None if request.return_documents is False else TextDocument(text=texts[each.index]),
            )
            for each in results
        ],
    )


JINA: Format[Request] = Format(
    name="jina",
    request=Request,
    answer=_answer,
    failure=lambda _status, message, _id: Failure(detail=message),
    error_schema=Failure,
)
