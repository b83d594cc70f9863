"""Sort pairs by length into batches under a token budget, and lay a batch out as arrays."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.scoring.encoding import EncodedPair, PairTemplate

Array = NDArray[np.int64]


def plan_batches(lengths: Sequence[int], *, max_batch_tokens: int, pairs_per_batch: int | None) -> list[list[int]]:
    """Group pairs of like length, the longest first.

    Args:
        lengths: Tokens of each pair.
        max_batch_tokens: Tokens a batch may have, padding included; a longer pair gets a batch of its own.
        pairs_per_batch: Pairs a batch may have; None for as many as the budget allows.

    Returns:
        Indexes into `lengths`, each exactly once.

    Example:
        >>> plan_batches([5, 9, 6, 10], max_batch_tokens=20, pairs_per_batch=None)
        [[3, 1], [2, 0]]
    """
    batches: list[list[int]] = []
    # Longest first: what does not fit into memory shows in the first batch, and the workers end together.
    for index in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        widest = lengths[batches[-1][0]] if batches else 0
        full = not batches or len(batches[-1]) == pairs_per_batch or widest * (len(batches[-1]) + 1) > max_batch_tokens
        if full:
            batches.append([])
        batches[-1].append(index)
    return batches


def lay_out(
    pairs: Sequence[EncodedPair], template: PairTemplate, *, inputs: Sequence[str], pad_token_id: int
) -> dict[str, Array]:
    """Lay pairs out as the arrays that a model asks for.

    Returns:
        An int64 array of shape (pairs, longest pair) for each name in `inputs`, padded on the right.
    """
    width = max(pair.length for pair in pairs)
    return {name: _stack(pairs, template, width, name, pad_token_id) for name in inputs}


def _stack(pairs: Sequence[EncodedPair], template: PairTemplate, width: int, name: str, pad_token_id: int) -> Array:
    rows = np.full((len(pairs), width), pad_token_id if name == "input_ids" else 0, dtype=np.int64)
    for row, pair in zip(rows, pairs, strict=True):
        row[: pair.length] = _ROWS[name](pair, template)
    return rows


def _input_ids(pair: EncodedPair, template: PairTemplate) -> tuple[int, ...]:
    return template.prefix.ids + pair.query + template.middle.ids + pair.document + template.suffix.ids


def _attention_mask(pair: EncodedPair, _template: PairTemplate) -> list[int]:
    return [1] * pair.length


def _token_type_ids(pair: EncodedPair, template: PairTemplate) -> tuple[int, ...]:
    document = (template.document_type,) * len(pair.document)
    return template.prefix.types + (0,) * len(pair.query) + template.middle.types + document + template.suffix.types


def _position_ids(pair: EncodedPair, template: PairTemplate) -> list[int]:
    start = _query_segment(pair, template) if template.restarts else pair.length
    return [*range(start), *range(pair.length - start)]


def _segment_ids(pair: EncodedPair, template: PairTemplate) -> list[int]:
    start = _query_segment(pair, template)
    return [0] * start + [1] * (pair.length - start)


def _query_segment(pair: EncodedPair, template: PairTemplate) -> int:
    return len(template.prefix.ids) + len(pair.query) + template.boundary


_ROWS: dict[str, Callable[[EncodedPair, PairTemplate], Sequence[int]]] = {
    "input_ids": _input_ids,
    "attention_mask": _attention_mask,
    "token_type_ids": _token_type_ids,
    "position_ids": _position_ids,
    "segment_ids": _segment_ids,
}
