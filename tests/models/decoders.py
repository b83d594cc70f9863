"""Tiny decoders with random weights, and the prompts that their folders declare."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3ForSequenceClassification

from tests.tiny_models import WORDS

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
}
# As sentence-transformers saves rerankers: it knows the roles query and document, and the default prompt as system.
TEMPLATE = (
    '{% for message in messages %}{% if message.role == "system" %}Instruct: {{ message.content }}\n'
    '{% elif message.role == "query" %}Query: {{ message.content }}\n'
    '{% elif message.role == "document" %}Document: {{ message.content }}{% endif %}{% endfor %} Relevant:'
)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}"
)
OUTER = ("<|endoftext|>", "[UNK]")
PROMPT_WORDS = ("Instruct", "Query", "Document", "Relevant", "yes", "no", ":")


def word_level() -> Tokenizer:
    """A vocabulary of words, without a post-processor, as those of Qwen are."""
    vocabulary = {word: place for place, word in enumerate([*OUTER, *PROMPT_WORDS, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([OUTER[0]])
    return tokenizer


def save_decoder(
    folder: Path,
    kind: type[Qwen3ForCausalLM | Qwen3ForSequenceClassification],
    *,
    template: str | None = TEMPLATE,
    **config: Any,
) -> Path:
    """Save a Qwen3 with random weights and its tokenizer.

    Args:
        folder: Where.
        kind: A classifier, or a language model.
        template: Its chat template; None: it has none.
        config: Fields of its `config.json`.
    """
    tokenizer = word_level()
    torch.manual_seed(0)
    shape = Qwen3Config(vocab_size=tokenizer.get_vocab_size(), initializer_range=0.3, **SHAPE, **config)
    kind(shape).eval().save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=OUTER[1], pad_token=OUTER[0])
    fast.chat_template = template
    fast.save_pretrained(folder)
    return folder
