"""Lay a padded batch out as one row without padding, and know where everything stands in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rerank_plugins.backends.packing.prefixes import SharedPrefixes, find_prefixes

Array = NDArray[np.int64]

# What a classification head reads beside the hidden states: where a pair ends.
_FOR_HEADS = ("input_ids", "attention_mask")


@dataclass(frozen=True, slots=True)
class Borders:
    """Where each sequence of a packed row begins and ends.

    Attributes:
        offsets: The first token of each sequence, and the end of the last one; int32, shape (sequences + 1,).
        longest: Tokens of the longest sequence, or more.
    """

    offsets: torch.Tensor
    longest: int


class AttentionCall(NamedTuple):
    """How a layer attended.

    Attributes:
        window: Its sliding window; None: it saw everything.
        causal: Whether a token saw nothing that comes after it.
        flash: Whether without padding.
    """

    window: int | None
    causal: bool
    flash: bool


@dataclass(frozen=True)
class PackedRows:
    """A batch as one packed row.

    With shared prefixes the row holds each common beginning once, before the tokens of the pairs. Then the sequences of
    the attention are the prefixes and the pairs' own tokens, and a pair's own tokens attend to prefix and own tokens.

    Attributes:
        input_ids: Token ids, shape (1, tokens).
        position_ids: Each token's place in its pair, from 0, shape (1, tokens).
        token_type_ids: The same row of token types, where the model reads them.
        queries: The sequences of the row.
        keys: The sequences that these attend to, as long as they or longer.
        key_places: Where each token of `keys` stands in the row; None: `keys` are the row itself.
        last: Where each pair's last token stands in the row, shape (pairs,).
        places: Where each token of the padded batch stands in the row, shape (pairs, longest pair); 0 for padding.
        padded: `input_ids` and `attention_mask` as they came, shape (pairs, longest pair): heads look at them.
        calls: The attention calls so far: what a model is checked by when it is loaded.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    token_type_ids: torch.Tensor | None
    queries: Borders
    keys: Borders
    key_places: torch.Tensor | None
    last: torch.Tensor
    places: torch.Tensor
    padded: Mapping[str, torch.Tensor]
    calls: list[AttentionCall] = field(default_factory=list)

    @classmethod
    def of(cls, inputs: Mapping[str, Array], *, shared_prefixes: bool = False, device: str = "cpu") -> "PackedRows":
        """Pack a batch.

        Args:
            inputs: What `Backend.forward` gets: `input_ids`, `attention_mask` and perhaps `token_type_ids`, int64
                arrays of shape (pairs, tokens), padded on the right.
            shared_prefixes: Whether to put common beginnings into the row once. Only for models in which a token sees
                nothing that comes after it.
            device: Where the tensors go.

        Returns:
            The packed batch. Of two pairs of 3 and 5 tokens: `input_ids` of shape (1, 8), `queries.offsets` [0, 3, 8],
            `position_ids` [[0, 1, 2, 0, 1, 2, 3, 4]], `last` [2, 7].
        """
        ids, lengths = inputs["input_ids"], inputs["attention_mask"].sum(axis=1)
        prefixes = find_prefixes(ids, lengths) if shared_prefixes else SharedPrefixes.none(len(ids))
        return _pack(inputs, lengths, prefixes, device)

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.last)

    @property
    def sequences(self) -> int:
        """Number of sequences of the row: pairs, and beginnings that they share."""
        return len(self.queries.offsets) - 1

    @property
    def tokens(self) -> int:
        """Tokens of the row."""
        return self.input_ids.shape[1]

    @cached_property
    def grid(self) -> "Grid":
        """The sequences as rows of equal length, for attention that wants them so."""
        return Grid(self.queries, self.keys, self.tokens)


class Grid:
    """Queries and keys of a packed row as padded rows, one a sequence.

    Args:
        queries: The sequences of the row.
        keys: What these attend to.
        tokens: Tokens of the row.

    Attributes:
        queries: Where each place takes its query from, shape (sequences, longest); places behind the end repeat the
            last token.
        keys: The same for keys.
        back: Where each token of the packed row stands in the flattened rows of `queries`, shape (tokens,);
            anywhere for tokens behind the last sequence.
    """

    def __init__(self, queries: Borders, keys: Borders, tokens: int) -> None:
        self._query_lengths, self._key_lengths = queries.offsets.diff().long(), keys.offsets.diff().long()
        self.queries, self.keys = _rows(queries), _rows(keys)
        token = torch.arange(tokens, device=queries.offsets.device)
        sequence = torch.searchsorted(queries.offsets[1:-1], token, right=True)
        column = (token - queries.offsets[sequence]).clamp(max=queries.longest - 1)
        self.back = sequence * queries.longest + column
        self._masks: dict[tuple[int, int], torch.Tensor] = {}

    def mask(self, before: int, after: int) -> torch.Tensor:
        """Which keys each query sees, bool of shape (sequences, 1, queries, keys).

        Args:
            before: How many tokens before its own a query sees; -1: all.
            after: How many after its own; -1: all.
        """
        if (before, after) not in self._masks:
            self._masks[before, after] = self._make_mask(before, after)
        return self._masks[before, after]

    def _make_mask(self, before: int, after: int) -> torch.Tensor:
        device = self._key_lengths.device
        keys = torch.arange(self.keys.shape[1], device=device)[None, None]
        # The last query stands beside the last key: what comes before it was put into the row once for several pairs.
        shift = (self._key_lengths - self._query_lengths)[:, None]
        own = torch.arange(self.queries.shape[1], device=device)[None] + shift
        own = torch.minimum(own, self._key_lengths[:, None] - 1)[:, :, None]
        seen = keys < self._key_lengths[:, None, None]
        if before >= 0:
            seen = seen & (keys >= own - before)
        if after >= 0:
            seen = seen & (keys <= own + after)
        return seen.expand(-1, own.shape[1], -1)[:, None]


def _rows(borders: Borders) -> torch.Tensor:
    starts, ends = borders.offsets[:-1, None].long(), borders.offsets[1:, None].long()
    places = starts + torch.arange(borders.longest, device=starts.device)
    return torch.minimum(places, ends - 1).clamp(min=0)


def _pack(inputs: Mapping[str, Array], lengths: Array, prefixes: SharedPrefixes, device: str) -> PackedRows:
    """Put the prefixes first, then each pair's own tokens in the order of the pairs."""
    heads = prefixes.lengths[prefixes.rows]
    query_offsets, key_offsets = _offsets([heads, lengths - prefixes.lengths]), _offsets([heads, lengths])
    column = np.arange(inputs["input_ids"].shape[1])[None]
    own = (column >= prefixes.lengths[:, None]) & (column < lengths[:, None])
    in_head = column < heads[:, None]
    own_start = query_offsets[len(heads) : -1] - prefixes.lengths
    in_prefix = column < prefixes.lengths[:, None]
    places = column + np.where(in_prefix, query_offsets[prefixes.group][:, None], own_start[:, None])
    valid = column < lengths[:, None]

    def row(array: Array) -> Array:
        return np.concatenate([array[prefixes.rows][in_head], array[own]])

    arrays = {
        "input_ids": row(inputs["input_ids"]),
        "position_ids": row(np.broadcast_to(column, own.shape)),
        "query_offsets": query_offsets,
        "last": query_offsets[len(heads) + 1 :] - 1,
        "places": np.where(valid, places, 0),
        **{f"padded {name}": inputs[name] for name in _FOR_HEADS},
    }
    if "token_type_ids" in inputs:
        arrays["token_type_ids"] = row(inputs["token_type_ids"])
    if len(heads):
        arrays["key_offsets"] = key_offsets
        arrays["key_places"] = np.concatenate([np.arange(heads.sum()), places[valid]])
    lengths_of_keys = np.diff(key_offsets if len(heads) else query_offsets)
    return _of_tensors(_send(arrays, device), int(np.diff(query_offsets).max()), int(lengths_of_keys.max()))


def _of_tensors(tensors: Mapping[str, torch.Tensor], longest: int, longest_keys: int) -> PackedRows:
    queries = Borders(tensors["query_offsets"].int(), longest)
    types = tensors.get("token_type_ids")
    return PackedRows(
        input_ids=tensors["input_ids"][None],
        position_ids=tensors["position_ids"][None],
        token_type_ids=None if types is None else types[None],
        queries=queries,
        keys=Borders(tensors["key_offsets"].int(), longest_keys) if "key_offsets" in tensors else queries,
        key_places=tensors.get("key_places"),
        last=tensors["last"],
        places=tensors["places"],
        padded={name: tensors[f"padded {name}"] for name in _FOR_HEADS},
    )


def _offsets(lengths: Sequence[Array]) -> Array:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])


def _send(arrays: Mapping[str, Array], device: str) -> dict[str, torch.Tensor]:
    """Copy arrays to a device at once: a copy costs a launch, however small it is."""
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays.values()]))
    if torch.device(device).type == "cuda":
        flat = flat.pin_memory()
    sizes = [array.size for array in arrays.values()]
    parts = torch.split(flat.to(device, non_blocking=True), sizes)
    return {name: part.view(array.shape) for part, (name, array) in zip(parts, arrays.items(), strict=True)}
