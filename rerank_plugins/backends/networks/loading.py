"""Load a folder's weights into a model of transformers, and refuse a checkpoint that does not fill it."""

import re
from typing import Any

from rerank_plugins.backends.base import ModelFolder
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.extras import extra

with extra("torch", provides="torch"):
    import torch
with extra("torch", provides="transformers"):
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    from rerank_plugins.backends.quiet_loading import alone_and_quiet

_ELSEWHERE = "Choose a cross-encoder, such as BAAI/bge-reranker-v2-m3."
# A weight of a numbered layer that the model has no place for. Buffers, such as causal masks, carry other names.
_OF_A_LAYER = re.compile(r"\.\d+\..*(\.weight|\.bias)$|lora_")


def load_config(folder: ModelFolder) -> Any:
    """Read a folder's `config.json` as transformers does.

    Raises:
        UnsupportedModelError: If transformers does not know it.
    """
    try:
        with alone_and_quiet():
            return AutoConfig.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=folder.trust_remote_code
            )
    except Exception as error:  # OSError, ValueError, KeyError, ...: whatever a broken configuration provokes
        raise _not_loaded(folder, error) from error


def is_decoder(config: Any) -> bool:
    """Tell whether transformers has a model type as a causal language model, and not as a masked one."""
    kind = config.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def load_model(
    auto: Any, folder: ModelFolder, dtype: torch.dtype, attention: str | None, *, unread: tuple[str, ...] = ()
) -> Any:
    """Load a folder's model, on the CPU.

    Args:
        auto: The class of transformers to load it with, such as `AutoModel`.
        folder: The folder.
        dtype: The dtype to convert its weights to.
        attention: Which of transformers' attention implementations to use; None: transformers chooses.
        unread: Name prefixes of the weights that may be missing, because no score depends on them.

    Raises:
        UnsupportedModelError: If the checkpoint does not fill the model, or holds layers that the model does not have.
    """
    try:
        with alone_and_quiet():
            model, info = auto.from_pretrained(
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
        raise _not_loaded(folder, error) from error
    _check_complete(folder.name, info, unread)
    return model.eval()


def _not_loaded(folder: ModelFolder, error: Exception) -> UnsupportedModelError:
    return UnsupportedModelError(f"'{folder.name}' cannot be loaded by transformers: {error}")


def _check_complete(name: str, info: dict[str, Any], unread: tuple[str, ...]) -> None:
    if missing := sorted(key for key in info["missing_keys"] if not key.startswith(unread)):
        raise UnsupportedModelError(
            f"The checkpoint of '{name}' lacks {len(missing)} weights ({', '.join(missing[:3])}), which would be "
            f"random: is it a model without the head that it declares, such as an embedding model? {_ELSEWHERE}"
        )
    if mismatched := sorted(str(each) for each in info["mismatched_keys"]):
        raise UnsupportedModelError(
            f"The checkpoint of '{name}' has weights of other shapes than its config.json says: {mismatched[0]}. A "
            f"head with two rows has two labels; a reranker has one. {_ELSEWHERE}"
        )
    if left := sorted(key for key in info["unexpected_keys"] if _OF_A_LAYER.search(key)):
        raise UnsupportedModelError(
            f"The checkpoint of '{name}' has {len(left)} weights that its config.json leaves no place for "
            f"({', '.join(left[:3])}), so its scores would be wrong. Check the config.json against the original "
            "model's, and merge an adapter (LoRA) into its model before saving it."
        )
