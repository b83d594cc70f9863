"""A network whose encoder runs on packed rows, and whose head runs as its authors wrote it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from rerank_plugins.backends.base import Inputs
from rerank_plugins.backends.networks.base import Network
from rerank_plugins.backends.packing.rows import PackedRows
from rerank_plugins.backends.packing.running import CannotPackError, check_windows, disable, enable, hidden_states

# What runs the encoder: from a packed row to the hidden state of each of its tokens, shape (tokens, hidden size).
Encode = Callable[[PackedRows], torch.Tensor]

# Lengths of the pairs that a model is checked with.
_SAMPLE = (3, 12, 7)
# How many roundings to the model's dtype may add up over its some hundred operations.
_ROUNDINGS = 16


class PackedNetwork:
    """A network after its encoder was taken out: first the encoder runs on the packed row, then the head.

    Args:
        network: The network, where it will run. Its encoder is replaced, its attention too.

    Attributes:
        encoder: Its encoder.
        encode: What runs the encoder; CUDA graphs can be put here.
        flash: Whether its attention runs without padding, too.
        shares: Whether it reads beginnings that pairs share once.

    Raises:
        CannotPackError: If the model cannot do without padding, or its scores would not be the same. It is then left
            as it was.
    """

    def __init__(self, network: Network) -> None:
        self._network, self._device = network, str(network.device)
        model = network.model
        self.encoder = model.base_model
        # A classifier or a language model of transformers holds its encoder; a network holds one without a head.
        self._holder: torch.nn.Module = network if self.encoder is model else model
        self._place = "model" if self.encoder is model else str(model.base_model_prefix)
        self.encode: Encode = lambda rows: hidden_states(self.encoder, rows)
        self.flash = self.shares = False
        self._answer = _Answer(self.encoder)
        try:
            self._replace_encoder(model, _sample(model.config, network.inputs))
        except Exception as error:  # whatever a model that was not made for this provokes
            setattr(self._holder, self._place, self.encoder)
            disable(model)
            raise CannotPackError(str(error)) from error

    @torch.inference_mode()
    def _replace_encoder(self, model: Any, sample: Inputs) -> None:
        tensors = {name: torch.from_numpy(array).to(self._device) for name, array in sample.items()}
        mask = tensors["attention_mask"].bool()
        states, scores = self.encoder(**tensors).last_hidden_state, self._head(tensors)
        enable(model)
        setattr(self._holder, self._place, self._answer)
        rows = PackedRows.of(sample, device=self._device)
        # Heads give float32 numbers, made of hidden states that were rounded to the model's dtype.
        noise = max(1e-3, _ROUNDINGS * torch.finfo(states.dtype).eps)
        _check_same("hidden states", self.encode(rows)[rows.places][mask], states[mask], noise)
        check_windows(model.config, rows.calls)
        # Only where a token sees nothing that comes after it does a beginning not depend on what follows.
        self.shares = all(call.causal for call in rows.calls)
        self.flash = all(call.flash for call in rows.calls)
        _check_same("scores", self.scores(self.lay_out(sample)), scores, noise)

    def lay_out(self, inputs: Inputs) -> PackedRows:
        """Pack a batch, with prefixes that pairs share where the model allows it."""
        return PackedRows.of(inputs, shared_prefixes=self.shares, device=self._device)

    def scores(self, rows: PackedRows) -> torch.Tensor:
        """Run a batch; shape (pairs,). Not from two threads at once."""
        self._answer.states = self.encode(rows)[rows.places]
        try:
            return self._head(rows.padded)
        finally:
            self._answer.states = None

    def _head(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        # Token types are for the encoder, which has run by then.
        arrays = (inputs.get(name, inputs["input_ids"]) for name in self._network.inputs)
        scores: torch.Tensor = self._network(*arrays)
        return scores


class _Answer(torch.nn.Module):
    """Stands where a network calls its encoder, and answers with hidden states that were computed before.

    Args:
        encoder: The encoder, for its pooling layer.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self._pooler = getattr(encoder, "pooler", None)
        self.states: torch.Tensor | None = None

    def forward(self, *_: object, **__: object) -> BaseModelOutputWithPoolingAndCrossAttentions:
        pooled = None if self._pooler is None else self._pooler(self.states)
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=self.states, pooler_output=pooled)


def _sample(config: Any, inputs: Sequence[str]) -> dict[str, np.ndarray]:
    """Make a few pairs of different lengths, of ids from the upper half of the vocabulary."""
    mask = (np.arange(max(_SAMPLE)) < np.array(_SAMPLE)[:, None]).astype(np.int64)
    vocabulary, padding = config.get_text_config().vocab_size, config.get_text_config().pad_token_id or 0
    ids = np.random.default_rng(0).integers(vocabulary // 2, vocabulary, mask.shape)
    ids[ids == padding] = vocabulary // 2 - 1
    ids = np.where(mask == 1, ids, padding)
    types = {"token_type_ids": (np.arange(ids.shape[1]) > 1) * mask} if "token_type_ids" in inputs else {}
    return {"input_ids": ids, "attention_mask": mask, **types}


def _check_same(name: str, packed: torch.Tensor, padded: torch.Tensor, noise: float) -> None:
    apart = torch.linalg.vector_norm((packed - padded).float()) / torch.linalg.vector_norm(padded.float()).clamp(min=1)
    if not apart <= noise:
        raise CannotPackError(f"its {name} without padding are {float(apart):.2g} away from those with it")
