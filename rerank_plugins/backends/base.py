"""What every backend offers: batches of encoded pairs in, float32 logits out."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.config import RerankConfig
from rerank_plugins.loading.folder import ModelFolder

Batch = Mapping[str, NDArray[np.int64]]
Logits = NDArray[np.float32]


class Backend(Protocol):
    """A loaded model.

    Attributes:
        inputs: Names of the arrays that `forward` asks for: `input_ids` and `attention_mask`, and what the model's
            own config adds: `token_type_ids`, `position_ids`, `segment_ids`.
        device: Where it runs, as torch spells devices.
        dtype: What it computes in.
        workers: How many `forward` calls it takes at once.
        pairs_per_batch: How many pairs a batch may have; None for as many as the token budget allows.
    """

    inputs: tuple[str, ...]
    device: str
    dtype: str
    workers: int
    pairs_per_batch: int | None

    def __init__(self, folder: ModelFolder, *, device: str, dtype: str) -> None:
        """Load the model onto a device that `resolve` named.

        Raises:
            ModelNotFoundError: If a file is missing.
            UnsupportedModelError: If the weights are not those of a cross-encoder with one label.
        """

    @classmethod
    def resolve(cls, config: RerankConfig) -> tuple[str, str]:
        """Choose device and dtype for a configuration, `auto` included.

        Raises:
            InvalidValueError: If the device is not there, or the dtype does not work on it.
        """
        ...

    def forward(self, batch: Batch) -> Logits:
        """Run the model.

        Args:
            batch: An array of shape (pairs, tokens) for each name in `inputs`.

        Returns:
            One float32 logit a pair, shape (pairs,).
        """
        ...

    def close(self) -> None:
        """Free the weights."""
