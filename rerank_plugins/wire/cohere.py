"""Cohere's wire format, version 2 (its OpenAPI document)."""

from pydantic import Field

from rerank_plugins.wire.base import Dialect, DocumentsRequest, Results, Schema, Whole


class Request(DocumentsRequest):
    """`POST /v2/rerank`."""

    model: str | None = Field(default=None, description="Anything: the service has one model.")
    max_tokens_per_doc: Whole | None = Field(default=None, description="Not applied: the model's limit is.")
    priority: Whole | None = Field(default=None, description="Not applied: all callers take fair turns.")


class Result(Schema):
    """One document."""

    index: int
    relevance_score: float


class ApiVersion(Schema):
    """Which version of the format this is."""

    version: str = "2"
    is_experimental: bool = False


class BilledUnits(Schema):
    """What Cohere would bill: one search."""

    search_units: int = 1


class Tokens(Schema):
    """What the model read."""

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
    """What was wrong."""

    id: str
    message: str


def _answer(request: Request, results: Results, request_id: str) -> Answer:
    report = results.report
    warnings = [f"{report.truncated} documents were cut to what the model reads"] if report.truncated else []
    if request.max_tokens_per_doc is not None:
        warnings.append("max_tokens_per_doc is not applied: documents are cut where the model's own limit is")
    return Answer(
        id=request_id,
        results=[Result(index=each.index, relevance_score=each.score) for each in results],
        meta=Meta(tokens=Tokens(input_tokens=report.tokens), warnings=warnings or None),
    )


COHERE: Dialect[Request] = Dialect(
    name="cohere",
    answer=_answer,
    failure=lambda _status, message, request_id: Failure(id=request_id, message=message),
    error_schema=Failure,
)
