"""A network in memory: run it on batches of token ids, and free it."""

from rerank_plugins.backends.base import Inputs, ModelFolder, Placement, RawScores
from rerank_plugins.backends.networks import load_network
from rerank_plugins.backends.networks.precision import with_dtype
from rerank_plugins.errors import OutOfMemoryError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch

    from rerank_plugins.backends.attention import without_cudnn
    from rerank_plugins.backends.packing.accelerated import packed_or_none


class RunningNetwork:
    """A loaded network.

    Attributes:
        placement: Where it runs, and in which dtype.
        inputs: Names of the arrays it reads.
    """

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        self.placement = with_dtype(placement, folder)
        self._network = load_network(folder, self.placement)
        self.inputs = self._network.inputs
        self._packed = packed_or_none(folder.name, self._network)

    def score(self, inputs: Inputs) -> RawScores:
        """Run a batch; float32 scores of shape (pairs,)."""
        try:
            return self._forward(inputs)
        except torch.OutOfMemoryError as error:
            pairs, tokens = inputs["input_ids"].shape
            raise OutOfMemoryError(
                f"The memory of {self.placement.device} cannot hold {pairs} pairs of {tokens} tokens: {error}"
            ) from error

    @torch.inference_mode()
    @without_cudnn()
    def _forward(self, inputs: Inputs) -> RawScores:
        if self._packed is not None:
            scores = self._packed.scores(inputs)
        else:
            scores = self._network(*(torch.from_numpy(inputs[name]).to(self.placement.device) for name in self.inputs))
        found: RawScores = scores.cpu().numpy()
        return found

    @property
    def pads(self) -> bool:
        """Whether padding is computed."""
        return self._packed is None

    def warm_up(self) -> int | None:
        """Capture CUDA graphs where they are used; return the tokens of the batches that run best, if known."""
        return None if self._packed is None else self._packed.warm_up()

    def close(self) -> None:
        """Free the weights, on the device too."""
        del self._network, self._packed
        if torch.device(self.placement.device).type == "cuda":
            torch.cuda.empty_cache()
