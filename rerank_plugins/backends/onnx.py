"""Run an ONNX cross-encoder on the CPU with onnxruntime, a few pairs a run, on all cores."""

import mmap
import os
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from rerank_plugins.backends.base import Inputs, ModelFolder, Placement, RawScores
from rerank_plugins.errors import InvalidValueError, ModelNotFoundError, UnsupportedModelError
from rerank_plugins.options import RerankConfig, RuntimeOptions

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "segment_ids")
_INTEGERS: dict[str, type[np.integer[Any]]] = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
# The fused sum and layer norm takes longer than the two (benchmarks/README.md, "What was tried").
_SLOWER_FUSED = "SkipLayerNormFusion"
# A run of this many tokens fills the matrix kernels, and its layers stay in a core's cache (benchmarks/README.md, "What
# was tried").
_BATCH_TOKENS = 256
# Name prefix of dynamically quantized operators.
_DYNAMIC = b"DynamicQuantize"
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


class OnnxBackend:
    """One session with one thread of its own, run from as many threads as there are cores.

    `InferenceSession.run` is thread-safe and the threads share the weights (onnxruntime, "Frequently asked questions").
    Dynamic int8 takes one activation scale over everything in a run, so that a neighbour would change a pair's score:
    there, one pair a run keeps the scale the pair's own.
    """

    pads = True
    batch_tokens = _BATCH_TOKENS
    pass_tokens = 0

    @classmethod
    def claim(cls, files: Collection[str], config: RerankConfig) -> int:
        """Claim `.onnx` files: most where one is asked for or lies in the top folder, unless a GPU is asked for."""
        found = [name for name in files if name.endswith(".onnx")]
        if not found:
            return 0
        if config.onnx_file is not None:
            return 3
        on_cpu = config.device in ("auto", "cpu")
        return 3 if on_cpu and any("/" not in name for name in found) else 1

    @classmethod
    def choose_weights(cls, files: Collection[str], config: RerankConfig) -> Sequence[str]:
        """Take the file asked for, else `model.onnx`, else the only one; in the top folder, then in `onnx/`."""
        return [_choose_entry(str(config.model or "embedded"), files, config.onnx_file)]

    @classmethod
    def place(cls, options: RuntimeOptions) -> Placement:
        """Take the CPU, and the precision that is in the file."""
        if options.device not in ("auto", "cpu"):
            raise InvalidValueError(
                f"device={options.device!r}: ONNX models run on the CPU here. Leave device='auto', or choose a model "
                "with safetensors weights for a GPU, such as Reranker('BAAI/bge-reranker-v2-m3', device='cuda')."
            )
        if options.dtype != "auto":
            raise InvalidValueError(
                f"dtype={options.dtype!r}: an ONNX file computes in the precision it was exported in. Leave "
                "dtype='auto', and choose another file with onnx_file=."
            )
        return Placement("cpu", "auto", options.num_threads or _available_cores())

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        self.placement = placement
        self.workers = placement.threads or 1
        file = folder.path / folder.weights[0]
        self._session = _open_session(file)
        inputs = self._session.get_inputs()
        fixed = any(isinstance(size, int) for each in inputs for size in each.shape[:1])
        self.pairs_per_batch = 1 if fixed or _quantizes_dynamically(file) else None
        self._types = {each.name: _INTEGERS.get(each.type, np.int64) for each in inputs}
        self.inputs = tuple(self._types)
        self._output = _logits_output(file, self._session)
        if unknown := sorted(set(self.inputs) - set(KNOWN_INPUTS)):
            raise UnsupportedModelError(f"'{file}' wants inputs that are not known: {', '.join(unknown)}.")

    def forward(self, inputs: Inputs) -> RawScores:
        """Run the session; see `Backend.forward`."""
        feeds = {name: array.astype(self._types[name], copy=False) for name, array in inputs.items()}
        (logits,) = self._session.run([self._output], feeds)
        return np.asarray(logits, dtype=np.float32).reshape(len(inputs["input_ids"]))

    def warm_up(self) -> None:
        """There is nothing that the first `forward` of each thread does not do."""

    def close(self) -> None:
        """Free the session and its weights."""
        del self._session


def _choose_entry(model: str, files: Collection[str], asked: str | None) -> str:
    found = sorted(name for name in files if name.endswith(".onnx"))
    listed = ", ".join(found) or "none"
    if asked is not None:
        if asked not in files:
            raise ModelNotFoundError(f"onnx_file={asked!r} is not in '{model}'. Its .onnx files: {listed}.")
        return asked
    for place in (".", "onnx"):
        here = [name for name in found if str(PurePosixPath(name).parent) == place]
        named = [name for name in here if PurePosixPath(name).name == "model.onnx"]
        if named or len(here) == 1:
            return (named or here)[0]
        if here:
            raise ModelNotFoundError(
                f"'{model}' has {len(here)} .onnx files and no model.onnx. Choose one with onnx_file=: "
                f"{', '.join(here)}."
            )
    raise ModelNotFoundError(
        f"'{model}' has no .onnx file in its top folder or in onnx/ (found: {listed}). Use backend='torch' for its "
        "safetensors, or export it: rerank-plugins export MODEL FOLDER."
    )


def _open_session(file: Path) -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"], disabled_optimizers=[_SLOWER_FUSED]
        )
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise UnsupportedModelError(
            f"'{file}' cannot be loaded by onnxruntime {onnxruntime.__version__}: {error}"
        ) from error


def _logits_output(file: Path, session: "InferenceSession") -> str:
    outputs = {each.name: each.shape for each in session.get_outputs()}
    name = "logits" if "logits" in outputs else next(iter(outputs))
    shape = outputs[name]
    if len(shape) > 2:
        raise UnsupportedModelError(
            f"'{file}' gives {name} of shape {shape}, one vector a token: it has no classification head. Export the "
            "model with its head (task text-classification)."
        )
    if len(shape) == 2 and isinstance(shape[1], int) and shape[1] != 1:
        raise UnsupportedModelError(f"'{file}' gives {shape[1]} logits a pair; a reranker gives one.")
    return name


def _quantizes_dynamically(file: Path) -> bool:
    """Whether the file names such an operator; onnxruntime tells nobody which ones a session has."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as contents:
        return contents.find(_DYNAMIC) >= 0


def _available_cores() -> int:
    """Count the cores this process may use: its affinity, and the quota of its container (cgroup v2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_LIMIT.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max", which is no quota
        return cores
