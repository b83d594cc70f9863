"""Each wire format, in the exact shape that its clients expect."""

import pytest

from rerank_plugins import Reranker
from tests.service.conftest import Service
from tests.texts import PHOTOSYNTHESIS, TRAPS

ASKED = {"query": PHOTOSYNTHESIS, "documents": TRAPS}
OBJECTS = {"query": PHOTOSYNTHESIS, "documents": [{"text": text} for text in TRAPS]}


@pytest.fixture(scope="module")
def expected() -> list[tuple[int, float, float]]:
    """Place, logit and score of each document, best first."""
    with Reranker() as reranker:
        return [(each.index, each.raw_score, each.score) for each in reranker.rank(PHOTOSYNTHESIS, TRAPS)]


def test_the_introduction_has_logits_as_scores(service: Service, expected: list[tuple[int, float, float]]) -> None:
    answer = service.post("/rerank", ASKED).json()
    assert set(answer) == {"query", "results"}
    assert answer["query"] == PHOTOSYNTHESIS
    assert [set(row) for row in answer["results"]] == [{"document", "score", "index", "relevance_score"}] * len(TRAPS)
    found = [(row["index"], row["score"], row["relevance_score"]) for row in answer["results"]]
    assert found == [pytest.approx(row) for row in expected]
    assert [row["document"] for row in answer["results"]] == [TRAPS[index] for index, *_ in expected]


def test_the_introduction_can_have_scores_and_fewer(service: Service, expected: list[tuple[int, float, float]]) -> None:
    rows = service.post("/rerank", ASKED | {"raw_scores": False, "top_n": 2}).json()["results"]
    assert [row["score"] for row in rows] == pytest.approx([score for *_, score in expected[:2]])
    assert [row["relevance_score"] for row in rows] == [row["score"] for row in rows]


def test_details_are_there_when_asked_for(service: Service) -> None:
    answer = service.post("/rerank", {"query": "who", "documents": ["a", "b " * 2000], "details": True}).json()
    assert sorted(row["truncated"] for row in answer["results"]) == [False, True]
    assert answer["report"]["tokens"] == 256 + 6  # of the pair that is cut, and of the short one
    assert answer["report"]["truncated"] == 1


def test_an_object_goes_back_as_it_came(service: Service) -> None:
    document = {"text": "Bread is baked.", "source": "a book", "page": 3}
    (row,) = service.post("/rerank", {"query": "who", "documents": [document]}).json()["results"]
    assert row["document"] == document


def test_one_document_works_too(service: Service) -> None:
    assert len(service.post("/rerank", {"query": "who", "documents": ["alone"]}).json()["results"]) == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"query": "who"}, {"documents": ["a"]}, {"query": "", "documents": ["a"]}, {"documents": []},
     {"query": None, "documents": ["a"]}, {"query": "who", "documents": None}],
)  # fmt: skip
def test_the_introduction_says_what_is_missing(service: Service, body: dict[str, object]) -> None:
    answer = service.post("/rerank", body)
    assert (answer.status_code, answer.json()) == (400, {"error": "Missing 'query' or 'documents'"})


def test_tei_answers_with_a_bare_array(service: Service, expected: list[tuple[int, float, float]]) -> None:
    asked = {"query": PHOTOSYNTHESIS, "texts": TRAPS}
    answer = service.post("/rerank", asked).json()
    assert answer == [{"index": index, "score": pytest.approx(score)} for index, _, score in expected]
    raw = service.post("/rerank", asked | {"raw_scores": True, "return_text": True}).json()
    assert raw == [
        {"index": index, "text": TRAPS[index], "score": pytest.approx(logit)} for index, logit, _ in expected
    ]
    nulls = {"truncate": None, "raw_scores": None, "return_text": None, "truncation_direction": "Right"}
    assert service.post("/rerank", asked | nulls).json() == answer


def test_tei_has_its_own_errors(service: Service) -> None:
    empty = service.post("/rerank", {"query": "who", "texts": []})
    assert (empty.status_code, empty.json()) == (400, {"error": "`texts` cannot be empty", "error_type": "Empty"})
    wrong = service.post("/rerank", {"query": "who", "texts": ["a", 3]})
    assert wrong.status_code == 422
    assert wrong.json() == {"error": "texts.1: Input should be a valid string.", "error_type": "Validation"}
    long = {"query": "who", "texts": ["short", "b " * 2000], "truncate": False}
    cut = service.post("/rerank", long)
    assert cut.status_code == 422
    assert "texts[1] is too long" in cut.json()["error"]
    query = service.post("/rerank", {"query": "who " * 600, "texts": ["a"], "truncate": False})
    assert (query.status_code, "query is too long" in query.json()["error"]) == (422, True)
    assert service.post("/rerank", long | {"truncate": True, "documents": None}).status_code == 200


@pytest.mark.parametrize("asked", [ASKED, OBJECTS])
def test_jina(service: Service, expected: list[tuple[int, float, float]], asked: dict[str, object]) -> None:
    answer = service.post("/v1/rerank", asked | {"model": "jina-reranker-v2", "top_n": 3, "return_documents": None})
    body = answer.json()
    assert set(body) == {"id", "model", "usage", "results"}
    assert body["model"] == "embedded"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] > 40
    assert body["results"] == [
        {"index": index, "relevance_score": pytest.approx(score), "document": {"text": TRAPS[index]}}
        for index, _, score in expected[:3]
    ]
    bare = service.post("/v1/rerank", asked | {"return_documents": False}).json()
    assert [set(row) for row in bare["results"]] == [{"index", "relevance_score"}] * len(TRAPS)
    assert len(service.post("/v1/rerank", asked | {"top_n": 0}).json()["results"]) == len(TRAPS)
    raw = service.post("/v1/rerank", asked | {"raw_scores": True}).json()["results"]
    assert [row["relevance_score"] for row in raw] == pytest.approx([logit for _, logit, _ in expected])
    wrong = service.post("/v1/rerank", asked | {"top_n": -1})
    assert (wrong.status_code, set(wrong.json())) == (422, {"detail"})


def test_what_the_client_of_infinity_sends(service: Service, expected: list[tuple[int, float, float]]) -> None:
    # infinity_client.models.RerankInput.to_dict(); its package pins an httpx that nothing else here can use.
    asked = ASKED | {"return_documents": False, "raw_scores": False, "model": "default/not-specified"}
    body = service.post("/v1/rerank", asked).json()
    assert {"results", "model", "usage"} <= body.keys()
    assert {"prompt_tokens", "total_tokens"} == body["usage"].keys()
    assert [(row["index"], row["relevance_score"]) for row in body["results"]] == [
        (index, pytest.approx(score)) for index, _, score in expected
    ]


def test_cohere(service: Service, expected: list[tuple[int, float, float]]) -> None:
    answer = service.post("/v2/rerank", ASKED | {"model": "rerank-v3.5", "top_n": 2, "max_tokens_per_doc": None})
    body = answer.json()
    assert set(body) == {"id", "results", "meta"}
    assert body["id"] == answer.headers["X-Request-ID"]
    assert body["results"] == [
        {"index": index, "relevance_score": pytest.approx(score)} for index, _, score in expected[:2]
    ]
    assert body["meta"]["api_version"] == {"version": "2", "is_experimental": False}
    assert "warnings" not in body["meta"]
    cut = service.post("/v2/rerank", {"model": "", "query": "who", "documents": ["b " * 2000]}).json()
    assert cut["meta"]["warnings"] == ["1 documents were truncated to the model's limit"]
    wrong = service.post("/v2/rerank", {"model": "rerank-v3.5", "query": "who"})
    assert wrong.status_code == 422
    assert wrong.json() == {"id": wrong.headers["X-Request-ID"], "message": "documents: Field required."}


def test_an_authorization_header_is_ignored_where_no_key_is_set(service: Service) -> None:
    assert service.post("/rerank", ASKED, Authorization="Bearer anything").status_code == 200


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize(("top_n", "kept"), [("1", 1), (1.0, 1), ("3", 3), (" 2 ", 2), ("2.0", 2)])
def test_a_number_may_be_a_string(service: Service, path: str, top_n: object, kept: int) -> None:
    answer = service.post(path, ASKED | {"top_n": top_n})
    assert (answer.status_code, len(answer.json()["results"])) == (200, kept)


def test_zero_as_a_string_is_all_in_jinas_format(service: Service) -> None:
    assert len(service.post("/v1/rerank", ASKED | {"top_n": "0"}).json()["results"]) == len(TRAPS)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("top_n", [True, "true", "", "1.5", "one", "-1", 1.5, [1]])
def test_what_is_not_a_number_is_refused(service: Service, path: str, top_n: object) -> None:
    answer = service.post(path, ASKED | {"top_n": top_n})
    assert (answer.status_code, "top_n: Input should be" in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("flag", "returned"),
    [("true", True), ("True", True), ("1", True), (1, True), ("false", False), ("False", False), ("0", False)],
)
def test_a_boolean_may_be_a_string(service: Service, flag: object, returned: bool) -> None:
    # RAGFlow's request to Xinference.
    asked = ASKED | {"model": "bge-reranker", "return_documents": flag, "return_len": "true"}
    for path in ("/v1/rerank", "/rerank"):
        answer = service.post(path, asked)
        assert answer.status_code == 200
        assert all(("document" in row) is returned for row in answer.json()["results"])


def test_each_boolean_and_number_may_be_a_string(service: Service) -> None:
    plain = service.post("/rerank", ASKED | {"raw_scores": False, "details": True}).json()["results"]
    assert service.post("/rerank", ASKED | {"raw_scores": "false", "details": "true"}).json()["results"] == plain
    raw = service.post("/v1/rerank", ASKED | {"raw_scores": True}).json()["results"]
    assert service.post("/v1/rerank", ASKED | {"raw_scores": "true"}).json()["results"] == raw
    assert service.post("/v2/rerank", ASKED | {"max_tokens_per_doc": "512", "priority": "0"}).status_code == 200


@pytest.mark.parametrize("flag", ["maybe", 2, "", [True]])
def test_what_is_not_a_boolean_is_refused(service: Service, flag: object) -> None:
    answer = service.post("/v1/rerank", ASKED | {"return_documents": flag})
    assert (answer.status_code, "return_documents: Input should be a valid boolean" in answer.text) == (422, True)


def test_tei_takes_booleans_alone_as_its_own_server_does(service: Service) -> None:
    answer = service.post("/rerank", {"query": "who", "texts": ["a"], "return_text": "true"})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "any", "top_n": 2, "return_documents": True},  # LiteLLM hosted_vllm, Dify
        {"model": "any", "top_n": 0, "truncate_prompt_tokens": None, "priority": 0},  # vLLM's own fields
        {"model": None},
    ],
)
def test_rerank_with_a_model_is_jinas_format(service: Service, asked: dict[str, object]) -> None:
    answer = service.post("/rerank", ASKED | asked).json()
    expected = service.post("/v1/rerank", ASKED | asked).json()
    assert {"id", "model", "usage", "results"} == answer.keys()
    assert answer["results"] == expected["results"]
    assert answer["results"][0]["document"] == {"text": TRAPS[0]}
    assert answer["usage"] == expected["usage"]


def test_what_the_client_of_infinity_sends_to_the_root(service: Service) -> None:
    asked = ASKED | {"return_documents": False, "raw_scores": False, "model": "default/not-specified"}
    body = service.post("/rerank", asked).json()
    assert {"results", "model", "usage"} <= body.keys()
    assert [set(row) for row in body["results"]] == [{"index", "relevance_score"}] * len(TRAPS)


def test_errors_of_rerank_with_a_model_are_jinas(service: Service) -> None:
    for wrong in ({"top_n": -1}, {"documents": "a"}, {"query": " "}, {"documents": []}, {"model": 3}):
        answer = service.post("/rerank", {"model": "any"} | ASKED | wrong)
        assert (answer.status_code, set(answer.json())) == (422, {"detail"}), wrong


@pytest.mark.parametrize(
    ("path", "more", "status", "expected"),
    [
        ("/rerank", {}, 400, {"error": "'documents' is empty: send at least one document"}),
        ("/rerank", {"model": "any"}, 422, {"detail": "documents: the list is empty. Send at least one document."}),
        ("/v1/rerank", {}, 422, {"detail": "documents: the list is empty. Send at least one document."}),
        ("/v2/rerank", {}, 400, {"message": "invalid request: list of documents must not be empty"}),
        ("/rerank", {"texts": [], "documents": None}, 400,
         {"error": "`texts` cannot be empty", "error_type": "Empty"}),
    ],
)  # fmt: skip
def test_no_documents_are_called_empty(
    service: Service, path: str, more: dict[str, object], status: int, expected: dict[str, str]
) -> None:
    answer = service.post(path, {"query": "who", "documents": []} | more)
    body = answer.json()
    body.pop("id", None)
    assert (answer.status_code, body) == (status, expected)
