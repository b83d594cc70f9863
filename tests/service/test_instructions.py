"""An instruction in each format: it reaches the scorer, is limited as other texts are, and never ignored."""

import json
from collections.abc import Sequence

import httpx
import pytest
from structlog.testing import capture_logs

from rerank_plugins import RerankConfig
from tests.fakes import FakeScorer
from tests.service.conftest import Service, Start
from tests.service.fakes import HostedRanker
from tests.waiting import SECONDS, until

CODE = "find code"
DOCUMENTS = ["bread", "some code"]
# A path and a body of each format, with the field of its errors.
FORMATS = [
    ("/rerank", {"query": "q", "documents": DOCUMENTS}, "error"),
    ("/rerank", {"query": "q", "documents": DOCUMENTS, "model": "any"}, "detail"),
    ("/rerank", {"query": "q", "texts": DOCUMENTS}, "error"),
    ("/v1/rerank", {"query": "q", "documents": DOCUMENTS}, "detail"),
    ("/v2/rerank", {"query": "q", "documents": DOCUMENTS}, "message"),
]
each_format = pytest.mark.parametrize(("path", "body", "field"), FORMATS)


@pytest.fixture
def scorer() -> FakeScorer:
    return FakeScorer({"bread": 50.0, "some code": 0.0}, takes_instruction=True)


@pytest.fixture
def taking(start: Start, scorer: FakeScorer) -> Service:
    """A service whose model takes an instruction, and has one of its own."""
    return start(load=lambda: HostedRanker(scorer, instruction="find passages"), max_characters=100)


def first(answer: object) -> int:
    rows: Sequence[dict[str, int]] = answer["results"] if isinstance(answer, dict) else answer  # type: ignore[assignment]
    return rows[0]["index"]


@each_format
def test_it_reaches_the_scorer(
    taking: Service, scorer: FakeScorer, path: str, body: dict[str, object], field: str
) -> None:
    answers = [taking.post(path, body | more) for more in ({}, {"instruction": None}, {"instruction": CODE})]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [asked[0].instruction for asked in scorer.asked] == ["find passages", "find passages", CODE]
    assert [first(answer.json()) for answer in answers] == [0, 0, 1]


@each_format
def test_a_model_that_takes_none_refuses_it(service: Service, path: str, body: dict[str, object], field: str) -> None:
    answer = service.post(path, body | {"instruction": "a secret"})
    assert answer.status_code == 422
    assert "instruction has no place in what 'embedded' reads" in answer.json()[field]
    assert "secret" not in answer.text
    assert service.post(path, body | {"instruction": None}).status_code == 200


@each_format
@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("", "instruction: the text is blank"),
        (" ", "instruction: the text is blank"),
        (3, "instruction: Input should be a valid string"),
        ("a " * 60, "instruction has 120 characters, which exceeds the limit of 100"),
    ],
)
def test_what_is_none(
    taking: Service,
    scorer: FakeScorer,
    path: str,
    body: dict[str, object],
    field: str,
    instruction: object,
    message: str,
) -> None:
    answer = taking.post(path, body | {"instruction": instruction})
    assert (answer.status_code, message in answer.json()[field]) == (422, True), answer.text
    assert scorer.asked == []


@each_format
def test_halves_of_characters_are_joined(
    taking: Service, scorer: FakeScorer, path: str, body: dict[str, object], field: str
) -> None:
    content = json.dumps(body | {"instruction": "find \ud835"})
    answer = httpx.post(
        taking.url + path, content=content, headers={"Content-Type": "application/json"}, timeout=SECONDS
    )
    assert answer.status_code == 200
    assert scorer.asked[0][0].instruction == "find \ufffd"


def test_the_document_has_it_in_every_format(service: Service) -> None:
    schemas = service.get("/openapi.json").json()["components"]["schemas"]
    requests = [schema for name, schema in schemas.items() if name.endswith("Request")]
    assert len(requests) == len(FORMATS)
    for schema in requests:
        assert schema["properties"]["instruction"]["description"].startswith("What relevant means")
        assert "instruction" not in schema["required"]


def test_info_says_whether_the_model_takes_one(service: Service, taking: Service) -> None:
    until(lambda: taking.get("/info").json()["status"] == "ready")
    until(lambda: service.get("/info").json()["status"] == "ready")
    assert [each.get("/info").json()["takes_instruction"] for each in (service, taking)] == [False, True]


def test_one_that_the_model_does_not_take_fails_the_service(start: Start) -> None:
    failed = start(config=RerankConfig(instruction=CODE))
    until(lambda: failed.get("/health").status_code == 503)
    answer = failed.post("/v1/rerank", {"query": "q", "documents": DOCUMENTS})
    assert answer.status_code == 503
    assert "see the server log" in answer.json()["detail"]
    assert "instruction has no place in what 'embedded' reads" in str(failed.app.state.context.engine.failure)


@pytest.mark.parametrize("log_texts", [True, False])
def test_the_log_has_it_only_with_the_other_texts(start: Start, scorer: FakeScorer, log_texts: bool) -> None:
    logged = start(load=lambda: HostedRanker(scorer), log_texts=log_texts)
    with capture_logs() as lines:
        assert logged.post("/rerank", {"query": "q", "documents": DOCUMENTS, "instruction": CODE}).status_code == 200
        until(lambda: any(line["event"] == "request" for line in lines))
    assert (CODE in str(lines)) is log_texts
