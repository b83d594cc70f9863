"""Jina's wire format, which infinity, vLLM and many clients speak too."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from rerank_plugins.wire.base import Dialect, DocumentsRequest, Flag, Results, Schema, TextDocument, whole


def _all_for_zero(value: int) -> int | None:
    return value or None


# vLLM's clients send 0 for all.
AllOrSome = Annotated[
    int,
    Field(strict=True, ge=0, description="How many to return; 0 for all."),
    BeforeValidator(whole),
    AfterValidator(_all_for_zero),
]


class Request(DocumentsRequest):
    """`POST /v1/rerank`."""

    model: str | None = Field(default=None, description="Anything: the service has one model.")
    top_n: AllOrSome | None = None
    raw_scores: Flag | None = Field(default=None, description="true for logits, as infinity has it.")
    return_documents: Flag | None = Field(default=None, description="false to leave the texts out.")


class Result(Schema):
    """One document."""

    index: int
    relevance_score: float
    document: TextDocument | None = None


class Usage(Schema):
    """What the model read."""

    total_tokens: int
    prompt_tokens: int


class Answer(Schema):
    """Documents, best first."""

    id: str
    model: str
    usage: Usage
    results: list[Result]


class Failure(Schema):
    """What was wrong."""

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


JINA: Dialect[Request] = Dialect(
    name="jina",
    answer=_answer,
    failure=lambda _status, message, _id: Failure(detail=message),
    error_schema=Failure,
)
