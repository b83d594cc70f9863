"""The wire format of Hugging Face's text-embeddings-inference (its router/src/http/types.rs)."""

from typing import Annotated, Literal

from pydantic import Field

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.service.dialects.base import Dialect, Flag, Query, Results, Schema

EMPTY = "`texts` cannot be empty"
_ERROR_TYPES = {400: "Empty", 413: "Validation", 422: "Validation", 424: "Backend", 429: "Overloaded"}


class Request(Schema):
    """`POST /rerank` with `texts`."""

    query: Query
    texts: Annotated[list[str], Field(min_length=1, description="The documents, in the retriever's order.")]
    truncate: Flag | None = Field(default=None, description="false to refuse documents that must be cut.")
    truncation_direction: Literal["Right", "right"] | None = Field(default=None, description="Where texts are cut.")
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
    if request.truncate is False and (cut := [each.index for each in results if each.truncated]):
        raise InvalidValueError(
            f"texts[{min(cut)}] and {len(cut) - 1} others are longer than the model reads. Send shorter ones, or "
            "truncate: true."
        )
    return [
        Rank(
            index=each.index,
            text=request.texts[each.index] if request.return_text else None,
            score=each.logit if request.raw_scores else each.score,
        )
        for each in results
    ]


TEI: Dialect[Request] = Dialect(
    name="tei",
    answer=_answer,
    failure=lambda status, message, _id: Failure(error=message, error_type=_ERROR_TYPES.get(status, "Unhealthy")),
    error_schema=Failure,
    statuses={500: 424},
)
