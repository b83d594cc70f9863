"""Whether and how a network is run without padding, by what the device gains from it."""

import logging
import threading

import torch

from rerank_plugins.backends.base import Inputs
from rerank_plugins.backends.networks.base import Network
from rerank_plugins.backends.packing.graphs import GraphedEncoder
from rerank_plugins.backends.packing.network import PackedNetwork
from rerank_plugins.backends.packing.projections import join_projections
from rerank_plugins.backends.packing.running import CannotPackError

_LOGGER = logging.getLogger(__name__)

# Tokens of the batches that are tried when a model is warmed up.
_BATCHES = (4_096, 8_192, 16_384)


class AcceleratedNetwork:
    """A packed network on a GPU, with joined projections, as CUDA graphs.

    Args:
        network: The network, where it will run.

    Raises:
        CannotPackError: If it cannot do without padding.
    """

    def __init__(self, network: Network) -> None:
        device = network.device
        self._packed = PackedNetwork(network)
        self._graphs: GraphedEncoder | None = None
        # Graphs use the same memory each time. A batch holds it until its work is queued on the device, which works in
        # that order; then the next batch can be queued.
        self._lock = threading.Lock()
        if device.type == "cuda":
            self._accelerate(device, types="token_type_ids" in network.inputs)

    def _accelerate(self, device: torch.device, *, types: bool) -> None:
        join_projections(self._packed.encoder)
        if self._packed.flash:  # Elsewhere attention pads inside of a layer, and a graph would for the most pairs.
            self._graphs = GraphedEncoder(self._packed.encode, device, types=types, shares=self._packed.shares)
            self._packed.encode = self._graphs

    def scores(self, inputs: Inputs) -> torch.Tensor:
        """Run a batch; shape (pairs,)."""
        rows = self._packed.lay_out(inputs)
        with self._lock:
            return self._packed.scores(rows)

    def warm_up(self) -> int | None:
        """Capture all graphs; return the smallest number of tokens that runs nearly as fast a token as any."""
        if self._graphs is None:
            return None
        with self._lock:
            self._graphs.capture()
            return self._graphs.best_size(_BATCHES)


def packed_or_none(name: str, network: Network) -> AcceleratedNetwork | None:
    """Make a network run without padding where that is faster, and possible.

    On a CPU encoders keep their padding: batches of similar lengths have little of it, and packing costs as much.

    Args:
        name: The model's name, for the log.
        network: The network, where it will run.

    Returns:
        What runs it; None: it is run with padding.
    """
    if network.device.type == "cpu" and not _is_causal(network):
        return None
    try:
        return AcceleratedNetwork(network)
    except CannotPackError as error:
        _LOGGER.info("'%s' runs with padding: %s.", name, error)
        return None


def _is_causal(model: torch.nn.Module) -> bool:
    return any(getattr(layer, "is_causal", False) is True for layer in model.modules())
