"""Batches of random ids, and real tiny models to run them on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Batch = dict[str, NDArray[np.int64]]

VOCABULARY = 200
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}


def batch(rows: Sequence[Sequence[int]], *, pad: int = 0) -> Batch:
    """Lay rows of ids out, padded on the right."""
    mask = (np.arange(max(map(len, rows))) < np.array([len(row) for row in rows])[:, None]).astype(np.int64)
    ids = np.full(mask.shape, pad)
    ids[mask == 1] = [token for row in rows for token in row]
    return {"input_ids": ids, "attention_mask": mask}


def random_rows(*lengths: int, seed: int = 0) -> list[list[int]]:
    """Make rows of random ids without control tokens."""
    random = np.random.default_rng(seed)
    return [random.integers(5, VOCABULARY, length).tolist() for length in lengths]


def tensors(inputs: Mapping[str, NDArray[np.int64]], device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return the arrays as a model takes them."""
    return {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
