"""Build batches of pairs of similar length, on the device that runs the model."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.model import CLS, SEP

Ids = NDArray[np.uint16]
Rows = NDArray[np.int64]
# A batch's tensors: input_ids, position_ids, segment_ids, attention_mask.
Tensors = tuple[Tensor, Tensor, Tensor, Tensor]
# Special tokens of a pair: two of each text.
SPECIALS = 4
# Tokens per forward pass at inference.
_BUDGET = {"cpu": 8192, "cuda": 131_072}
# Fused attention on a GPU needs rows whose length is a multiple of this.
_MULTIPLE = 8


class Texts:
    """Token ids of many texts, concatenated on a device, where batches are built from them.

    Args:
        rows: Token ids of each text, without special tokens.
        device: "cpu" or "cuda".
    """

    def __init__(self, rows: Sequence[Ids], device: str) -> None:
        self.lengths: Rows = np.array([len(row) for row in rows], dtype=np.int64)
        self.device = device
        self._ids = torch.from_numpy(np.concatenate(rows).astype(np.int64)).to(device)
        self._lengths = torch.from_numpy(self.lengths).to(device)
        self._starts = self._lengths.cumsum(0) - self._lengths

    def at(self, rows: Tensor, place: Tensor) -> Tensor:
        """Return token ids by position: 0 is [CLS], 1 the first token; after the last come [SEP] and zeros."""
        length, start = self._lengths[rows][:, None], self._starts[rows][:, None]
        ids = self._ids[(start + place - 1).clamp(0, len(self._ids) - 1)]
        ids = torch.where(place == 0, CLS, torch.where(place == length + 1, SEP, ids))
        return torch.where(place <= length + 1, ids, 0)


class Pairs:
    """Questions and documents on a device, from which batches of any pairs can be built.

    Args:
        queries: The questions.
        documents: The documents, on the same device.
    """

    def __init__(self, queries: Texts, documents: Texts) -> None:
        self.queries, self.documents, self.device = queries, documents, queries.device

    def batches(self, queries: Rows, documents: Rows, *, budget: int) -> Iterator[tuple[Rows, Tensors]]:
        """Yield batches of pairs of similar length: the indices of the pairs, and their tensors.

        Args:
            queries: The row of each pair's question.
            documents: The row of each pair's document.
            budget: Maximum number of tokens per batch, including padding.
        """
        lengths = self.queries.lengths[queries] + self.documents.lengths[documents] + SPECIALS
        order, start = np.argsort(-lengths, kind="stable"), 0
        while start < len(order):
            longest = _round_up(int(lengths[order[start]]))
            places = order[start : start + max(1, budget // longest)]
            yield places, self.tensors(queries[places], documents[places], longest)
            start += len(places)

    def tensors(self, queries: Rows, documents: Rows, longest: int) -> Tensors:
        """Build the inputs [CLS] query [SEP] [CLS] document [SEP]; positions restart in the second text."""
        query, document = (torch.from_numpy(rows).to(self.device) for rows in (queries, documents))
        first = torch.from_numpy(self.queries.lengths[queries] + 2).to(self.device)[:, None]
        second = torch.from_numpy(self.documents.lengths[documents] + 2).to(self.device)[:, None]
        place = torch.arange(longest, device=self.device)[None]
        mask = (place < first + second).long()
        segments = (place >= first).long() * mask
        positions = (place - first * segments) * mask
        ids = torch.where(segments == 1, self.documents.at(document, positions), self.queries.at(query, positions))
        return ids * mask, positions, segments, mask


@torch.inference_mode()
def logits_of(model: nn.Module, pairs: Pairs, queries: Rows, documents: Rows) -> NDArray[np.float32]:
    """Score pairs in inference mode; return the logits in the order of the pairs."""
    logits = np.empty(len(queries), dtype=np.float32)
    for places, tensors in pairs.batches(queries, documents, budget=_BUDGET[pairs.device]):
        logits[places] = model(*tensors).float().cpu().numpy()
    return logits


def _round_up(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE
