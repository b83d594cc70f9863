"""Put pairs of token ids into batches of like lengths."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.model import CLS, SEP

Ids = NDArray[np.uint16]
# A batch's tensors: input_ids, position_ids, segment_ids, attention_mask.
Tensors = tuple[Tensor, Tensor, Tensor, Tensor]
# Special tokens of a pair: two of each text.
SPECIALS = 4
# Tokens that one forward pass takes at once when nothing is learnt.
_BUDGET = 8192


def batches(pairs: Sequence[tuple[Ids, Ids]], *, budget: int) -> Iterator[tuple[list[int], Tensors]]:
    """Yield the places of pairs of like length, and their tensors.

    Args:
        pairs: Token ids of query and document, without special tokens.
        budget: Tokens in a batch at most, padding included.
    """
    lengths = [len(query) + len(document) + SPECIALS for query, document in pairs]
    order = sorted(range(len(pairs)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        places = order[start : start + max(1, budget // lengths[order[start]])]
        yield places, _collate([pairs[place] for place in places])
        start += len(places)


@torch.inference_mode()
def logits_of(model: nn.Module, pairs: Sequence[tuple[Ids, Ids]], *, device: str) -> NDArray[np.float32]:
    """Score pairs without learning from them, in their order."""
    logits = np.empty(len(pairs), dtype=np.float32)
    for places, tensors in batches(pairs, budget=_BUDGET):
        logits[places] = model(*(each.to(device) for each in tensors)).float().cpu().numpy()
    return logits


def _collate(pairs: Sequence[tuple[Ids, Ids]]) -> Tensors:
    longest = max(len(query) + len(document) for query, document in pairs) + SPECIALS
    ids, positions, segments, mask = (torch.zeros((len(pairs), longest), dtype=torch.long) for _ in range(4))
    for row, (query, document) in enumerate(pairs):
        first, both = len(query) + 2, len(query) + len(document) + SPECIALS
        ids[row, :both] = torch.tensor([CLS, *query.tolist(), SEP, CLS, *document.tolist(), SEP])
        positions[row, :first], positions[row, first:both] = torch.arange(first), torch.arange(both - first)
        segments[row, first:] = 1
        mask[row, :both] = 1
    return ids, positions, segments, mask
