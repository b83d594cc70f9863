"""The simplest wire format, that of the tutorials: a query and documents in, documents with scores out."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from rerank_plugins.wire.base import Document, DocumentsRequest, Flag, Format, Results, Schema

MISSING = "Missing 'query' or 'documents'"
EMPTY = "'documents' is empty: send at least one document"


class Request(DocumentsRequest):
    """`POST /rerank` with `documents`."""

    raw_scores: Flag | None = Field(
        default=None, description="Whether `score` is the raw score (logit), as by default."
    )
    details: Flag | None = Field(default=None, description="Whether to add `truncated`, `span` and a `report`.")


class Result(Schema):
    """One document."""

    document: Document = Field(description="The document as it was sent.")
    score: float = Field(description="The raw score (logit); with raw_scores: false the same as relevance_score.")
    index: int = Field(description="The document's position in the request, from 0.")
    relevance_score: float = Field(description="The score after the activation: 0 to 1 with a sigmoid.")
    truncated: bool | None = Field(default=None, description="With details: whether the document was truncated.")
    span: tuple[int, int] | None = Field(default=None, description="With details: the characters that gave the score.")


class Details(Schema):
    """What the call did, in numbers."""

    model: str
    tokens: int
    truncated: int
    seconds: float
    queue_seconds: float
    forward_seconds: float


class Answer(Schema):
    """Documents, best first."""

    query: str
    results: list[Result]
    report: Details | None = None


class Failure(Schema):
    """An error."""

    error: str


def _answer(request: Request, results: Results, _: str) -> Answer:
    raw, details, report = request.raw_scores is not False, bool(request.details), results.report
    return Answer(
        query=request.query,
        results=[
            Result(
                document=request.documents[each.index],
                score=each.raw_score if raw else each.score,
                index=each.index,
                relevance_score=each.score,
                truncated=each.truncated if details else None,
                span=each.span if details else None,
            )
            for each in results
        ],
        report=Details(
            model=report.model,
            tokens=report.tokens,
            truncated=report.truncated,
            seconds=report.seconds,
            queue_seconds=report.queue_seconds,
            forward_seconds=report.forward_seconds,
        )
        if details
        else None,
    )


def _incomplete(body: Mapping[str, Any]) -> str | None:
    documents = body.get("documents")
    if not body.get("query") or documents is None:
        return MISSING
    return EMPTY if documents == [] else None


INTRODUCTION: Format[Request] = Format(
    name="introduction",
    request=Request,
    answer=_answer,
    failure=lambda _status, message, _id: Failure(error=message),
    error_schema=Failure,
    incomplete=_incomplete,
)
