"""Small tokenizers built like those of language models, and prompts for them."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.texts import DOCUMENTS, TRAPS

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CORPUS = [
    *DOCUMENTS,
    *TRAPS,
    (Path(__file__).parents[2] / "README.md").read_text(),
    (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(),
    "植物通过光合作用把阳光、水和二氧化碳变成糖。什么是光合作用？它需要多少水？" * 20,
    "system user assistant query document Query Document Instruct passage question Relevance yes no\n\n" * 40,
]
_SIZE = 1200


@cache
def qwen() -> Tokenizer:
    """Byte-level BPE over Qwen's pre-tokenizer; `<think>` and others are added, and not special."""
    tokenizer = _byte_level(_WORDS.format(digits=""), normalizers.NFC())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([_plain(each) for each in ("<think>", "</think>", "<tool_call>", "</tool_call>")])
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return tokenizer


@cache
def llama3() -> Tokenizer:
    """Byte-level BPE over Llama 3's pre-tokenizer, whose single texts begin with a control token."""
    tokenizer = _byte_level(_WORDS.format(digits="{1,3}"), None, ignore_merges=True)
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer.add_special_tokens(names)
    _begin_with(tokenizer, names[0])
    return tokenizer


@cache
def gpt2() -> Tokenizer:
    """Byte-level BPE over GPT-2's pre-tokenizer; wide spaces are added tokens, as GPT-NeoX's."""
    tokenizer = _trained_bytes(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|system|>", "<|user|>", "<|end|>"])
    tokenizer.add_tokens([_plain("    "), _plain("        ")])
    return tokenizer


@cache
def prefix_space() -> Tokenizer:
    """GPT-2's, with a space before every text."""
    tokenizer = _trained_bytes(pre_tokenizers.ByteLevel(add_prefix_space=True))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|system|>", "<|user|>", "<|end|>"])
    return tokenizer


@cache
def phi() -> Tokenizer:
    """GPT-2's, with control tokens that take white space behind them, or on both sides."""
    tokenizer = _trained_bytes(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens(
        [
            "<|endoftext|>",
            AddedToken("<|system|>", rstrip=True, normalized=False),
            AddedToken("<|user|>", rstrip=True, normalized=False),
            AddedToken("<|end|>", lstrip=True, rstrip=True, normalized=False),
        ]
    )
    return tokenizer


@cache
def gemma() -> Tokenizer:
    """BPE with byte fallback over whole texts; line breaks and HTML are added tokens that are not special."""
    tokenizer = _sentence_piece(normalizers.Replace(" ", "▁"))
    tokenizer.add_special_tokens(["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"])
    tokenizer.add_tokens([_plain(each) for each in ("\n", "\n\n", "\n\n\n", "\t", "<table>", "</table>", "<unused0>")])
    _begin_with(tokenizer, "<bos>")
    return tokenizer


@cache
def llama2() -> Tokenizer:
    """BPE with byte fallback, and a space before each text between control tokens."""
    tokenizer = _sentence_piece(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]))
    tokenizer.add_special_tokens(["<s>", "</s>", "[INST]", "[/INST]"])
    _begin_with(tokenizer, "<s>")
    return tokenizer


@cache
def mistral() -> Tokenizer:
    """BPE with byte fallback, and a space before the first text only."""
    tokenizer = _sentence_piece(None)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.add_special_tokens(["<s>", "</s>", "[INST]", "[/INST]"])
    _begin_with(tokenizer, "<s>")
    return tokenizer


# What a family writes before a system text, before a user's, after a text, and before an answer.
_QWEN_CHAT = (
    "<|im_start|>system\n",
    "<|im_start|>user\n",
    "<|im_end|>\n",
    "<|im_start|>assistant\n<think>\n\n</think>\n\n",
)
_PHI_CHAT = ("<|system|>\n", "<|user|>\n", "<|end|>\n", "")
_LLAMA2_CHAT = ("<s>[INST] ", "[/INST] Yes. </s>[INST] ", " ", "[/INST]")
_CHATS = {
    "qwen": _QWEN_CHAT,
    "llama3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n",
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "gpt2": _PHI_CHAT,
    "prefix space": _PHI_CHAT,
    "phi": _PHI_CHAT,
    "gemma": ("<bos><start_of_turn>user\n", "", "<end_of_turn>\n", "<start_of_turn>model\n"),
    "llama2": _LLAMA2_CHAT,
    "mistral": _LLAMA2_CHAT,
}
_TRAINED: dict[str, Callable[[], Tokenizer]] = {
    "qwen": qwen,
    "llama3": llama3,
    "gpt2": gpt2,
    "prefix space": prefix_space,
    "phi": phi,
    "gemma": gemma,
    "llama2": llama2,
    "mistral": mistral,
}
FAMILIES = tuple(_TRAINED)
# Real tokenizers, for whoever has them: FOLDER/qwen/tokenizer.json, ...
_REAL = Path(os.environ.get("RERANK_TOKENIZERS", "none"))


def trained(family: str) -> Tokenizer:
    """Make a family's tokenizer anew: one that is handed over is changed."""
    real = _REAL / family / "tokenizer.json"
    if real.is_file():
        return Tokenizer.from_file(str(real))
    return Tokenizer.from_str(_TRAINED[family]().to_str())


def reference(family: str) -> PreTrainedTokenizerFast:
    """Load a family's tokenizer as transformers does."""
    return PreTrainedTokenizerFast(tokenizer_object=trained(family))


def prompts(family: str) -> dict[str, str]:
    """Prompts in a family's own words, as texts with slots."""
    system, user, end, answer = _CHATS[family]
    return {
        "instruct": (  # as Qwen3-Reranker's
            f"{system}Judge whether the Document meets the requirements.{end}{user}<Instruct>: {{instruction}}\n"
            f"<Query>: {{query}}\n<Document>: {{document}}{end}{answer}"
        ),
        "task behind": (  # as mxbai-rerank's
            f"{system}You are helpful.{end}{user}query: {{query}}\ndocument: {{document}}\nYou are an expert. Judge "
            f"relevance (0 or 1).\nRelevance:{end}{answer}"
        ),
        "turns": f"{system}{{query}}{end}{user}{{document}}{end}{answer}",  # as zerank's
        "no chat": "question:{query} \n \n passage:{document}",  # as Nemotron's
        "tight": f"{system}Q{{query}}D{{document}}A{end}",
        "line": f"{user}{{query}}\n{{document}}{end}{{instruction}}{answer}",
    }


def as_chat_template(text: str) -> str:
    """Write a text with slots in Jinja, over the roles system, query and document."""
    for slot, role in (("instruction", "system"), ("query", "query"), ("document", "document")):
        chosen = f"(messages | selectattr('role', 'eq', '{role}') | map(attribute='content') | first)"
        text = text.replace(f"{{{slot}}}", f"{{{{ {chosen} }}}}")
    return text + "{# the end #}"  # Jinja strips a last line break


def _plain(content: str) -> AddedToken:
    return AddedToken(content, normalized=False, special=False)


def _byte_level(pattern: str, normalizer: normalizers.Normalizer | None, *, ignore_merges: bool = False) -> Tokenizer:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    parts = [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    return _trained_bytes(pre_tokenizers.Sequence(parts), normalizer, ignore_merges=ignore_merges)


def _trained_bytes(
    pre_tokenizer: pre_tokenizers.PreTokenizer,
    normalizer: normalizers.Normalizer | None = None,
    *,
    ignore_merges: bool = False,
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_SIZE, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return tokenizer


def _sentence_piece(normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Train BPE as SentencePiece does: no token goes on behind a space, and unknown characters become bytes."""
    bytes_ = [f"<0x{each:02X}>" for each in range(256)]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁*[^▁]+|▁+"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=_SIZE, special_tokens=["<unk>", *bytes_], show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    whole = Tokenizer(tokenizer.model)
    if normalizer is not None:
        whole.normalizer = normalizer
    whole.add_special_tokens(["<unk>"])
    return whole


def _begin_with(tokenizer: Tokenizer, token: str) -> None:
    around = [(token, tokenizer.token_to_id(token))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{token} $A", special_tokens=around)
