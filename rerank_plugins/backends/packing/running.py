"""Run a transformers model over a packed row."""

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from rerank_plugins.backends.packing.attention import NAME
from rerank_plugins.backends.packing.rows import AttentionCall, PackedRows

# What a layer may be in a config's `layer_types`. Others (chunks, recurrence) depend on more than a window.
_LAYER_TYPES = {"full_attention", "sliding_attention"}


class CannotPackError(Exception):
    """Why a model is run with padding; not for users, who get the same scores more slowly."""


def enable(model: Any) -> None:
    """Switch a model to packed attention. It then runs on packed rows only.

    Args:
        model: A transformers model.

    Raises:
        CannotPackError: If it does not declare that its attention can be replaced, or has layers that a packed row
            does not suit.
    """
    if not (getattr(model, "_supports_attention_backend", False) and model._can_set_attn_implementation()):
        raise CannotPackError(f"{type(model).__name__} has an attention of its own")
    config = model.config.get_text_config()
    if strange := set(getattr(config, "layer_types", None) or ()) - _LAYER_TYPES:
        raise CannotPackError(f"its layers are of type {', '.join(sorted(strange))}")
    if "position_ids" not in inspect.signature(model.base_model.forward).parameters:
        raise CannotPackError(f"{type(model.base_model).__name__} takes no position_ids")
    model.set_attn_implementation(NAME)


def disable(model: Any) -> None:
    """Give a model back the attention that transformers chooses."""
    model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")


def run(model: Any, rows: PackedRows) -> torch.Tensor:
    """Run a model once over a packed row, and return what it says at each pair's last token.

    Args:
        model: A model after `enable`.
        rows: The batch.

    Returns:
        The logits of a language model, shape (pairs, vocabulary); of a model without a head the hidden states,
        shape (pairs, hidden size).
    """
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        return hidden_states(model, rows)[rows.last]
    logits: torch.Tensor = model(**_arguments(model, rows), logits_to_keep=rows.last).logits[0]
    return logits


def hidden_states(model: Any, rows: PackedRows) -> torch.Tensor:
    """Run a model without a head over a packed row; the hidden state of each token, shape (tokens, hidden size)."""
    states: torch.Tensor = model(**_arguments(model, rows)).last_hidden_state[0]
    return states


def _arguments(model: Any, rows: PackedRows) -> dict[str, Any]:
    first = first_position(model)
    positions = rows.position_ids + first if first else rows.position_ids
    arguments: dict[str, Any] = {"input_ids": rows.input_ids, "position_ids": positions}
    if rows.token_type_ids is not None:
        arguments["token_type_ids"] = rows.token_type_ids
    if "use_cache" in inspect.signature(model.forward).parameters:
        arguments["use_cache"] = False
    return {**arguments, "packed_rows": rows}


def first_position(model: Any) -> int:
    """Return the position of a text's first token: RoBERTa counts from behind its padding token's id."""
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return 0 if padding is None else padding + 1


def check_windows(config: Any, calls: Sequence[AttentionCall]) -> None:
    """Compare the windows that attention layers asked for with those that the config declares.

    A layer that keeps its window to itself would see too far, which only long texts show.

    Raises:
        CannotPackError: If they differ.
    """
    config = config.get_text_config()
    declared = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if declared is None:
        declared = ["full_attention" if window is None else "sliding_attention"] * len(calls)
    wanted, found = Counter(declared)["sliding_attention"], sum(call.window is not None for call in calls)
    if wanted != found:
        raise CannotPackError(f"{wanted} of its layers attend in a window, but {found} said so")
