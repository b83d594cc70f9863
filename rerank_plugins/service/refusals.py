"""What an error becomes over HTTP: its status, its words, its headers, and its shape in the caller's wire format.

Everything about errors is here, but what one format does differently: that is in the format's own module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from rerank_plugins.errors import (
    ClosedError,
    DeadlineExceededError,
    EventLoopError,
    ForkedError,
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    ModelError,
    OutOfMemoryError,
    OverloadedError,
    RerankError,
    ScoringError,
)
from rerank_plugins.service.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    DisconnectedError,
    DrainingError,
    ForeignHostError,
    GuessingError,
    UnauthorizedError,
)
from rerank_plugins.wire.base import Format
from rerank_plugins.wire.errors import IncompleteBodyError, InvalidBodyError, UnreadableBodyError
from rerank_plugins.wire.paths import first_format

# From the specific to the general: the first match counts.
STATUS: Mapping[type[RerankError], int] = {
    UnreadableBodyError: 400,
    IncompleteBodyError: 400,
    UnauthorizedError: 401,
    ForeignHostError: 403,
    BodyTimeoutError: 408,
    BodyTooLargeError: 413,
    InvalidValueError: 422,
    InvalidTypeError: 422,
    OverloadedError: 429,
    GuessingError: 429,
    DisconnectedError: 499,  # nginx's code for it; only the log sees it
    OutOfMemoryError: 503,
    ScoringError: 500,
    DrainingError: 503,
    ClosedError: 503,
    EventLoopError: 500,
    ForkedError: 503,
    ModelError: 503,
    MissingExtraError: 503,
    DeadlineExceededError: 504,
}
HEADERS: Mapping[type[RerankError], Mapping[str, str]] = {
    OverloadedError: {"Retry-After": "1"},  # seconds: the queue shrinks with every batch
    GuessingError: {"Retry-After": "5"},
    DrainingError: {"Retry-After": "1"},  # the connection closes, so a load balancer chooses another instance
    UnauthorizedError: {"WWW-Authenticate": "Bearer"},
    # Without this the server would read the rest of the body to keep the connection.
    BodyTimeoutError: {"Connection": "close"},
    BodyTooLargeError: {"Connection": "close"},
}
# For the OpenAPI document.
DESCRIPTIONS: Mapping[int, str] = {
    400: "The body is not valid JSON, or a required field is missing or empty.",
    401: "Missing or invalid API key.",
    403: "The Host header names another machine, and the service has no API keys.",
    408: "The body was not received within the timeout.",
    413: "The body is too large.",
    422: "A field is invalid or over a limit.",
    424: "The model returned no usable scores (text-embeddings-inference format).",
    429: "Too many documents or bytes wait, or too many API keys were wrong. `Retry-After` says when to retry.",
    500: "The model returned no usable scores, or an internal error occurred.",
    503: "The model is unavailable, or the service is shutting down.",
    504: "The request timed out.",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it goes out.

    Attributes:
        format: The wire format of its body.
        status: The HTTP status.
        message: What is wrong; never a part of what the caller sent as a text.
        headers: Headers to add.
    """

    format: Format[Any]
    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


def refuse(scope: Scope, error: BaseException) -> JSONResponse:
    """Build the HTTP response of an error, in the wire format of the request."""
    state: dict[str, Any] = scope["state"]
    refusal = refusal_of(error, scope["path"], state["id"], state.get("format"))
    body = refusal.format.failure(refusal.status, refusal.message, state["id"])
    return JSONResponse(body.model_dump(), refusal.status, dict(refusal.headers))


def refusal_of(error: BaseException, path: str, request_id: str, known: Format[Any] | None = None) -> Refusal:
    """Decide what an error becomes.

    Args:
        error: Any exception.
        path: The path of the request.
        request_id: For the message of an internal error.
        known: The request's wire format, if its body has been read.

    Examples:
        >>> refusal_of(OverloadedError("The queue is full."), "/v1/rerank", "7f3a").status
        429
    """
    found = error.format if isinstance(error, InvalidBodyError) else None
    wire_format = known or found or first_format(path)
    match error:
        case ModelError():  # its reason names folders of the server, and is in the log
            return Refusal(wire_format, STATUS[ModelError], "The model could not be loaded; see the server log.")
        case RerankError() as ours:
            return Refusal(wire_format, status_of(ours, wire_format), str(ours), _look_up(HEADERS, ours, {}))
        case HTTPException() as routing:  # such as 404 and 405
            return Refusal(wire_format, routing.status_code, routing.detail, dict(routing.headers or {}))
        case _:
            return Refusal(wire_format, 500, f"Internal error; see the server log for request id {request_id}.")


def status_of(error: RerankError, wire_format: Format[Any]) -> int:
    """Return the HTTP status of an error in a wire format.

    Examples:
        >>> status_of(ScoringError("NaN"), JINA), status_of(ScoringError("NaN"), TEI)
        (500, 424)
    """
    status: int = _look_up(wire_format.statuses, error, _look_up(STATUS, error, 500))
    return status


def responses(*formats: Format[Any]) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route for the OpenAPI document."""
    schema: Any = formats[0].error_schema
    for each in formats[1:]:
        schema = schema | each.error_schema
    own = {status for each in formats for status in each.statuses.values()}
    used = (set(STATUS.values()) | own) & DESCRIPTIONS.keys()
    return {status: {"model": schema, "description": DESCRIPTIONS[status]} for status in sorted(used)}


def _look_up(table: Mapping[type[Any], Any], error: Exception, default: Any) -> Any:
    return next((value for kind, value in table.items() if isinstance(error, kind)), default)
