"""Run a Hugging Face sequence classifier with torch, on a GPU or the CPU."""

import inspect
import os
from typing import Any

from rerank_plugins.backends.base import Batch, Logits, Placement
from rerank_plugins.errors import (
    ForkedError,
    InvalidValueError,
    ModelNotFoundError,
    OutOfMemoryError,
    UnsupportedModelError,
)
from rerank_plugins.extras import extra
from rerank_plugins.models.source import ModelFolder
from rerank_plugins.options import RerankConfig

with extra("torch", provides="torch"):
    import torch

    from rerank_plugins.backends.attention import without_cudnn
with extra("torch", provides="transformers"):
    from transformers import AutoModelForSequenceClassification

    from rerank_plugins.backends.quiet_loading import alone_and_quiet

# The default of text-embeddings-inference.
_BATCH_TOKENS = 16_384
# On a CPU what a layer makes of a batch should stay near its caches (benchmarks/README.md, "What was tried").
_CPU_BATCH_TOKENS = 4_096
# On a GPU the CPU takes as long to launch a small batch's kernels as a large one's (benchmarks/README.md, "On a GPU").
_GPU_PASS_TOKENS = 2_048
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchBackend:
    """Any encoder that `AutoModelForSequenceClassification` loads: BERT, XLM-RoBERTa, DeBERTa, ModernBERT, ..."""

    workers = 1
    pairs_per_batch: int | None = None

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        self.placement = placement
        on_cpu = torch.device(placement.device).type == "cpu"
        self.batch_tokens = _CPU_BATCH_TOKENS if on_cpu else _BATCH_TOKENS
        self.pass_tokens = 0 if on_cpu else _GPU_PASS_TOKENS
        self._process = os.getpid()
        self._model = load_classifier(folder, _DTYPES[placement.dtype]).to(placement.device)
        self.inputs = accepted_inputs(self._model)

    @classmethod
    def place(cls, config: RerankConfig) -> Placement:
        """Take cuda, then mps, then the CPU; half precision on the first two."""
        if config.num_threads is not None:
            raise InvalidValueError(
                f"num_threads={config.num_threads} is for the onnx backend: torch has one setting for the whole "
                "process. Call torch.set_num_threads() yourself."
            )
        device = _best_device() if config.device == "auto" else _checked(config.device)
        on_cpu = torch.device(device).type == "cpu"
        if config.dtype == "auto":
            return Placement(device, "fp32" if on_cpu else "fp16", None)
        if on_cpu and config.dtype != "fp32":
            raise InvalidValueError(
                f"dtype={config.dtype!r} is slower than fp32 on the CPU, and less exact. Use dtype='fp32' or 'auto', a "
                "GPU, or an int8 ONNX file."
            )
        return Placement(device, config.dtype, None)

    def forward(self, batch: Batch) -> Logits:
        """Run the model; see `Backend.forward`."""
        if self._process != os.getpid():
            raise ForkedError(
                "This model was loaded with torch before the process forked, and neither torch's threads nor a GPU "
                "work in a forked child. Load it in the child (without preload), or use an ONNX model."
            )
        try:
            return self._forward(batch)
        except torch.OutOfMemoryError as error:
            pairs, tokens = batch["input_ids"].shape
            raise OutOfMemoryError(
                f"The memory of {self.placement.device} cannot hold {pairs} pairs of {tokens} tokens: {error}"
            ) from error

    @torch.inference_mode()
    @without_cudnn()
    def _forward(self, batch: Batch) -> Logits:
        inputs = {name: torch.from_numpy(array).to(self.placement.device) for name, array in batch.items()}
        # Half-precision logits tie too easily: compare in float32.
        logits: Logits = self._model(**inputs).logits.float().reshape(len(batch["input_ids"])).cpu().numpy()
        return logits

    def close(self) -> None:
        """Free the weights, on the device too."""
        del self._model
        if torch.device(self.placement.device).type == "cuda":
            torch.cuda.empty_cache()


def accepted_inputs(model: Any) -> tuple[str, ...]:
    """Name what a classifier reads: some crash on token types (ModernBERT), some have one row for them (XLM-R)."""
    accepted = inspect.signature(model.forward).parameters
    typed = "token_type_ids" in accepted and getattr(model.config, "type_vocab_size", 0) > 1
    return ("input_ids", "attention_mask", *(["token_type_ids"] if typed else []))


def load_classifier(folder: ModelFolder, dtype: torch.dtype, *, attention: str | None = None) -> Any:
    """Load a folder's classifier, on the CPU.

    Args:
        folder: The folder.
        dtype: What its weights become.
        attention: Which of transformers' implementations computes attention; None for its own choice.

    Raises:
        ModelNotFoundError: If the folder holds no safetensors.
        UnsupportedModelError: If they are not those of a cross-encoder with one label.
    """
    if not any(folder.path.glob("*.safetensors")):
        raise ModelNotFoundError(
            f"'{folder.name}' has no .safetensors weights in '{folder.path}'. If a download was cut short, load it "
            "once with a network. Pickled weights (.bin) can run code and are not read: convert them with transformers "
            "(save_pretrained), or choose a revision= that has safetensors."
        )
    try:
        with alone_and_quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                folder.path,
                dtype=dtype,
                attn_implementation=attention,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=folder.trust_remote_code,
                ignore_mismatched_sizes=True,  # to report them in our own words
                output_loading_info=True,
            )
    except Exception as error:  # OSError, RuntimeError, SafetensorError, ...: whatever a broken checkpoint provokes
        raise UnsupportedModelError(f"'{folder.name}' cannot be loaded by transformers: {error}") from error
    _check_complete(folder.name, info)
    return model.eval()


def _check_complete(name: str, info: dict[str, Any]) -> None:
    if missing := sorted(info["missing_keys"]):
        raise UnsupportedModelError(
            f"The checkpoint of '{name}' lacks {len(missing)} weights ({', '.join(missing[:3])}), which would be "
            "random: is it a model without a classification head, such as an embedding model? Choose a cross-encoder, "
            "such as BAAI/bge-reranker-v2-m3."
        )
    if mismatched := sorted(str(each) for each in info["mismatched_keys"]):
        raise UnsupportedModelError(
            f"The checkpoint of '{name}' has weights of other shapes than its config.json says: {mismatched[0]}. A "
            "head with two rows has two labels; a reranker has one. Choose a cross-encoder trained with num_labels=1."
        )


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _checked(name: str) -> str:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidValueError(f"device={name!r} cannot be used here: {reason} Use device='auto' or 'cpu'.") from error
    return name
