"""A Hugging Face sequence classifier in torch: load it, and run it on batches of token ids."""

import inspect
from typing import Any

from rerank_plugins.backends.base import Inputs, ModelFolder, Placement, RawScores
from rerank_plugins.errors import InvalidValueError, OutOfMemoryError, UnsupportedModelError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch

    from rerank_plugins.backends.attention import without_cudnn
with extra("torch", provides="transformers"):
    from transformers import AutoModelForSequenceClassification

    from rerank_plugins.backends.packing.accelerated import packed_or_none
    from rerank_plugins.backends.quiet_loading import alone_and_quiet

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Classifier:
    """A loaded classifier.

    Attributes:
        inputs: Names of the arrays it reads.
    """

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        self._device = placement.device
        self._model = load_classifier(folder, _DTYPES[placement.dtype]).to(placement.device)
        self.inputs = accepted_inputs(self._model)
        self._packed = packed_or_none(folder.name, self._model, self.inputs)

    def logits(self, inputs: Inputs) -> RawScores:
        """Run a batch; float32 logits of shape (pairs,)."""
        try:
            return self._forward(inputs)
        except torch.OutOfMemoryError as error:
            pairs, tokens = inputs["input_ids"].shape
            raise OutOfMemoryError(
                f"The memory of {self._device} cannot hold {pairs} pairs of {tokens} tokens: {error}"
            ) from error

    @torch.inference_mode()
    @without_cudnn()
    def _forward(self, inputs: Inputs) -> RawScores:
        if self._packed is not None:
            scores = self._packed.logits(inputs)
        else:
            tensors = {name: torch.from_numpy(array).to(self._device) for name, array in inputs.items()}
            scores = self._model(**tensors).logits
        # Half-precision logits tie too easily: compare in float32.
        logits: RawScores = scores.float().reshape(len(inputs["input_ids"])).cpu().numpy()
        return logits

    @property
    def pads(self) -> bool:
        """Whether padding is computed."""
        return self._packed is None

    def warm_up(self) -> int | None:
        """Capture CUDA graphs where they are used; return the tokens of the batches that run best, if known."""
        return None if self._packed is None else self._packed.warm_up()

    def close(self) -> None:
        """Free the weights, on the device too."""
        del self._model, self._packed
        if torch.device(self._device).type == "cuda":
            torch.cuda.empty_cache()


def accepted_inputs(model: Any) -> tuple[str, ...]:
    """Name the arrays a classifier reads: some fail on token types (ModernBERT), some have one row for them (XLM-R)."""
    accepted = inspect.signature(model.forward).parameters
    typed = "token_type_ids" in accepted and getattr(model.config, "type_vocab_size", 0) > 1
    return ("input_ids", "attention_mask", *(["token_type_ids"] if typed else []))


def load_classifier(folder: ModelFolder, dtype: torch.dtype, *, attention: str | None = None) -> Any:
    """Load a folder's classifier, on the CPU.

    Args:
        folder: The folder.
        dtype: The dtype to convert its weights to.
        attention: Which of transformers' attention implementations to use; None: transformers chooses.

    Raises:
        UnsupportedModelError: If the weights are not those of a cross-encoder with one label.
    """
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


def best_device() -> str:
    """Return cuda, else mps, else cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def is_cpu(device: str) -> bool:
    """Tell whether a device is the CPU."""
    return torch.device(device).type == "cpu"


def checked_device(name: str) -> str:
    """Return a device's name if tensors can be made there.

    Raises:
        InvalidValueError: If they cannot.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidValueError(f"device={name!r} cannot be used here: {reason} Use device='auto' or 'cpu'.") from error
    return name
