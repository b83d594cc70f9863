"""Batches hold every pair once, under the budget, and padding stays small."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.scoring.batching import lay_out, plan_batches
from rerank_plugins.scoring.encoding import EncodedPair, read_template
from rerank_plugins.scoring.tokenization import TextTokenizer
from tests.tiny_models import word_piece

LENGTHS = st.lists(st.integers(1, 512), max_size=100)


@given(lengths=LENGTHS, budget=st.integers(1, 5000), most=st.none() | st.integers(1, 20))
def test_every_pair_is_in_one_batch_under_the_budget(lengths: list[int], budget: int, most: int | None) -> None:
    batches = plan_batches(lengths, max_batch_tokens=budget, pairs_per_batch=most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
        assert most is None or len(batch) <= most


@given(lengths=LENGTHS)
def test_batches_are_sorted_by_length(lengths: list[int]) -> None:
    order = [index for batch in plan_batches(lengths, max_batch_tokens=1000, pairs_per_batch=None) for index in batch]
    assert [lengths[index] for index in order] == sorted(lengths, reverse=True)


def test_sorting_keeps_padding_small() -> None:
    lengths = list(np.random.default_rng(0).integers(10, 500, 500))
    batches = plan_batches(lengths, max_batch_tokens=4096, pairs_per_batch=None)
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert (padded - sum(lengths)) / padded < 0.05


def test_rows_are_padded_with_the_models_own_token() -> None:
    template = read_template(TextTokenizer(word_piece()), "template")
    pairs = [EncodedPair((7,), (8, 9), 6, False, False), EncodedPair((7,), (), 4, False, False)]
    arrays = lay_out(pairs, template, inputs=("input_ids", "attention_mask"), pad_token_id=77)
    assert arrays["input_ids"].tolist() == [[2, 7, 3, 8, 9, 3], [2, 7, 3, 3, 77, 77]]
    assert arrays["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0]]
    assert arrays["input_ids"].dtype == np.int64
