"""The table that maps errors to HTTP responses."""

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from rerank_plugins.errors import OutOfMemoryError, OverloadedError, RerankError, ScoringError
from rerank_plugins.service.errors import BodyTooLargeError, UnauthorizedError
from rerank_plugins.service.refusals import DESCRIPTIONS, STATUS, Refusal, refusal_of, responses
from rerank_plugins.wire.cohere import COHERE
from rerank_plugins.wire.introduction import INTRODUCTION
from rerank_plugins.wire.jina import JINA
from rerank_plugins.wire.paths import FORMATS, first_format, format_of
from rerank_plugins.wire.tei import TEI


def wrapped(cause: Exception) -> HTTPException:
    """The exception that FastAPI raises when it cannot read a body."""
    error = HTTPException(400, "There was an error")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (OverloadedError("The queue is full."), 429, "The queue is full."),
        (OutOfMemoryError("no memory"), 503, "no memory"),
        (RerankError("of a later version"), 500, "of a later version"),
        (RuntimeError("secret"), 500, "Internal error; see the server log for request id 7f3a."),
        (HTTPException(404), 404, "Not Found"),
        (wrapped(BodyTooLargeError("The body exceeds the limit.")), 413, "The body exceeds the limit."),
        (wrapped(ClientDisconnect()), 499, "The caller closed the connection before the body was complete."),
        (wrapped(RecursionError()), 400, "The body can't be parsed as JSON: it is nested too deeply."),
        (wrapped(OSError("secret")), 400, "The body can't be parsed as JSON: reading it failed."),
    ],
)
def test_an_error_has_a_status_and_words(error: Exception, status: int, message: str) -> None:
    refusal = refusal_of(error, "/v1/rerank", "7f3a")
    assert (refusal.status, refusal.message, refusal.format) == (status, message, JINA)


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (OverloadedError(""), {"Retry-After": "1"}),
        (UnauthorizedError(""), {"WWW-Authenticate": "Bearer"}),
        (wrapped(BodyTooLargeError("")), {"Connection": "close"}),
        (HTTPException(405, headers={"Allow": "POST"}), {"Allow": "POST"}),
        (ScoringError(""), {}),
    ],
)
def test_an_error_has_headers(error: Exception, headers: dict[str, str]) -> None:
    assert refusal_of(error, "/rerank", "").headers == headers


def test_a_format_may_have_a_status_of_its_own() -> None:
    error = ScoringError("NaN")
    assert refusal_of(error, "/rerank", "", TEI) == Refusal(TEI, 424, "NaN")
    assert refusal_of(error, "/rerank", "", INTRODUCTION) == Refusal(INTRODUCTION, 500, "NaN")


def test_a_bad_body_at_the_shared_path_decides_its_format() -> None:
    missing = [{"type": "missing", "loc": ("body", "jina", "documents"), "msg": "Field required"}]
    refusal = refusal_of(RequestValidationError(missing, body={"model": "any", "query": "who"}), "/rerank", "")
    assert refusal == Refusal(JINA, 422, "documents: Field required.")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, INTRODUCTION), ([], INTRODUCTION), ({}, INTRODUCTION), ({"documents": ["a"]}, INTRODUCTION),
        ({"documents": ["a"], "model": "any"}, JINA), ({"documents": ["a"], "model": None}, JINA),
        ({"documents": ["a"], "texts": ["a"]}, INTRODUCTION), ({"documents": None, "texts": ["a"]}, TEI),
        ({"texts": ["a"], "model": "any"}, TEI), ({"texts": []}, TEI),
    ],
)  # fmt: skip
def test_a_body_tells_its_format(body: object, expected: object) -> None:
    assert format_of(body) is expected


def test_a_path_tells_its_format_before_the_body_is_read() -> None:
    found = [first_format(path) for path in ("/rerank", "/v1/rerank", "/v2/rerank", "/info", "/nowhere")]
    assert found == [TEI, JINA, COHERE, INTRODUCTION, INTRODUCTION]


def test_every_status_is_described() -> None:
    assert set(STATUS.values()) - {499} <= set(DESCRIPTIONS)
    assert {424 in responses(*formats) for path, formats in FORMATS.items() if path == "/rerank"} == {True}
    assert 424 not in responses(JINA)
