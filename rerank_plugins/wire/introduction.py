"""The simplest wire format, that of the tutorials: a query and documents in, documents with scores out."""

from pydantic import Field

from rerank_plugins.wire.base import Dialect, Document, DocumentsRequest, Flag, Results, Schema

MISSING = "Missing 'query' or 'documents'"


class Request(DocumentsRequest):
    """`POST /rerank` with `documents`."""

    raw_scores: Flag | None = Field(default=None, description="Whether `score` is the logit, as without it.")
    details: Flag | None = Field(default=None, description="Add what was cut, the span that won, and the report.")


class Result(Schema):
    """One document."""

    document: Document = Field(description="As it came.")
    score: float = Field(description="The logit; the activated score with raw_scores: false.")
    index: int = Field(description="The document's place in the request, from 0.")
    relevance_score: float = Field(description="The activated score: 0 to 1 with a sigmoid.")
    truncated: bool | None = Field(default=None, description="With details: whether it was cut to be read.")
    span: tuple[int, int] | None = Field(default=None, description="With details: the characters that won the score.")


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
    """What was wrong."""

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


INTRODUCTION: Dialect[Request] = Dialect(
    name="introduction",
    answer=_answer,
    failure=lambda _status, message, _id: Failure(error=message),
    error_schema=Failure,
)
