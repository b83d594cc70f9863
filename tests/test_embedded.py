"""The embedded model loads without extras and ranks the introduction's examples correctly."""

import pytest

from rerank_plugins import Reranker
from tests.processors import MEASURED
from tests.test_reranker import logits
from tests.texts import (
    APPLE,
    APPLE_DOCUMENTS,
    ASPIRIN,
    ENTANGLEMENT,
    ENTANGLEMENT_DOCUMENTS,
    PHOTOSYNTHESIS,
    TRAPS,
    mixed_lengths,
)

# fp32 logits of the same weights in a forward pass of its own in plain PyTorch, for pairs that both encode alike.
REFERENCE = [
    ("What is the capital of France?", "Paris is the capital of France.", 2.9696),
    ("What is the capital of France?", "Berlin is the capital of Germany.", -2.8589),
    (PHOTOSYNTHESIS, TRAPS[0], 1.3542),
    (PHOTOSYNTHESIS, TRAPS[2], -3.6543),
    (ASPIRIN, TRAPS[1], 0.0664),
]
# What int8 weights cost: at most 0.12 in these.
INT8 = 0.13


@pytest.fixture(scope="module")
def embedded() -> Reranker:
    return Reranker()


def test_it_is_onnx_on_the_cpu(embedded: Reranker) -> None:
    assert (embedded.model, embedded.backend, embedded.device, embedded.activation) == (
        "embedded",
        "onnx",
        "cpu",
        "sigmoid",
    )


@pytest.mark.parametrize(("query", "document", "logit"), REFERENCE)
def test_logits_are_those_of_the_reference_within_what_int8_costs(
    embedded: Reranker, query: str, document: str, logit: float
) -> None:
    assert embedded.rank(query, [document])[0].raw_score == pytest.approx(logit, abs=INT8 + MEASURED)


def test_the_capital_of_france(embedded: Reranker) -> None:
    paris, berlin = embedded.score(
        [
            ("What is the capital of France?", "Paris is the capital of France."),
            ("What is the capital of France?", "Berlin is the capital of Germany."),
        ]
    )
    assert paris > berlin + 0.2


@pytest.mark.parametrize(("query", "answer"), [(PHOTOSYNTHESIS, 0), (ASPIRIN, 1)])
def test_keyword_traps(embedded: Reranker, query: str, answer: int) -> None:
    assert embedded.rank(query, TRAPS)[0].index == answer


@pytest.mark.parametrize(("query", "documents"), [(APPLE, APPLE_DOCUMENTS), (ENTANGLEMENT, ENTANGLEMENT_DOCUMENTS)])
def test_documents_that_share_words_stay_below_the_answer(embedded: Reranker, query: str, documents: list[str]) -> None:
    assert [result.index for result in embedded.rank(query, documents)] == list(range(len(documents)))
    # However the first stage ordered them.
    backwards = [result.index for result in embedded.rank(query, documents[::-1])]
    assert backwards == list(range(len(documents)))[::-1]


def test_what_adds_to_the_answer_is_above_what_shares_words(embedded: Reranker) -> None:
    assert [result.index for result in embedded.rank(PHOTOSYNTHESIS, TRAPS)] == [0, 3, 2, 1]


def test_int8_scores_do_not_depend_on_who_shares_the_batch(embedded: Reranker) -> None:
    documents = [*TRAPS, *mixed_lengths(30, longest=200)]
    together = embedded.rank(PHOTOSYNTHESIS, documents)
    alone = [embedded.rank(PHOTOSYNTHESIS, [document])[0].raw_score for document in documents]
    assert logits(together) == pytest.approx(alone, abs=0.02)
    best_alone = sorted(range(len(documents)), key=lambda index: -alone[index])[:5]
    assert [result.index for result in together[:5]] == best_alone
