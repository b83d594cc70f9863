"""What every backend offers: batches of encoded pairs in, float32 logits out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.models.source import ModelFolder
from rerank_plugins.options import RerankConfig

Batch = Mapping[str, NDArray[np.int64]]
Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs, and how.

    Attributes:
        device: As torch spells devices.
        dtype: What it computes in.
        threads: How many threads run it; None for what its library does by itself.
    """

    device: str
    dtype: str
    threads: int | None


class Backend(Protocol):
    """A loaded model.

    Attributes:
        inputs: Names of the arrays that `forward` asks for: `input_ids` and `attention_mask`, and what the model's
            own config adds: `token_type_ids`, `position_ids`, `segment_ids`.
        placement: Where it runs.
        workers: How many `forward` calls it takes at once.
        batch_tokens: How many tokens a batch may have, padding included, unless a caller says otherwise.
        pairs_per_batch: How many pairs a batch may have; None for as many as the token budget allows.
        pass_tokens: How many tokens of padding a batch may have before a `forward` more is cheaper.
    """

    inputs: tuple[str, ...]
    placement: Placement
    workers: int
    batch_tokens: int
    pairs_per_batch: int | None
    pass_tokens: int

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        """Load the model where `place` put it.

        Raises:
            ModelNotFoundError: If a file is missing.
            UnsupportedModelError: If the weights are not those of a cross-encoder with one label.
        """

    @classmethod
    def place(cls, config: RerankConfig) -> Placement:
        """Choose device, dtype and threads for a configuration, `auto` included.

        Raises:
            InvalidValueError: If the device is not there, or the dtype or the threads do not work on it.
        """
        ...

    def forward(self, batch: Batch) -> Logits:
        """Run the model.

        Args:
            batch: An array of shape (pairs, tokens) for each name in `inputs`.

        Returns:
            One float32 logit a pair, shape (pairs,).

        Raises:
            OutOfMemoryError: If the device's memory cannot hold the batch.
            ForkedError: If the model was loaded before a fork that it does not survive.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
