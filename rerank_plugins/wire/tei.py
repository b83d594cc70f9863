"""The wire format of Hugging Face's text-embeddings-inference (its router/src/http/types.rs)."""

from typing import Literal

from pydantic import Field

from rerank_plugins.errors import InvalidValueError, ScoringError
from rerank_plugins.wire.base import Dialect, Flag, Query, Results, Schema, Texts

EMPTY = "`texts` cannot be empty"
_ERROR_TYPES = {424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy", 504: "Overloaded"}


class Request(Schema):
    """`POST /rerank` with `texts`."""

    query: Query
    texts: Texts
    truncate: Flag | None = Field(default=None, description="false to refuse documents that must be cut.")
    truncation_direction: Literal["Right", "right"] | None = Field(
        default=None, description="Where texts are cut: only there."
    )
    raw_scores: Flag | None = Field(default=None, description="Whether `score` is the logit.")
    return_text: Flag | None = Field(default=None, description="Whether to send the texts back.")

    @property
    def top_n(self) -> None:
        """All results are wanted."""


class Rank(Schema):
    """One text."""

    index: int
    text: str | None = None
    score: float


class Failure(Schema):
    """What was wrong, and of what kind it is."""

    error: str
    error_type: str


def _answer(request: Request, results: Results, _: str) -> list[Rank]:
    report = results.report
    if request.truncate is False and (report.truncated or report.truncated_queries):
        cut = min((each.index for each in results if each.truncated), default=0)
        what = "query" if report.truncated_queries else f"texts[{cut}]"
        raise InvalidValueError(
            f"{what} is too long: query and text have {report.max_length} tokens at most. Send less, or truncate: true."
        )
    return [
        Rank(
            index=each.index,
            text=request.texts[each.index] if request.return_text else None,
            score=each.raw_score if request.raw_scores else each.score,
        )
        for each in results
    ]


def _failure(status: int, message: str, _: str) -> Failure:
    kind = "Empty" if message == EMPTY else _ERROR_TYPES.get(status, "Validation")
    return Failure(error=message, error_type=kind)


TEI: Dialect[Request] = Dialect(
    name="tei",
    answer=_answer,
    failure=_failure,
    error_schema=Failure,
    statuses={ScoringError: 424},
)
