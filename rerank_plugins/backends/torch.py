"""Run a Hugging Face sequence classifier with torch, on a GPU or the CPU."""

import inspect
from typing import Any

from rerank_plugins.backends.base import Batch, Logits
from rerank_plugins.config import RerankConfig
from rerank_plugins.errors import InvalidValueError, ModelNotFoundError, UnsupportedModelError
from rerank_plugins.extras import extra
from rerank_plugins.loading.folder import ModelFolder

with extra("torch", provides="torch"):
    import torch
with extra("torch", provides="transformers"):
    from transformers import AutoModelForSequenceClassification

    from rerank_plugins.backends.quiet_loading import alone_and_quiet

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchBackend:
    """Any encoder that `AutoModelForSequenceClassification` loads: BERT, XLM-RoBERTa, DeBERTa, ModernBERT, ..."""

    workers = 1
    pairs_per_batch: int | None = None

    def __init__(self, folder: ModelFolder, *, device: str, dtype: str) -> None:
        self.device, self.dtype = device, dtype
        self._model = _load(folder, _DTYPES[dtype]).eval().to(device)
        # Some models crash on token types (ModernBERT), some have one row for them (XLM-RoBERTa).
        accepted = inspect.signature(self._model.forward).parameters
        typed = "token_type_ids" in accepted and getattr(self._model.config, "type_vocab_size", 0) > 1
        self.inputs = ("input_ids", "attention_mask", *(["token_type_ids"] if typed else []))

    @classmethod
    def resolve(cls, config: RerankConfig) -> tuple[str, str]:
        """Take cuda, then mps, then the CPU; half precision on the first two."""
        device = _best_device() if config.device == "auto" else _checked(config.device)
        on_cpu = torch.device(device).type == "cpu"
        if config.dtype == "auto":
            return device, "fp32" if on_cpu else "fp16"
        if on_cpu and config.dtype != "fp32":
            raise InvalidValueError(
                f"dtype={config.dtype!r} is slower than fp32 on the CPU, and less exact. Use dtype='fp32' or 'auto', a "
                "GPU, or an int8 ONNX file."
            )
        return device, config.dtype

    def forward(self, batch: Batch) -> Logits:
        """Run the model; see `Backend.forward`."""
        with torch.inference_mode():
            inputs = {name: torch.from_numpy(array).to(self.device) for name, array in batch.items()}
            # Half-precision logits tie too easily: compare in float32.
            logits: Logits = self._model(**inputs).logits.float().reshape(len(batch["input_ids"])).cpu().numpy()
        return logits

    def close(self) -> None:
        """Free the weights, on the device too."""
        del self._model
        if torch.device(self.device).type == "cuda":
            torch.cuda.empty_cache()


def _load(folder: ModelFolder, dtype: torch.dtype) -> Any:
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
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=folder.trust_remote_code,
                ignore_mismatched_sizes=True,  # to report them in our own words
                output_loading_info=True,
            )
    except Exception as error:  # OSError, RuntimeError, SafetensorError, ...: whatever a broken checkpoint provokes
        raise UnsupportedModelError(f"'{folder.name}' cannot be loaded by transformers: {error}") from error
    _check_complete(folder.name, info)
    return model


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
