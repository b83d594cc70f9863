"""BAAI/bge-reranker-v2-m3 for real. Needs the Hub and about 2.3 GB: `make test-hub`, never part of the checks."""

from collections.abc import Iterator

import pytest

from rerank_plugins import Reranker
from tests.texts import ASPIRIN, PHOTOSYNTHESIS, TRAPS

pytestmark = pytest.mark.hub

# The commit of the model card whose figures are tested.
REVISION = "953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e"

PANDA = (
    "The giant panda (Ailuropoda melanoleuca), sometimes called a panda bear or simply panda, is a bear species "
    "endemic to China."
)
APPLE = {
    "苹果公司最新发布的AI功能": (
        "苹果推出Apple Intelligence，新增写作工具、智能摘要和更懂上下文的Siri等人工智能功能",
        "苹果发布会介绍新款iPhone和健康功能",
    ),
    "the AI features Apple has just released": (
        "Apple Intelligence brings writing tools, smart summaries and a Siri that understands context.",
        "Apple's event presents a new iPhone and health features.",
    ),
}


@pytest.fixture(scope="module")
def reference() -> Iterator[Reranker]:
    with Reranker("BAAI/bge-reranker-v2-m3", revision=REVISION) as reranker:
        yield reranker


def test_the_figures_that_flagembedding_publishes(reference: Reranker) -> None:
    """`compute_score` of the model card, taken in fp16: https://huggingface.co/BAAI/bge-reranker-v2-m3 ."""
    results = sorted(reference.rank("what is panda?", ["hi", PANDA]), key=lambda result: result.index)
    assert [result.raw_score for result in results] == pytest.approx([-8.1875, 5.26171875], abs=0.05)
    assert [result.score for result in results] == pytest.approx([0.00027803096, 0.99484038], abs=0.001)


def test_the_capital_of_france(reference: Reranker) -> None:
    question = "What is the capital of France?"
    paris, berlin = reference.score(
        [(question, "Paris is the capital of France."), (question, "Berlin is the capital of Germany.")]
    )
    assert paris > berlin + 0.5


@pytest.mark.parametrize(("query", "answer"), [(PHOTOSYNTHESIS, 0), (ASPIRIN, 1)])
def test_keyword_traps(reference: Reranker, query: str, answer: int) -> None:
    assert reference.rank(query, TRAPS)[0].index == answer


@pytest.mark.parametrize("query", APPLE)
def test_apples_ai_features_against_its_new_iphone(reference: Reranker, query: str) -> None:
    answer, trap = APPLE[query]
    assert reference.rank(query, [trap, answer])[0].index == 1


def test_chinese_asks_and_english_answers(reference: Reranker) -> None:
    (chinese, english) = APPLE
    results = reference.rank(chinese, [APPLE[english][1], APPLE[english][0]])
    assert results[0].index == 1
    assert results.report.unreadable == 0
