"""States of every token of some texts, one text after another on a device."""

import numpy as np
import torch
from torch import Tensor

from training.batches import Rows


class States:
    """Room for the states, to be filled batch by batch.

    Args:
        lengths: Tokens of each text, special ones included; 0 where a text has no states here.
        width: Numbers in a state.
        device: "cpu" or "cuda".
    """

    def __init__(self, lengths: Rows, width: int, device: str) -> None:
        ends = np.cumsum(lengths)
        self.width = width
        self._states = torch.empty((int(ends[-1]), width), dtype=torch.bfloat16, device=device)
        self._starts = torch.from_numpy(ends - lengths).to(device)

    def put(self, rows: Tensor, states: Tensor, mask: Tensor) -> None:
        """Keep the states of a batch of texts, of shape (batch, sequence, width), where the mask is 1."""
        places = self._starts[rows][:, None] + torch.arange(mask.shape[1], device=mask.device)
        self._states[places[mask == 1]] = states[mask == 1]

    def at(self, rows: Tensor, places: Tensor) -> Tensor:
        """The states at some places of some texts, of shape (batch, sequence, width)."""
        return self._states[self._starts[rows][:, None] + places]
