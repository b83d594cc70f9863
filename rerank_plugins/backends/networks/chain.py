"""A model without a head and the modules behind it, as sentence-transformers saves them."""

from typing import Any

from rerank_plugins.backends.base import ModelFolder
from rerank_plugins.backends.heads import ACTIVATIONS, Dense, LayerNorm, ModulesHead, Pooling
from rerank_plugins.backends.networks.base import Network, accepted_inputs
from rerank_plugins.backends.networks.loading import load_model
from rerank_plugins.backends.networks.pooling import POOLINGS
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch import Tensor, nn
with extra("torch", provides="transformers"):
    from transformers import AutoModel

_WEIGHTS = "model.safetensors"


class _Dense(nn.Module):
    """A linear layer and an activation; its weights have the names of sentence-transformers' `Dense`."""

    def __init__(self, declared: Dense, activation: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(declared.in_features, declared.out_features, bias=declared.bias)
        self.activation = activation
        self.adds_input = declared.residual
        if declared.residual and declared.in_features != declared.out_features:
            self.residual = nn.Linear(declared.in_features, declared.out_features, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        result: Tensor = self.activation(self.linear(vectors))
        if not self.adds_input:
            return result
        return result + (self.residual(vectors) if hasattr(self, "residual") else vectors)


class _LayerNorm(nn.Module):
    """A layer norm; its weights have the names of sentence-transformers' `LayerNorm`."""

    def __init__(self, declared: LayerNorm) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(declared.dimension)

    def forward(self, vectors: Tensor) -> Tensor:
        result: Tensor = self.norm(vectors)
        return result


class ModuleChain(Network):
    """An encoder or decoder, one vector of its hidden states, and modules from there to one number, in float32.

    Args:
        model: The model, whose output has `last_hidden_state`.
        mode: How it is pooled; a key of `POOLINGS`.
        modules: The modules behind the pooling.
    """

    def __init__(self, model: Any, mode: str, modules: nn.Sequential) -> None:
        super().__init__()
        self.model, self.config, self.modules_behind = model, model.config, modules
        self.inputs = accepted_inputs(model)
        self._pooling = POOLINGS[mode]

    def forward(self, *arrays: Tensor) -> Tensor:
        """Score a batch; see `Network.forward`."""
        named = dict(zip(self.inputs, arrays, strict=True))
        hidden = self.model(**named).last_hidden_state
        scores: Tensor = self.modules_behind(self._pooling(hidden, named["attention_mask"]))
        return scores.squeeze(-1)


def load(folder: ModelFolder, head: ModulesHead, dtype: torch.dtype, attention: str | None) -> Network:
    """Load a chain; see `load_network`."""
    first, *behind = head.modules
    if not isinstance(first, Pooling) or first.mode not in POOLINGS:
        raise UnsupportedModelError(
            f"'{folder.name}' begins its modules with {first}. The first one must be a Pooling in one of these modes: "
            f"{', '.join(POOLINGS)}."
        )
    # The hidden states that are pooled come before the layer that some models have behind them.
    model = load_model(AutoModel, folder, dtype, attention, unread=("pooler.",))
    width = model.config.get_text_config().hidden_size
    modules = []
    for declared in behind:
        if isinstance(declared, Pooling):
            raise UnsupportedModelError(f"'{folder.name}' pools twice; a reranker's modules pool once.")
        size, result = _sizes(declared)
        if size != width:
            raise UnsupportedModelError(
                f"'{folder.name}' declares {size} inputs for its module {declared.folder}, and what comes before it "
                f"gives {width}. Check the config.json of its modules."
            )
        modules.append(_load_module(folder, declared))
        width = result
    if width != 1:
        raise UnsupportedModelError(
            f"The last module of '{folder.name}' gives {width} numbers a pair; a reranker gives one. Is it an "
            "embedding model?"
        )
    return ModuleChain(model, first.mode, nn.Sequential(*modules))


def _sizes(declared: Dense | LayerNorm) -> tuple[int, int]:
    if isinstance(declared, LayerNorm):
        return declared.dimension, declared.dimension
    return declared.in_features, declared.out_features


def _load_module(folder: ModelFolder, declared: Dense | LayerNorm) -> nn.Module:
    module = (
        _LayerNorm(declared)
        if isinstance(declared, LayerNorm)
        else _Dense(declared, _activation(folder.name, declared.activation))
    )
    weights = _read_weights(folder, declared.folder)
    expected = {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
    stored = {name: tuple(weight.shape) for name, weight in weights.items()}
    if expected != stored:
        raise UnsupportedModelError(
            f"The weights in {declared.folder}/{_WEIGHTS} of '{folder.name}' are {stored}, and its config.json "
            f"declares {expected}. Download the model again, or save it again with sentence-transformers."
        )
    module.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return module


def _read_weights(folder: ModelFolder, place: str) -> dict[str, Tensor]:
    file = folder.path / place / _WEIGHTS
    if not file.is_file():
        raise UnsupportedModelError(
            f"'{folder.name}' has no {place}/{_WEIGHTS}. If a download was interrupted, load it once with a network. "
            "Pickled weights (pytorch_model.bin) can run code and are not read: save the model again with "
            "sentence-transformers."
        )
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UnsupportedModelError(f"The {place}/{_WEIGHTS} of '{folder.name}' cannot be read: {error}") from error


def _activation(name: str, dotted: str) -> nn.Module:
    """Make an activation. Nothing is imported by a name that a folder gives: only these are known."""
    if dotted not in ACTIVATIONS:
        raise UnsupportedModelError(
            f"'{name}' declares the activation {dotted} in its modules. Supported ones: {', '.join(ACTIVATIONS)}."
        )
    made: nn.Module = getattr(nn, dotted.rpartition(".")[2])()
    return made
