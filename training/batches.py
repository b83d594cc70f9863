"""Put pairs of token ids into batches of like lengths, on the device that reads them."""

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
# Tokens that one forward pass takes at once when nothing is learnt.
_BUDGET = {"cpu": 8192, "cuda": 131_072}
# The fused attention of a GPU wants rows of a multiple of this many tokens.
_MULTIPLE = 8


class Texts:
    """Token ids of many texts, one after another on a device, so that a batch is put together there.

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
        """Token ids at places of texts: 0 is [CLS], 1 the first token; [SEP] follows the last, 0 is after it."""
        length, start = self._lengths[rows][:, None], self._starts[rows][:, None]
        ids = self._ids[(start + place - 1).clamp(0, len(self._ids) - 1)]
        ids = torch.where(place == 0, CLS, torch.where(place == length + 1, SEP, ids))
        return torch.where(place <= length + 1, ids, 0)


class Pairs:
    """Questions and documents that any pair of is put together on the device.

    Args:
        queries: The questions.
        documents: The documents, on the same device.
    """

    def __init__(self, queries: Texts, documents: Texts) -> None:
        self.queries, self.documents, self.device = queries, documents, queries.device

    def batches(self, queries: Rows, documents: Rows, *, budget: int) -> Iterator[tuple[Rows, Tensors]]:
        """Yield the places of pairs of like length, and their tensors.

        Args:
            queries: The question of each pair, by its row.
            documents: The document of each pair.
            budget: Tokens in a batch at most, padding included.
        """
        lengths = self.queries.lengths[queries] + self.documents.lengths[documents] + SPECIALS
        order, start = np.argsort(-lengths, kind="stable"), 0
        while start < len(order):
            longest = _round_up(int(lengths[order[start]]))
            places = order[start : start + max(1, budget // longest)]
            yield places, self.tensors(queries[places], documents[places], longest)
            start += len(places)

    def tensors(self, queries: Rows, documents: Rows, longest: int) -> Tensors:
        """Put pairs together: [CLS] query [SEP] [CLS] document [SEP]; each text has positions of its own."""
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
    """Score pairs without learning from them, in their order."""
    logits = np.empty(len(queries), dtype=np.float32)
    for places, tensors in pairs.batches(queries, documents, budget=_BUDGET[pairs.device]):
        logits[places] = model(*tensors).float().cpu().numpy()
    return logits


def _round_up(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE
