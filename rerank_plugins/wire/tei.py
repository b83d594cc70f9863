"""The wire format of Hugging Face's text-embeddings-inference (its router/src/http/types.rs)."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from rerank_plugins.errors import InvalidValueError, ScoringError
from rerank_plugins.wire.base import Format, Instruction, Query, Results, Schema, StrictFlag, Texts

EMPTY = "`texts` cannot be empty"
_ERROR_TYPES = {424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy", 504: "Overloaded"}


class Request(Schema):
    """`POST /rerank` with `texts`."""

    query: Query
    instruction: Instruction = None
    texts: Texts
    truncate: StrictFlag | None = Field(default=None, description="false to refuse texts over the limit.")
    truncation_direction: Literal["Right", "right"] | None = Field(
        default=None, description="The side on which texts are truncated: only the right."
    )
    raw_scores: StrictFlag | None = Field(default=None, description="Whether `score` is the raw score (logit).")
    return_text: StrictFlag | None = Field(default=None, description="Whether to return the texts.")

    @property
    def top_n(self) -> None:
        """Always None: all results are returned."""


class Rank(Schema):
    """One text."""

    index: int
    text: str | None = None
    score: float


class Failure(Schema):
    """An error and its type."""

    error: str
    error_type: str


def _answer(request: Request, results: Results, _: str) -> list[Rank]:
    report = results.report
    if request.truncate is False and (report.truncated or report.truncated_queries):
        first = min((each.index for each in results if each.truncated), default=0)
        what = "query" if report.truncated_queries else f"texts[{first}]"
        raise InvalidValueError(
            f"{what} is too long: query and text together may have {report.max_length} tokens. Shorten it, or send "
            "truncate: true."
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


def _incomplete(body: Mapping[str, Any]) -> str | None:
    return EMPTY if body.get("texts") == [] else None


TEI: Format[Request] = Format(
    name="tei",
    request=Request,
    answer=_answer,
    failure=_failure,
    error_schema=Failure,
    statuses={ScoringError: 424},
    incomplete=_incomplete,
)
