"""Run a checkpoint with torch, on a GPU or the CPU. Light: torch is imported when it is used."""

import os
from collections.abc import Collection, Sequence

from rerank_plugins.backends.base import Inputs, ModelFolder, Placement, RawScores
from rerank_plugins.errors import ForkedError, InvalidValueError, ModelNotFoundError
from rerank_plugins.extras import is_installed
from rerank_plugins.options import RerankConfig, RuntimeOptions

# The default of text-embeddings-inference.
_BATCH_TOKENS = 16_384
# On a CPU a batch's activations should stay near its caches (benchmarks/README.md, "What was tried").
_CPU_BATCH_TOKENS = 4_096
# On a GPU the CPU takes as long to launch a small batch's kernels as a large one's (benchmarks/README.md, "On a GPU").
_GPU_PASS_TOKENS = 2_048


class TorchBackend:
    """Any encoder or decoder that transformers loads, with the head that its folder declares."""

    pairs_per_batch: int | None = None

    @classmethod
    def claim(cls, files: Collection[str], config: RerankConfig) -> int:
        """Claim safetensors: before ONNX files in a subfolder where torch is installed, else behind them."""
        if config.onnx_file is not None or not _safetensors(files):
            return 0
        return 2 if is_installed("torch") else 1

    @classmethod
    def choose_weights(cls, files: Collection[str], config: RerankConfig) -> Sequence[str]:
        """Take all safetensors of the top folder; see `Backend.choose_weights`."""
        if config.onnx_file is not None:
            raise InvalidValueError(f"onnx_file={config.onnx_file!r} is for the onnx backend, got backend='torch'.")
        if not (weights := _safetensors(files)):
            if config.model in (None, "embedded"):
                raise ModelNotFoundError(
                    "The embedded model has ONNX weights only. Leave backend= out, or choose a model with safetensors, "
                    "such as BAAI/bge-reranker-v2-m3."
                )
            raise ModelNotFoundError(
                f"'{config.model}' has no .safetensors weights. If a download was interrupted, load it "
                "once with a network. Pickled weights (.bin) can run code and are not read: convert them with "
                "transformers (save_pretrained), or choose a revision= that has safetensors."
            )
        return weights

    @classmethod
    def place(cls, options: RuntimeOptions) -> Placement:
        """Take cuda, then mps, then the CPU; which half precision the first two compute in, the weights decide."""
        from rerank_plugins.backends import devices

        if options.num_threads is not None:
            raise InvalidValueError(
                f"num_threads={options.num_threads} is for the onnx backend: torch has one setting for the whole "
                "process. Call torch.set_num_threads() yourself."
            )
        device = devices.best_device() if options.device == "auto" else devices.checked_device(options.device)
        on_cpu = devices.is_cpu(device)
        if options.dtype == "auto":
            return Placement(device, "fp32" if on_cpu else "auto", None)
        if on_cpu and options.dtype == "fp16":
            raise InvalidValueError(
                "dtype='fp16' is slower than fp32 on the CPU, and less exact. Use dtype='fp32' or 'auto'; 'bf16', "
                "which takes half the memory, and half the time where the processor has bf16 instructions; a GPU; or "
                "an int8 ONNX file."
            )
        return Placement(device, options.dtype, None)

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        from rerank_plugins.backends.devices import is_cpu
        from rerank_plugins.backends.networks.running import RunningNetwork

        on_cpu = is_cpu(placement.device)
        self.batch_tokens = _CPU_BATCH_TOKENS if on_cpu else _BATCH_TOKENS
        self.pass_tokens = 0 if on_cpu else _GPU_PASS_TOKENS
        self._process = os.getpid()
        self._network = RunningNetwork(folder, placement)
        self.placement, self.inputs = self._network.placement, self._network.inputs
        self.pads = self._network.pads
        # On a GPU one batch is laid out while another one runs.
        self.workers = 1 if on_cpu or self.pads else 2

    def forward(self, inputs: Inputs) -> RawScores:
        """Run the model; see `Backend.forward`."""
        if self._process != os.getpid():
            raise ForkedError(
                "This model was loaded with torch before the process forked, and neither torch's threads nor a GPU "
                "work in a forked child. Load it in the child (without preload), or use an ONNX model."
            )
        return self._network.score(inputs)

    def warm_up(self) -> None:
        """Prepare what a GPU repeats; see `Backend.warm_up`."""
        self.batch_tokens = self._network.warm_up() or self.batch_tokens

    def close(self) -> None:
        """Free the weights, on the device too."""
        self._network.close()


def _safetensors(files: Collection[str]) -> list[str]:
    # Repositories keep copies for other engines in folders.
    return sorted(name for name in files if name.endswith(".safetensors") and "/" not in name)
