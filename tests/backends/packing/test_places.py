"""The memory that a CUDA graph reads: the smallest that holds a batch, and what is in it then."""

import pytest
import torch

from rerank_plugins.backends.packing import PackedRows
from rerank_plugins.backends.packing.places import SIZES, Places, Room, rooms
from tests.backends.packing.batches import batch, random_rows


def room_for(rows: PackedRows, *, shares: bool = False) -> Room | None:
    return next((room for room in rooms(shares=shares) if room.holds(rows)), None)


def packed(*lengths: int) -> PackedRows:
    return PackedRows.of(batch(random_rows(*lengths)))


def prompted(prompt: int, *documents: int) -> PackedRows:
    (shared,), own = random_rows(prompt, seed=1), random_rows(*documents)
    return PackedRows.of(batch([shared + document for document in own]), shared_prefixes=True)


def test_a_batch_and_empty_places_behind_it() -> None:
    rows = packed(100, 7, 200)
    room = Room(512, 512, 5, 0)
    assert room_for(rows) == room
    places = Places(room, "cpu", types=False)
    places.fill(packed(30, 40, 50, 60))
    places.fill(rows)
    filled = places.rows()
    assert filled.tokens == 512
    assert torch.equal(filled.input_ids[:, :307], rows.input_ids)
    assert torch.equal(filled.position_ids[:, :307], rows.position_ids)
    assert filled.queries.offsets.tolist() == [0, 100, 107, 307, 307, 307]
    assert filled.key_places is None


def test_a_beginning_that_pairs_share_and_what_sees_it() -> None:
    rows = prompted(100, 50, 7)
    room = Room(512, 512, 5, 1024)
    assert room_for(rows, shares=True) == room
    places = Places(room, "cpu", types=False)
    places.fill(prompted(30, 1, 2, 3, 4))
    places.fill(rows)
    filled = places.rows()
    assert filled.queries.offsets.tolist() == [0, 100, 150, 157, 157, 157]
    assert filled.keys.offsets.tolist() == [0, 100, 250, 357, 357, 357]
    assert filled.key_places is not None
    assert rows.key_places is not None
    assert torch.equal(filled.key_places[:357], rows.key_places)


def test_where_nothing_is_shared_each_sees_itself() -> None:
    places = Places(Room(512, 512, 5, 1024), "cpu", types=False)
    places.fill(prompted(30, 40, 50))
    places.fill(packed(20, 9))
    filled = places.rows()
    assert filled.queries.offsets.tolist() == filled.keys.offsets.tolist() == [0, 20, 29, 29, 29, 29]
    assert filled.key_places is not None
    assert filled.key_places[:29].tolist() == [*range(29)]


@pytest.mark.parametrize(
    ("lengths", "room"),
    [
        ([300, 7], (512, 512, 5)),
        ([90] * 50, (4608, 256, 144)),  # more places than 48 for sequences of up to 512 tokens
        ([118] * 50, (6144, 512, 64)),
        ([256] * 64, (SIZES[-1], 512, 170)),
        ([20] * 300, (8192, 128, 682)),
        ([600], (1024, 2048, 4)),
        ([2000] * 8, (SIZES[-1], 2048, 64)),
    ],
)
def test_the_smallest_that_holds_a_batch(lengths: list[int], room: tuple[int, int, int]) -> None:
    assert room_for(packed(*lengths)) == (*room, 0)


@pytest.mark.parametrize("lengths", [[2049], [256] * 65, [5] * 1400])
def test_what_none_holds(lengths: list[int]) -> None:
    assert room_for(packed(*lengths)) is None


def test_many_keys_take_a_larger_one() -> None:
    assert room_for(prompted(200, *[10] * 5), shares=True) == (768, 512, 8, 1536)
