"""Lay a batch of pairs out as the arrays that a backend wants, and run it."""

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.backends.base import Backend, RawScores
from rerank_plugins.errors import ScoringError
from rerank_plugins.text.pairs import EncodedPair
from rerank_plugins.text.template import PairTemplate

Array = NDArray[np.int64]


def runner(
    backend: Backend, template: PairTemplate, *, pad_token_id: int
) -> Callable[[Sequence[EncodedPair]], RawScores]:
    """Make the function that scores a batch of encoded pairs with a backend.

    Args:
        backend: The loaded model.
        template: The model's pair template.
        pad_token_id: The id that fills shorter pairs up.

    Returns:
        A function that raises a `ScoringError` where the backend does not give one number a pair.
    """

    def run(pairs: Sequence[EncodedPair]) -> RawScores:
        inputs = lay_out(pairs, template, inputs=backend.inputs, pad_token_id=pad_token_id)
        scores = np.asarray(backend.forward(inputs), dtype=np.float32)
        if scores.shape != (len(pairs),):
            raise ScoringError(
                f"{type(backend).__name__}.forward gave an array of shape {scores.shape} for {len(pairs)} pairs. "
                f"It must give one number a pair, shape ({len(pairs)},)."
            )
        return scores

    return run


def lay_out(
    pairs: Sequence[EncodedPair], template: PairTemplate, *, inputs: Sequence[str], pad_token_id: int
) -> dict[str, Array]:
    """Lay pairs out as the arrays that a model asks for.

    Returns:
        An int64 array of shape (pairs, longest pair) for each name in `inputs`, padded on the right.
    """
    lengths = np.array([pair.length for pair in pairs])
    inside = np.arange(lengths.max()) < lengths[:, None]
    return {name: _stack(pairs, template, inside, name, pad_token_id) for name in inputs}


def _stack(
    pairs: Sequence[EncodedPair], template: PairTemplate, inside: NDArray[np.bool_], name: str, pad_token_id: int
) -> Array:
    if name == "attention_mask":
        return inside.astype(np.int64)
    rows = np.full(inside.shape, pad_token_id if name == "input_ids" else 0, dtype=np.int64)
    # All at once: an assignment a row costs as much as a hundred tokens.
    row = _ROWS[name]
    rows[inside] = np.fromiter(chain.from_iterable(row(pair, template) for pair in pairs), np.int64, inside.sum())
    return rows


def _input_ids(pair: EncodedPair, template: PairTemplate) -> tuple[int, ...]:
    return template.prefix.ids + pair.query + template.middle.ids + pair.document + template.suffix.ids


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
    "token_type_ids": _token_type_ids,
    "position_ids": _position_ids,
    "segment_ids": _segment_ids,
}
