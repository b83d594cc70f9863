"""The table that maps errors to HTTP responses."""

import pytest
from starlette.exceptions import HTTPException

from rerank_plugins.errors import OutOfMemoryError, OverloadedError, RerankError, ScoringError
from rerank_plugins.service.errors import BodyTooLargeError, UnauthorizedError
from rerank_plugins.service.refusals import DESCRIPTIONS, STATUS, Refusal, refusal_of, responses
from rerank_plugins.wire.cohere import COHERE
from rerank_plugins.wire.errors import IncompleteBodyError, InvalidBodyError, UnreadableBodyError
from rerank_plugins.wire.introduction import INTRODUCTION
from rerank_plugins.wire.jina import JINA
from rerank_plugins.wire.paths import FORMATS, first_format, format_of
from rerank_plugins.wire.tei import TEI


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (OverloadedError("The queue is full."), 429, "The queue is full."),
        (OutOfMemoryError("no memory"), 503, "no memory"),
        (RerankError("of a later version"), 500, "of a later version"),
        (RuntimeError("secret"), 500, "Internal error; see the server log for request id 7f3a."),
        (HTTPException(404), 404, "Not Found"),
        (BodyTooLargeError("The body exceeds the limit."), 413, "The body exceeds the limit."),
        (UnreadableBodyError("no JSON"), 400, "no JSON"),
        (IncompleteBodyError("no documents"), 400, "no documents"),
        (InvalidBodyError("top_n: no number"), 422, "top_n: no number"),
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
        (BodyTooLargeError(""), {"Connection": "close"}),
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
    error = InvalidBodyError("documents: Field required.")
    error.format = JINA
    assert refusal_of(error, "/rerank", "") == Refusal(JINA, 422, "documents: Field required.")


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
