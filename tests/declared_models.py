"""Tiny, seeded rerankers of every kind that a folder can declare, saved by sentence-transformers or transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from torch import nn
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from tests.text.families import as_chat_template, prompts, trained
from tests.tiny_models import save_bert, save_modernbert
from tests.tiny_networks import decoder_classifier, language_model

INSTRUCTION = "Given a web search query, retrieve passages that answer it. 找出答案"
# Which tokenizer a family of models has, and what pads there.
_TOKENIZERS = {
    "cohere": "llama3",
    "gemma": "gemma",
    "gemma2": "gemma",
    "llama": "llama3",
    "qwen2": "qwen",
    "qwen2 moe": "qwen",
    "qwen3": "qwen",
}
_PADDING = {"gemma": "<pad>", "llama3": "<|end_of_text|>", "qwen": "<|endoftext|>"}
FAMILIES = ("gemma", "gemma2", "llama", "qwen2", "qwen3")


def save_plain(family: str, folder: Path, *, classifier: bool, template: bool = True) -> Path:
    """Save a decoder and its tokenizer with transformers, with a chat template over query and document, or without."""
    name = _TOKENIZERS[family]
    tokenizer = trained(name)
    padding = tokenizer.token_to_id(_PADDING[name])
    make = decoder_classifier if classifier else language_model
    shape: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "pad_token_id": padding}
    _save(make(family, **shape), folder)
    loaded = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=_PADDING[name], model_input_names=["input_ids", "attention_mask"]
    )
    if template:
        loaded.chat_template = as_chat_template(prompts(name)["instruct"])
    loaded.save_pretrained(folder)
    return folder


def save_decoder_classifier(family: str, folder: Path) -> Path:
    """Save a decoder classifier with sentence-transformers, as `tomaarsen/Qwen3-Reranker-0.6B-seq-cls-STv6` is."""
    source = save_plain(family, folder / "source", classifier=True)
    model = CrossEncoder(str(source), prompts={"web": INSTRUCTION}, default_prompt_name="web", device="cpu")
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved"


def save_token_scorer(family: str, folder: Path, *, false_token: bool = True) -> Path:
    """Save a language model with `LogitScore` with sentence-transformers."""
    source = save_plain(family, folder / "source", classifier=False)
    modules = [
        Transformer(str(source), transformer_task="text-generation"),
        LogitScore(true_token_id=301, false_token_id=302 if false_token else None),
    ]
    model = CrossEncoder(modules=modules, prompts={"web": INSTRUCTION}, default_prompt_name="web", device="cpu")
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved"


def save_chain(folder: Path) -> Path:
    """Save an encoder, a pooling and a small network behind it with sentence-transformers, as ettin-reranker is."""
    source = save_modernbert(folder / "source")
    model = AutoModel.from_pretrained(source)
    (folder / "encoder").mkdir()
    for file in source.glob("*token*"):
        (folder / "encoder" / file.name).write_bytes(file.read_bytes())
    _save(model, folder / "encoder")
    torch.manual_seed(8)
    modules = [
        Transformer(str(folder / "encoder")),
        Pooling(32, pooling_mode="cls"),
        Dense(32, 32, activation_function=nn.GELU()),
        LayerNorm(32),
        Dense(32, 1, activation_function=nn.Identity(), module_output_name="scores"),
    ]
    CrossEncoder(modules=modules, device="cpu").save_pretrained(str(folder / "saved"))
    return folder / "saved"


def save_prompted_encoder(folder: Path) -> Path:
    """Save a BERT with a default prompt with sentence-transformers."""
    source = save_bert(folder / "source")
    model = CrossEncoder(str(source), prompts={"web": "who wrote it: "}, default_prompt_name="web", device="cpu")
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved"


SAVERS: dict[str, Callable[[Path], Path]] = {
    "chain": save_chain,
    "prompted encoder": save_prompted_encoder,
    **{
        f"{family} classifier": lambda folder, family=family: save_decoder_classifier(family, folder)
        for family in FAMILIES
    },
    **{f"{family} tokens": lambda folder, family=family: save_token_scorer(family, folder) for family in FAMILIES},
    "qwen3 token": lambda folder: save_token_scorer("qwen3", folder, false_token=False),
}


def _save(model: PreTrainedModel, folder: Path) -> None:
    model.eval().save_pretrained(folder)
