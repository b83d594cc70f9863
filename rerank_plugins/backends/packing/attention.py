"""Attention over a packed row, as one of transformers' attention implementations.

Each sequence attends to itself, or to the keys that its layout names. On a GPU torch's `varlen_attn` (flash attention)
does it without padding. Elsewhere, and for what that kernel cannot do, the sequences are laid out as padded rows.
"""

import inspect
from collections.abc import Mapping
from typing import Any, cast

import torch
from transformers import AttentionInterface

from rerank_plugins.backends.packing.rows import AttentionCall, PackedRows

try:
    from torch.nn.attention.varlen import varlen_attn

    _VARLEN = frozenset(inspect.signature(varlen_attn).parameters)
except ImportError:  # torch before 2.10
    _VARLEN = frozenset()

# Its name among transformers' attention implementations. There is no mask function of that name, so no mask is made
# (transformers.masking_utils: "custom attention without equivalent mask creation").
NAME = "rerank_packed"
# Ways to change attention that this one does not know; a model that uses one is run with padding.
_UNKNOWN = ("s_aux", "position_bias", "head_mask")
# The head sizes of the flash attention that torch brings along (aten/src/ATen/native/transformers/cuda/flash_attn).
_HEAD_MULTIPLE, _LARGEST_HEAD = 8, 256


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed_rows: PackedRows | None = None,
    scaling: float | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within the sequences of a packed row; called by transformers' models.

    Args:
        module: The attention layer.
        query: Shape (1, heads, tokens, head size).
        key: Shape (1, key heads, tokens, head size).
        value: The same.
        attention_mask: None.
        packed_rows: The layout of the row.
        scaling: What the products of queries and keys are multiplied by.
        softcap: Gemma 2's limit for the products.
        others: `is_causal` and `sliding_window`, where a layer has them; `dropout` is 0 outside of training.

    Returns:
        The attended values, shape (1, tokens, heads, head size), and no weights.
    """
    rows = _checked(packed_rows, query, attention_mask, others)
    call = _call(module, others, flash=softcap is None and _has_kernel(query, value))
    rows.calls.append(call)
    query, key, value = (each[0].transpose(0, 1) for each in (query, key, value))
    if rows.key_places is not None:
        key, value = key[rows.key_places], value[rows.key_places]
    attend = _flash if call.flash else _padded
    return attend(query, key, value, rows, _reach(call), scaling, softcap)[None], None


AttentionInterface.register(NAME, packed_attention)


def _checked(
    rows: PackedRows | None, query: torch.Tensor, mask: torch.Tensor | None, others: Mapping[str, Any]
) -> PackedRows:
    if rows is None or mask is not None or query.shape[0] != 1:
        raise NotImplementedError("the layout of the packed row does not reach the attention layers")
    if wanted := [name for name in _UNKNOWN if others.get(name) is not None]:
        raise NotImplementedError(f"its attention uses {', '.join(wanted)}")
    return rows


def _call(module: torch.nn.Module, others: Mapping[str, Any], *, flash: bool) -> AttentionCall:
    causal = others.get("is_causal")
    causal = bool(getattr(module, "is_causal", True) if causal is None else causal)
    return AttentionCall(others.get("sliding_window"), causal, flash)


def _reach(call: AttentionCall) -> tuple[int, int]:
    """How many tokens before and after its own a token sees; -1: all."""
    reach = -1 if call.window is None else call.window - 1
    return reach, 0 if call.causal else reach


def _has_kernel(query: torch.Tensor, value: torch.Tensor) -> bool:
    """Tell whether torch's attention over sequences of different lengths can be used."""
    size = query.shape[-1]
    return (
        query.is_cuda
        and "window_size" in _VARLEN
        and query.dtype in (torch.float16, torch.bfloat16)
        and size % _HEAD_MULTIPLE == 0
        and size <= _LARGEST_HEAD
        and size == value.shape[-1]
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def _flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    rows: PackedRows,
    window: tuple[int, int],
    scaling: float | None,
    _softcap: float | None,
) -> torch.Tensor:
    # Before this argument came, the kernel took key heads that several query heads share without being told.
    grouped: dict[str, Any] = {"enable_gqa": query.shape[1] != key.shape[1]} if "enable_gqa" in _VARLEN else {}
    attended = varlen_attn(
        query,
        key,
        value,
        rows.queries.offsets,
        rows.keys.offsets,
        rows.queries.longest,
        rows.keys.longest,
        scale=scaling,
        window_size=window,
        **grouped,
    )
    return cast("torch.Tensor", attended)  # a pair of tensors only where one asks for it


def _padded(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    rows: PackedRows,
    window: tuple[int, int],
    scaling: float | None,
    softcap: float | None,
) -> torch.Tensor:
    grid = rows.grid
    q, k, v = query[grid.queries], key[grid.keys], value[grid.keys]
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    mask = grid.mask(*window)
    if softcap is None:
        grouped = q.shape[1] != k.shape[1]
        out = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, scale=scaling, enable_gqa=grouped
        )
    else:
        out = _capped(q, k, v, mask, scaling, softcap)
    return out.transpose(1, 2).flatten(0, 1)[grid.back]


def _capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    """Attention with a soft limit for the products (Gemma 2, section 2: soft_cap * tanh(logits / soft_cap))."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    products = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    products = torch.tanh(products / softcap) * softcap
    products = products.masked_fill(~mask, torch.finfo(products.dtype).min)
    return products.softmax(dim=-1, dtype=torch.float32).to(value.dtype) @ value
