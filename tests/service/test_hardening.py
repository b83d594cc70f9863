"""Any request gets an answer or an error in the route's own format; never a 500 or a dead worker."""

import json

import httpx
import pytest

from rerank_plugins.options.service import ServiceSettings
from tests.service.conftest import Service, Start
from tests.waiting import SECONDS

PATHS = ("/rerank", "/v1/rerank", "/v2/rerank")
SECRET = "correct-horse-battery"
OTHER = "another-horse-battery"


def message_of(answer: httpx.Response) -> str:
    body = answer.json()
    return str(next(body[name] for name in ("error", "detail", "message") if name in body))


@pytest.fixture(autouse=True)
def still_alive(service: Service) -> object:
    """After every test the shared service answers as before."""
    yield
    assert service.post("/rerank", {"query": "who", "documents": ["a"]}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"3", b'"text"', b"\xff\xfe", b'{"query": "who", "documents": ["a"]',
        b'{"query": NaN, "documents": NaN}', b'{"query": "who", "documents": ["a"], "top_n": NaN}',
        b'{"query": "who", "documents": ["a"], "top_n": 1e400}',
        b'{"query": "who", "documents": ["a"], "top_n": "one"}',
        b'{"query": "who", "documents": ["a"], "top_n": "' + b"9" * 5000 + b'"}',
        b'{"query": "who", "documents": ["a"], "top_n": true}',
        b'{"query": "who", "documents": ["a"], "top_n": ' + b"9" * 5000 + b"}",
        b'{"query": "   ", "documents": ["a"]}', b'{"query": ["who"], "documents": "a"}',
        b'{"query": "who", "documents": [{"text": 3}]}', b'{"query": "who", "documents": [null]}',
        b'{"query": "who", "texts": {"a": 1}}', b'{"query": "who", "documents": ' + b"[" * 20_000,
        json.dumps({"query": "who", "documents": [""] * 100_000}).encode(),
        *(json.dumps({"query": "who", "documents": [odd] * 100_000}).encode() for odd in (3, None, {}, [])),
        *(json.dumps({"query": "who", "texts": [odd] * 100_000}).encode() for odd in (3, None, {}, [])),
        json.dumps({"query": "who", "documents": ["a" * 10_000_000]}).encode(),
        json.dumps({"query": "w" * 300_000, "documents": ["a"]}).encode(),
    ],
)  # fmt: skip
def test_bad_bodies(service: Service, path: str, content: bytes) -> None:
    answer = httpx.post(
        service.url + path, content=content, headers={"Content-Type": "application/json"}, timeout=SECONDS
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert message_of(answer)
    assert len(answer.text) < 500  # it does not send back what it was sent


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content",
    [
        b'{"query": "who \\ud800", "documents": ["a"], "return_documents": true}',
        b'{"query": "who", "documents": ["a \\udfff"], "return_documents": true}',
        b'{"query": "who", "documents": [{"text": "a \\udfff"}], "return_documents": true}',
    ],
)
def test_half_characters_are_ranked_as_replacement_characters(service: Service, path: str, content: bytes) -> None:
    answer = httpx.post(
        service.url + path, content=content, headers={"Content-Type": "application/json"}, timeout=SECONDS
    )
    assert (answer.status_code, len(answer.json()["results"])) == (200, 1)


@pytest.mark.filterwarnings("ignore::rerank_plugins.errors.UnreadableTextWarning")
@pytest.mark.parametrize("path", PATHS)
def test_odd_texts_are_ranked(service: Service, path: str) -> None:
    documents = ["", " ", "\x00", "[SEP]", "</s>", "🦊" * 1000, "苹果", "a" * 199_999]
    answer = service.post(path, {"query": "[CLS]", "documents": documents})
    assert answer.status_code == 200
    assert sorted(row["index"] for row in answer.json()["results"]) == list(range(len(documents)))


def test_limits_name_themselves(start: Start) -> None:
    service = start(max_documents=3, max_characters=10, max_body_bytes=2000)
    many = service.post("/rerank", {"query": "who", "documents": ["a"] * 4})
    assert (many.status_code, "the limit of 3" in message_of(many)) == (422, True)
    long = service.post("/v1/rerank", {"query": "who", "documents": ["a", "b" * 11]})
    assert (long.status_code, "document 1 has 11 characters" in message_of(long)) == (422, True)
    for path in PATHS:
        large = service.post(path, {"query": "who", "documents": ["b" * 3000]})
        assert (large.status_code, "2,000 bytes" in message_of(large)) == (413, True)


def test_a_body_is_counted_as_it_is_read(start: Start) -> None:
    service = start(max_body_bytes=10_000)
    sent = 0

    def pieces() -> object:
        nonlocal sent
        for _ in range(100_000):
            sent += 10_000
            yield b"x" * 10_000

    try:
        answer = httpx.post(
            service.url + "/rerank", content=pieces(), headers={"Content-Type": "application/json"}, timeout=SECONDS
        )
        assert answer.status_code == 413
    except httpx.TransportError:  # The connection is closed while this still sends.
        pass
    assert sent < 20_000_000  # what the buffers of both sides hold


def test_keys(start: Start) -> None:
    service = start(api_keys=f"{OTHER},{SECRET}")
    body = {"query": "who", "documents": ["a"]}
    for wrong in ("", SECRET, f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", f"Basic {SECRET}", "Bearer", "Bearer é"):
        for path in PATHS:
            answer = httpx.post(
                service.url + path, json=body, headers={"Authorization": wrong.encode()}, timeout=SECONDS
            )
            assert (answer.status_code, "Bearer KEY" in message_of(answer)) == (401, True)
    refused = service.post("/rerank", body)
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.json()["error_type"] == "Validation"
    for path in ("/info", "/metrics"):
        assert service.get(path).status_code == 401
        assert service.get(path, Authorization=f"Bearer {SECRET}").status_code == 200
    assert service.post("/rerank", body, Authorization=f"bearer  {SECRET}").status_code == 200
    assert service.post("/v2/rerank", body, Authorization=f"Bearer {OTHER}").status_code == 200
    for path in ("/", "/health", "/page/script.js", "/docs", "/static-offline-docs/swagger-ui.css"):
        assert service.get(path).status_code == 200
    assert SECRET not in service.get("/info", Authorization=f"Bearer {SECRET}").text
    assert "HTTPBearer" in service.get("/openapi.json").json()["components"]["securitySchemes"]


def test_other_machines_need_a_key() -> None:
    from rerank_plugins.errors import InvalidValueError

    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.raises(InvalidValueError, match="api_keys"):
            ServiceSettings.from_env({}, host=host)
        assert ServiceSettings.from_env({}, host=host, api_keys=SECRET).host == host
    for host in ("127.0.0.1", "::1", "localhost"):
        assert ServiceSettings.from_env({}, host=host).api_keys == ()


def test_settings_do_not_show_keys() -> None:
    from rerank_plugins.errors import InvalidValueError

    assert SECRET not in repr(ServiceSettings.from_env({}, api_keys=SECRET))
    with pytest.raises(InvalidValueError) as caught:
        ServiceSettings.from_env({}, api_keys=f"{SECRET} with spaces", port=-1)
    assert SECRET not in str(caught.value)
    assert "port" in str(caught.value)


def test_pages_of_other_origins_come_in_only_where_they_are_named(start: Start) -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    closed, opened = start(), start(cors_origins="https://example.org")
    assert (
        "access-control-allow-origin"
        not in httpx.options(closed.url + "/rerank", headers=asked, timeout=SECONDS).headers
    )
    answer = httpx.options(opened.url + "/rerank", headers=asked, timeout=SECONDS)
    assert answer.headers["access-control-allow-origin"] == "https://example.org"


def test_ids_come_back(service: Service) -> None:
    body = {"query": "who", "documents": ["a"]}
    assert service.post("/rerank", body, **{"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    made = service.post("/rerank", body, **{"X-Request-ID": 'a" b'}).headers["X-Request-ID"]
    assert len(made) == 32
    assert service.get("/nowhere").headers["X-Request-ID"]


def test_unknown_places_and_methods(service: Service) -> None:
    assert service.get("/nowhere").status_code == 404
    answer = service.get("/v1/rerank")
    assert (answer.status_code, set(answer.json())) == (405, {"detail"})


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"{", 400, "not valid JSON: Input data was truncated"),
        (b"\xff\xff", 400, "not valid JSON: invalid character (byte 0)"),
        (b'{"query": "who", "documents": ["\xff"]}', 400, "documents is not valid UTF-8"),
        (b'{"query": "\xff", "documents": ["a"]}', 400, "query is not valid UTF-8"),
        (b'{"query": ' + b"[" * 20_000, 400, "nested too deeply"),
        (b'{"top_n": ' + b"9" * 5000 + b"}", 422, "top_n: Integer value out of range"),
        (b'{"query": "  ", "documents": ["a"]}', 422, "query: the text is blank"),
        (b'{"query": "who", "documents": ["a", {"text": 3}]}', 422, "documents.1.text: Input should be a valid string"),
        (b'{"query": "who", "documents": ["a", 3]}', 422, "documents.1: Input should be a valid string"),
        (b'{"query": "who", "documents": ["a"], "top_n": 0}', 422, "top_n: Input should be greater than or equal to 1"),
    ],
)
def test_errors_say_what_was_wrong(service: Service, content: bytes, status: int, words: str) -> None:
    answer = httpx.post(
        service.url + "/v2/rerank", content=content, headers={"Content-Type": "application/json"}, timeout=SECONDS
    )
    assert (answer.status_code, words in message_of(answer)) == (status, True), answer.text


def test_a_body_that_is_not_declared_as_json(service: Service) -> None:
    for path in PATHS:
        answer = httpx.post(service.url + path, content=b'{"query": "who", "documents": ["a"]}', timeout=SECONDS)
        assert (answer.status_code, "Content-Type: application/json" in message_of(answer)) == (400, True)


def test_metrics_count_what_was_done(start: Start) -> None:
    service = start()
    for _ in range(3):
        service.post("/rerank", {"query": "who", "documents": ["a", "b"]})
    service.post("/v1/rerank", {"query": "who"})
    service.get("/made/up/path")
    text = service.get("/metrics").text
    assert 'rerank_requests_total{route="/rerank",status="200"} 3.0' in text
    assert 'rerank_requests_total{route="/v1/rerank",status="422"} 1.0' in text
    assert 'rerank_candidates_sum{model="' in text
    assert text.count("rerank_candidates_count{") == 1
    assert "rerank_ready 1.0" in text
    assert "made" not in text
