"""A batch as one row, and where everything stands in it."""

import numpy as np
import torch

from rerank_plugins.backends.packing import PackedRows
from tests.backends.packing.batches import batch, random_rows


def test_a_batch_without_its_padding() -> None:
    rows = PackedRows.of(batch([[5, 6, 7], [8, 9, 10, 11, 12]]))
    assert rows.input_ids.tolist() == [[5, 6, 7, 8, 9, 10, 11, 12]]
    assert rows.position_ids.tolist() == [[0, 1, 2, 0, 1, 2, 3, 4]]
    assert rows.queries.offsets.tolist() == [0, 3, 8]
    assert rows.queries.offsets.dtype == torch.int32
    assert (rows.queries.longest, rows.pairs, rows.tokens) == (5, 2, 8)
    assert rows.last.tolist() == [2, 7]
    assert rows.places.tolist() == [[0, 1, 2, 0, 0], [3, 4, 5, 6, 7]]
    assert rows.token_type_ids is rows.key_places is None


def test_token_types_go_along() -> None:
    inputs = batch([[5, 6], [7, 8, 9]]) | {"token_type_ids": np.array([[0, 1, 0], [0, 1, 1]])}
    rows = PackedRows.of(inputs)
    assert rows.token_type_ids is not None
    assert rows.token_type_ids.tolist() == [[0, 1, 0, 1, 1]]


def test_a_shared_prefix_is_there_once_and_is_seen_by_all() -> None:
    (prompt,), (first, second) = random_rows(20, seed=1), ([7, 8], [9])
    rows = PackedRows.of(batch([prompt + first, prompt + second]), shared_prefixes=True)
    assert rows.input_ids.tolist() == [prompt + first + second]
    assert rows.position_ids.tolist() == [[*range(20), 20, 21, 20]]
    assert rows.queries.offsets.tolist() == [0, 20, 22, 23]
    assert rows.keys.offsets.tolist() == [0, 20, 42, 63]
    assert rows.key_places is not None
    assert rows.key_places.tolist() == [*range(20), *range(22), *range(20), 22]
    assert rows.last.tolist() == [21, 22]
    assert rows.places.tolist() == [[*range(22)], [*range(20), 22, 0]]


def test_each_token_of_the_batch_is_found_again() -> None:
    prompts, documents = random_rows(30, 40, seed=1), random_rows(9, 20, 3, 50, 1)
    inputs = batch([prompts[place % 2] + document for place, document in enumerate(documents)])
    for shared in (False, True):
        rows = PackedRows.of(inputs, shared_prefixes=shared)
        valid = torch.from_numpy(inputs["attention_mask"]).bool()
        assert torch.equal(rows.input_ids[0][rows.places][valid], torch.from_numpy(inputs["input_ids"])[valid])
        positions = torch.arange(valid.shape[1]).expand(valid.shape)
        assert torch.equal(rows.position_ids[0][rows.places][valid], positions[valid])
    assert rows.tokens == 70 + sum(map(len, documents))
