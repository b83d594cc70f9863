"""Run an ONNX cross-encoder on the CPU with onnxruntime, a few pairs a run, on all cores."""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from rerank_plugins.backends.base import Batch, Logits, Placement
from rerank_plugins.errors import InvalidValueError, ModelNotFoundError, UnsupportedModelError
from rerank_plugins.models.source import ModelFolder
from rerank_plugins.options import RerankConfig

KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "segment_ids")
_INTEGERS: dict[str, type[np.integer[Any]]] = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
# The fused sum and layer norm takes longer than the two (benchmarks/README.md, "What was tried").
_SLOWER_FUSED = "SkipLayerNormFusion"
# A run of this many tokens fills the matrix kernels, and its layers stay in a core's cache (benchmarks/README.md, "What
# was tried").
_BATCH_TOKENS = 256
# How the names of the operators begin that take their scale from what they are given.
_DYNAMIC = b"DynamicQuantize"
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


class OnnxBackend:
    """One session with one thread of its own, run from as many threads as there are cores.

    `InferenceSession.run` is thread-safe and the threads share the weights (onnxruntime, "Frequently asked questions").
    Dynamic int8 takes one activation scale over everything in a run, so that a neighbour would change a pair's score:
    there, one pair a run keeps the scale the pair's own.
    """

    batch_tokens = _BATCH_TOKENS
    pass_tokens = 0

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        if folder.onnx_file is None:
            raise ModelNotFoundError(f"'{folder.path}' names no .onnx file to load.")
        self.placement = placement
        self.workers = placement.threads or 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: onnxruntime.InferenceSession = onnxruntime.InferenceSession(
                folder.onnx_file,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[_SLOWER_FUSED],
            )
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise UnsupportedModelError(
                f"'{folder.onnx_file}' cannot be loaded by onnxruntime {onnxruntime.__version__}: {error}"
            ) from error
        inputs = self._session.get_inputs()
        fixed = any(isinstance(size, int) for each in inputs for size in each.shape[:1])
        self.pairs_per_batch = 1 if fixed or _quantises_dynamically(folder.onnx_file) else None
        self._types = {each.name: _INTEGERS.get(each.type, np.int64) for each in inputs}
        self.inputs = tuple(self._types)
        self._output = _logits_output(folder, self._session)
        if unknown := sorted(set(self.inputs) - set(KNOWN_INPUTS)):
            raise UnsupportedModelError(
                f"'{folder.onnx_file}' asks for inputs that are not known: {', '.join(unknown)}."
            )

    @classmethod
    def place(cls, config: RerankConfig) -> Placement:
        """Take the CPU, and the precision that is in the file."""
        if config.device not in ("auto", "cpu"):
            raise InvalidValueError(
                f"The onnx backend runs on the CPU, got device={config.device!r}. Use backend='torch' for that device."
            )
        if config.dtype != "auto":
            raise InvalidValueError(
                f"An ONNX file computes in the precision it was exported in, got dtype={config.dtype!r}. Leave "
                "dtype='auto', and choose another file with onnx_file=."
            )
        return Placement("cpu", "auto", config.num_threads or _available_cores())

    def forward(self, batch: Batch) -> Logits:
        """Run the session; see `Backend.forward`."""
        feeds = {name: array.astype(self._types[name], copy=False) for name, array in batch.items()}
        (logits,) = self._session.run([self._output], feeds)
        return np.asarray(logits, dtype=np.float32).reshape(len(batch["input_ids"]))

    def close(self) -> None:
        """Free the session and its weights."""
        del self._session


def _logits_output(folder: ModelFolder, session: onnxruntime.InferenceSession) -> str:
    outputs = {each.name: each.shape for each in session.get_outputs()}
    name = "logits" if "logits" in outputs else next(iter(outputs))
    shape = outputs[name]
    if len(shape) > 2:
        raise UnsupportedModelError(
            f"'{folder.onnx_file}' gives {name} of shape {shape}, one vector a token: it has no classification head. "
            "Export the model with its head (task text-classification)."
        )
    if len(shape) == 2 and isinstance(shape[1], int) and shape[1] != 1:
        raise UnsupportedModelError(f"'{folder.onnx_file}' gives {shape[1]} logits a pair; a reranker gives one.")
    return name


def _quantises_dynamically(file: Path) -> bool:
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
