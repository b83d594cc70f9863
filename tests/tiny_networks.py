"""Tiny, seeded language models and module chains without a tokenizer: what networks are tested on, from token ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma2ForSequenceClassification,
    GemmaConfig,
    GemmaForCausalLM,
    GemmaForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen2MoeConfig,
    Qwen2MoeForSequenceClassification,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)

from rerank_plugins.backends.base import ModelFolder
from rerank_plugins.backends.heads import ClassifierHead, Head

VOCABULARY = 300
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GPT2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
CONFIGS: dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]] = {
    "cohere": (CohereConfig, SHAPE | {"logit_scale": 0.25}),
    "gemma": (GemmaConfig, SHAPE),
    "gemma2": (
        Gemma2Config,
        SHAPE | {"sliding_window": 16, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 8},
    ),
    "gpt2": (GPT2Config, _GPT2),
    "granite": (GraniteConfig, SHAPE | {"logits_scaling": 4.0}),
    "llama": (LlamaConfig, SHAPE),
    "mistral": (MistralConfig, SHAPE | {"sliding_window": 16}),
    "qwen2": (Qwen2Config, SHAPE),
    "qwen2 moe": (Qwen2MoeConfig, SHAPE | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}),
    "qwen3": (Qwen3Config, SHAPE | {"tie_word_embeddings": True}),
}
CLASSIFIERS: dict[str, type[PreTrainedModel]] = {
    "gemma": GemmaForSequenceClassification,
    "gemma2": Gemma2ForSequenceClassification,
    "gpt2": GPT2ForSequenceClassification,
    "llama": LlamaForSequenceClassification,
    "mistral": MistralForSequenceClassification,
    "qwen2": Qwen2ForSequenceClassification,
    "qwen2 moe": Qwen2MoeForSequenceClassification,
    "qwen3": Qwen3ForSequenceClassification,
}
LANGUAGE_MODELS: dict[str, type[PreTrainedModel]] = {
    "cohere": CohereForCausalLM,
    "gemma": GemmaForCausalLM,
    "gemma2": Gemma2ForCausalLM,
    "granite": GraniteForCausalLM,
    "llama": LlamaForCausalLM,
    "qwen2": Qwen2ForCausalLM,
    "qwen3": Qwen3ForCausalLM,
}


def decoder_classifier(family: str, *, labels: int = 1, **changes: Any) -> PreTrainedModel:
    """A decoder with a classification head."""
    return _made(CLASSIFIERS[family], family, num_labels=labels, **changes)


def language_model(family: str, **changes: Any) -> PreTrainedModel:
    """A causal language model."""
    return _made(LANGUAGE_MODELS[family], family, **changes)


def _made(kind: type[PreTrainedModel], family: str, **changes: Any) -> PreTrainedModel:
    config, shape = CONFIGS[family]
    torch.manual_seed(len(family))
    return kind(config(**shape | changes)).eval()


def save(model: PreTrainedModel, folder: Path, head: Head | None = None) -> ModelFolder:
    """Save a model's weights and its config.json, as a backend gets them."""
    model.save_pretrained(folder)
    return ModelFolder("tiny", folder, ("model.safetensors",), head=head or ClassifierHead())


def token_ids(pairs: int, *, longest: int = 60) -> list[list[int]]:
    """Pairs of one to `longest` tokens, some of which are the id that pads a batch."""
    random = np.random.default_rng(pairs)
    lengths = [1, longest, *random.integers(1, longest + 1, pairs - 2)]
    return [random.integers(0, VOCABULARY, length).tolist() for length in lengths]


def padded(rows: Sequence[Sequence[int]], *, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay rows out as a batch: ids and mask, padded on the right."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask
