"""The memory that a CUDA graph reads a batch from: what it has room for, and how a batch is put there."""

from typing import NamedTuple

import torch

from rerank_plugins.backends.packing.rows import Borders, PackedRows

# Tokens of the graphs: from 1,024 on each has at most a quarter more than the one before, from 4,096 on an eighth.
SIZES = (
    *(512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584),
    *range(4096, 8192, 512),
    *range(8192, 16_384 + 1, 1024),
)
_FEW_SIZES = (512, 1024, 2048, 4096, 8192, 16_384)
# Tokens of the longest sequence, tokens of the graph for each sequence that it has room for, and for which sizes. The
# kernel starts a block for every 128 tokens of the longest one in every place for a sequence, used or not.
_SHAPES = ((128, 12, _FEW_SIZES), (256, 32, SIZES), (512, 96, SIZES), (2048, 256, _FEW_SIZES))
# Keys for each token of a graph, where pairs share beginnings: of a prompt and a document twice as long a pair reads
# one and a half times as many keys as it has tokens of its own.
_KEYS = 2


class Room(NamedTuple):
    """What a graph has room for.

    Attributes:
        tokens: Tokens of the row.
        longest: Tokens of the longest sequence.
        sequences: Pairs, and beginnings that they share.
        keys: Tokens that sequences attend to, together; 0: each sequence attends to itself.
    """

    tokens: int
    longest: int
    sequences: int
    keys: int

    def holds(self, rows: PackedRows) -> bool:
        """Tell whether a batch fits."""
        keys = 0 if rows.key_places is None else len(rows.key_places)
        return (
            rows.tokens <= self.tokens
            and rows.queries.longest <= self.longest
            and rows.sequences <= self.sequences
            and keys <= self.keys
        )


def rooms(*, shares: bool) -> list[Room]:
    """List what the graphs of a model have room for, in the order in which they are tried.

    Args:
        shares: Whether the model reads beginnings that pairs share once.

    Returns:
        The smallest first; of equals the one with fewer blocks in the attention.
    """
    return sorted(
        (
            Room(size, longest, size // share, _KEYS * size if shares else 0)
            for longest, share, sizes in _SHAPES
            for size in sizes
        ),
        key=lambda room: (room.tokens, room.longest * room.sequences),
    )


class Places:
    """The memory that a graph reads a batch from.

    Args:
        room: What it has room for.
        device: Where it is.
        types: Whether there are token types.
    """

    def __init__(self, room: Room, device: torch.device | str, *, types: bool) -> None:
        self._room = room
        self._row = torch.zeros((3 if types else 2, room.tokens), dtype=torch.int64, device=device)
        even = torch.arange(room.sequences + 1, device=device, dtype=torch.int32) * (room.tokens // room.sequences)
        self._queries, self._keys = even, even.clone() if room.keys else even
        self._key_places = torch.zeros(room.keys, dtype=torch.int64, device=device)

    def fill(self, rows: PackedRows) -> None:
        """Put a batch there. Tokens behind it belong to no pair; places for pairs that are left are empty sequences."""
        given = [rows.input_ids, rows.position_ids, rows.token_type_ids]
        for place, row in zip(self._row, given, strict=False):
            if row is not None:
                place[: rows.tokens].copy_(row[0])
        _fill(self._queries, rows.queries.offsets, rows.tokens)
        if self._room.keys:
            places = rows.key_places
            if places is None:  # nothing is shared
                places = torch.arange(rows.tokens, device=self._key_places.device)
            self._key_places[: len(places)].copy_(places)
            _fill(self._keys, rows.keys.offsets, len(places))

    def rows(self) -> PackedRows:
        """Return the packed row of what is there."""
        queries = keys = Borders(self._queries, self._room.longest)
        if self._room.keys:
            keys = Borders(self._keys, self._room.keys)  # only a limit: the kernel starts no blocks for keys
        return PackedRows(
            input_ids=self._row[:1],
            position_ids=self._row[1:2],
            token_type_ids=self._row[2:] if len(self._row) > 2 else None,
            queries=queries,
            keys=keys,
            key_places=self._key_places if self._room.keys else None,
            last=queries.offsets[1:] - 1,
            places=self._row[:0],
            padded={},
        )


def _fill(place: torch.Tensor, offsets: torch.Tensor, end: int) -> None:
    place.fill_(end)
    place[: len(offsets)].copy_(offsets)
