"""Trace a network into one ONNX graph, from token ids to one score a pair, and compare the two."""

import warnings
from pathlib import Path

import numpy as np

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.extras import extra

with extra("export", provides="torch"):
    import torch
    from torch import Tensor, nn

    from rerank_plugins.backends.networks.base import Network
import onnxruntime

_OPSET = 17
# Rotary embeddings that choose their frequencies by the longest text of a batch, which a trace fixes.
_BY_LENGTH = ("dynamic", "longrope")
# Lengths of the pairs that the graph is checked with: alone, in a batch, and longer than the one it was traced with.
_CHECKED = ((1,), (16,), (3, 90, 40))
# A layer's rounding differs by some units in the last place; a wrong mask or expert by far more.
_TOLERANCE = 1e-3
_REMEDY = "Run it with torch: Reranker(model, backend='torch')."


def trace(name: str, network: Network, file: Path) -> None:
    """Write a network as an ONNX file with one output `logits` of shape (batch, 1).

    Args:
        name: The model's name, for messages.
        network: The network in fp32 on the CPU.
        file: The file to write; weights over 2 GiB go into files beside it.

    Raises:
        UnsupportedModelError: If the graph cannot be made, cannot be run, or gives other scores.
    """
    _check_rotary(name, network)
    try:
        _write(network, file)
        difference = _largest_difference(network, file)
    except Exception as error:  # whatever the exporter and onnxruntime make of operations that they do not know
        raise UnsupportedModelError(
            f"'{name}' ({_architecture(network)}) cannot be exported to ONNX: {type(error).__name__}: "
            f"{_first_line(error)}. {_REMEDY}"
        ) from error
    if not difference < _TOLERANCE:
        raise UnsupportedModelError(
            f"'{name}' ({_architecture(network)}) cannot be exported to ONNX: its graph gives scores that differ by up "
            f"to {difference:.2g}, because its layers decide by their input what they compute. {_REMEDY}"
        )


class _Column(nn.Module):
    """A network whose scores are a column, of shape (batch, 1), as other libraries expect."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def forward(self, *arrays: Tensor) -> Tensor:
        scores: Tensor = self._network(*arrays)
        return scores.unsqueeze(1)


def _write(network: Network, file: Path) -> None:
    names = network.inputs
    example = torch.ones((2, 16), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its deprecation and tracing
        torch.onnx.export(
            _Column(network).eval(),
            tuple(example for _ in names),
            str(file),  # With a Path it would not put weights over 2 GiB into a file beside it.
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in names} | {"logits": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def _largest_difference(network: Network, file: Path) -> float:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    config = network.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None) or max(map(max, _CHECKED))
    differences = [0.0]
    for checked in _CHECKED:
        lengths = np.minimum(checked, limit)
        mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        ids = random.integers(0, config.vocab_size, mask.shape)
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: arrays[name] for name in network.inputs}
        (found,) = session.run(None, feeds)
        with torch.inference_mode():
            expected = network(*map(torch.from_numpy, feeds.values())).numpy()
        differences.append(float(np.abs(found[:, 0] - expected).max()))
    return float(np.max(differences))  # not max(): a NaN must stay one


def _check_rotary(name: str, network: Network) -> None:
    rotary = getattr(network.config.get_text_config(), "rope_parameters", None) or {}
    kind = rotary.get("rope_type")
    if kind in _BY_LENGTH:
        raise UnsupportedModelError(
            f"'{name}' ({_architecture(network)}) cannot be exported to ONNX: its positions depend on the longest text "
            f"of a batch (rope_type={kind!r} in its config.json). {_REMEDY}"
        )


def _architecture(network: Network) -> str:
    return next(iter(network.config.architectures or ()), type(network).__name__)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(". ")
