"""What every network is: a torch module from arrays of token ids to one score a pair."""

import inspect
from typing import Any

from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch
    from torch import Tensor, nn


class Network(nn.Module):
    """A model's layers and its head.

    Attributes:
        inputs: Names of the arrays it reads, in the order of its arguments.
        model: The model of transformers inside.
        config: Its configuration.
    """

    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    model: Any
    config: Any

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        device: torch.device = self.model.device
        return device

    def forward(self, *arrays: Tensor) -> Tensor:
        """Score a batch.

        Args:
            arrays: An int64 tensor of shape (pairs, tokens) for each name in `inputs`, padded on the right.

        Returns:
            One float32 number a pair, shape (pairs,).
        """
        raise NotImplementedError


def accepted_inputs(model: Any) -> tuple[str, ...]:
    """Name the arrays an encoder reads: some fail on token types (ModernBERT), some have one row for them (XLM-R)."""
    accepted = inspect.signature(model.forward).parameters
    typed = "token_type_ids" in accepted and getattr(model.config, "type_vocab_size", 0) > 1
    return ("input_ids", "attention_mask", *(["token_type_ids"] if typed else []))
