"""Batches built on the device equal pairs assembled by hand, and contain each pair once."""

import numpy as np
import pytest

from training.batches import Pairs, Texts
from training.model import CLS, SEP

QUERIES = [np.array([11, 12], dtype=np.uint16), np.array([13], dtype=np.uint16)]
DOCUMENTS = [np.array([21, 22, 23], dtype=np.uint16), np.array([], dtype=np.uint16)]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return Pairs(Texts(QUERIES, "cpu"), Texts(DOCUMENTS, "cpu"))


def test_a_pair_is_both_texts_with_positions_and_segments_of_their_own(pairs: Pairs) -> None:
    tensors = pairs.tensors(np.array([0, 1]), np.array([0, 1]), 10)
    ids, positions, segments, mask = (each.tolist() for each in tensors)
    assert ids == [[CLS, 11, 12, SEP, CLS, 21, 22, 23, SEP, 0], [CLS, 13, SEP, CLS, SEP, 0, 0, 0, 0, 0]]
    assert positions == [[0, 1, 2, 3, 0, 1, 2, 3, 4, 0], [0, 1, 2, 0, 1, 0, 0, 0, 0, 0]]
    assert segments == [[0] * 4 + [1] * 5 + [0], [0] * 3 + [1] * 2 + [0] * 5]
    assert mask == [[1] * 9 + [0], [1] * 5 + [0] * 5]


def test_batches_hold_every_pair_once_and_no_more_tokens_than_told(pairs: Pairs) -> None:
    queries, documents = np.array([0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    made = list(pairs.batches(queries, documents, budget=32))
    assert sorted(place for places, _ in made for place in places) == list(range(5))
    assert all(ids.numel() <= 32 for _, (ids, *_) in made)
