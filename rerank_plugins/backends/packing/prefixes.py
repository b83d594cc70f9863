"""Find the rows of a batch that begin alike: a language model reads a common prompt once for all of them.

Only ids are compared, so whoever makes the rows need not know what they share.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]

# A shorter beginning saves less than one more sequence in the attention costs.
_SHORTEST = 16
# How often a group is split again: texts that grow by a word each would be split once a row.
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class SharedPrefixes:
    """Which rows begin alike.

    Attributes:
        rows: For each prefix, a row that begins with it, shape (prefixes,).
        group: For each row, the place of its prefix in `rows`; 0 where it has none, shape (rows,).
        lengths: For each row, the tokens of its prefix; 0 where it has none, shape (rows,).
    """

    rows: Array
    group: Array
    lengths: Array

    @classmethod
    def none(cls, rows: int) -> "SharedPrefixes":
        """No row shares anything."""
        return cls(np.zeros(0, np.int64), np.zeros(rows, np.int64), np.zeros(rows, np.int64))


def find_prefixes(ids: Array, lengths: Array) -> SharedPrefixes:
    """Group rows by their common beginning so that few tokens are left to read.

    The last token of a row is always its own: its hidden state is what a score is read from.

    Args:
        ids: Token ids, padded on the right, shape (rows, tokens).
        lengths: Tokens of each row without padding, at least 1, shape (rows,).

    Returns:
        The prefixes of at least 16 tokens. For three rows, of which the first and the last share 20 tokens: rows [0],
        group [0, 0, 0], lengths [20, 0, 20].
    """
    found = SharedPrefixes.none(len(ids))
    # Rows that begin alike are neighbours in the order of their bytes.
    order = np.array(sorted(range(len(ids)), key=lambda row: ids[row].tobytes()))
    common = _common_tokens(ids[order], lengths[order])
    heads: list[int] = []
    for start, stop in _split(common, 0, len(ids), _DEPTH)[1]:
        shared = int(common[start : stop - 1].min(initial=ids.shape[1])) if stop - start > 1 else 0
        if shared >= _SHORTEST:
            found.group[order[start:stop]] = len(heads)
            found.lengths[order[start:stop]] = shared
            heads.append(int(order[start]))
    return SharedPrefixes(np.array(heads, np.int64), found.group, found.lengths)


def _common_tokens(ids: Array, lengths: Array) -> Array:
    """Count the tokens that each row and the next begin with alike."""
    differ = ids[:-1] != ids[1:]
    first = np.where(differ.any(axis=1), differ.argmax(axis=1), ids.shape[1])
    common: Array = np.minimum(first, np.minimum(lengths[:-1], lengths[1:]) - 1)
    return common


def _split(common: Array, start: int, stop: int, depth: int) -> tuple[int, list[tuple[int, int]]]:
    """Split sorted rows into runs that save the most tokens; return how many, and the runs."""
    inside = common[start : stop - 1]
    if not len(inside):
        return 0, [(start, stop)]
    least = int(inside.min())
    together = least * len(inside), [(start, stop)]
    cuts = np.flatnonzero(inside == least)
    if not depth or together[0] >= inside.sum() - least * len(cuts):
        return together
    edges = [start, *(start + cuts + 1).tolist(), stop]
    parts = [_split(common, left, right, depth - 1) for left, right in pairwise(edges)]
    saved = sum(part[0] for part in parts)
    return together if together[0] >= saved else (saved, [run for part in parts for run in part[1]])
