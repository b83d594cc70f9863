"""Cohere's wire format, version 2 (its OpenAPI document). vLLM serves it too, and accepts numbers as strings."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from rerank_plugins.wire.base import DocumentsRequest, Format, Results, Schema, Whole

# As Cohere's API words it.
EMPTY = "invalid request: list of documents must not be empty"


class Request(DocumentsRequest):
    """`POST /v2/rerank`."""

    model: str | None = Field(default=None, description="Ignored: one model is served.")
    max_tokens_per_doc: Whole | None = Field(default=None, description="Ignored: the model's own limit applies.")
    priority: Whole | None = Field(default=None, description="Ignored: all callers share the model fairly.")


class Result(Schema):
    """One document."""

    index: int
    relevance_score: float


class ApiVersion(Schema):
    """The version of the format."""

    version: str = "2"
    is_experimental: bool = False


class BilledUnits(Schema):
    """What Cohere would bill for: one search."""

    search_units: int = 1


class Tokens(Schema):
    """The tokens that the model read."""

    input_tokens: int
    output_tokens: int = 0


class Meta(Schema):
    """What the call did."""

    api_version: ApiVersion = ApiVersion()
    billed_units: BilledUnits = BilledUnits()
    tokens: Tokens
    warnings: list[str] | None = None


class Answer(Schema):
    """Documents, best first."""

    id: str
    results: list[Result]
    meta: Meta


class Failure(Schema):
    """An error."""

    id: str
    message: str


def _answer(request: Request, results: Results, request_id: str) -> Answer:
    report = results.report
    warnings = [f"{report.truncated} documents were truncated to the model's limit"] if report.truncated else []
    if request.max_tokens_per_doc is not None:
        warnings.append("max_tokens_per_doc was ignored: the model's own limit applies")
    return Answer(
        id=request_id,
        results=[Result(index=each.index, relevance_score=each.score) for each in results],
        meta=Meta(tokens=Tokens(input_tokens=report.tokens), warnings=warnings or None),
    )


def _incomplete(body: Mapping[str, Any]) -> str | None:
    return EMPTY if body.get("documents") == [] else None


COHERE: Format[Request] = Format(
    name="cohere",
    request=Request,
    answer=_answer,
    failure=lambda _status, message, request_id: Failure(id=request_id, message=message),
    error_schema=Failure,
    incomplete=_incomplete,
)
