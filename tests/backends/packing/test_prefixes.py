"""Rows that begin alike are found by their ids."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.backends.packing.prefixes import SharedPrefixes, find_prefixes
from tests.backends.packing.batches import batch, random_rows


def prefixes(rows: Sequence[Sequence[int]]) -> SharedPrefixes:
    inputs = batch(rows)
    return find_prefixes(inputs["input_ids"], inputs["attention_mask"].sum(axis=1))


def test_rows_of_one_query_share_its_tokens() -> None:
    (prompt,), documents = random_rows(30, seed=1), random_rows(9, 20, 3)
    found = prefixes([prompt + document for document in documents])
    assert found.lengths.tolist() == [30] * 3
    assert found.group.tolist() == [0] * 3
    assert len(found.rows) == 1


def test_rows_of_two_queries_share_more_with_their_own() -> None:
    (system,), (first, second) = random_rows(20, seed=1), random_rows(40, 50, seed=2)
    documents = random_rows(5, 6, 7, 8)
    rows = [system + (first, second)[place % 2] + document for place, document in enumerate(documents)]
    found = prefixes(rows)
    assert found.lengths.tolist() == [60, 70, 60, 70]
    assert found.group[0] == found.group[2] != found.group[1] == found.group[3]


def test_a_row_that_shares_nothing_stays_alone() -> None:
    (prompt,), documents = random_rows(30, seed=1), random_rows(9, 20)
    found = prefixes([documents[0], prompt + documents[0], prompt + documents[1]])
    assert found.lengths.tolist() == [0, 30, 30]


def test_a_short_beginning_is_not_worth_it() -> None:
    found = prefixes([[7] * 15 + [8], [7] * 15 + [9]])
    assert found.lengths.tolist() == [0, 0]
    assert len(found.rows) == 0


def test_the_last_token_of_a_row_is_its_own() -> None:
    (prompt,) = random_rows(30)
    found = prefixes([prompt, prompt, [*prompt, 7]])
    assert found.lengths.max() == 29


def test_one_row_shares_nothing() -> None:
    assert prefixes(random_rows(40)).lengths.tolist() == [0]


def test_rows_that_grow_by_a_token_each() -> None:
    (row,) = random_rows(600)
    found = prefixes([row[:length] for length in range(1, 601)])
    assert (found.lengths < np.arange(1, 601)).all()


@given(st.lists(st.lists(st.integers(1, 2), min_size=1, max_size=40), min_size=1, max_size=12))
def test_what_is_shared_is_the_same_and_leaves_a_token(rows: list[list[int]]) -> None:
    found = prefixes(rows)
    for row, group, length in zip(rows, found.group, found.lengths, strict=True):
        assert 0 <= length < len(row)
        if length:
            head = int(found.rows[group])
            assert rows[head][:length] == row[:length]
            assert found.lengths[head] == length
            assert found.group[head] == group
