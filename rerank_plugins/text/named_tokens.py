"""The tokens that files beside a tokenizer.json name."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.json_files import read_fields

# The names of control tokens that every tokenizer of transformers has.
CONTROL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_MORE_TOKENS = ("additional_special_tokens", "extra_special_tokens")


def named_control_tokens(name: str, folder: Path) -> set[str]:
    """Read the control tokens that a model names beside its tokenizer, where it may not mark them as special.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
    """
    names: set[str] = set()
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        declared = read_fields(name, folder / file)
        names |= {declared.token(key) or "" for key in CONTROL_TOKENS}
        for key in declared:
            if key.endswith("_token"):
                with suppress(UnsupportedModelError):  # a field of the model's own may hold anything, such as a flag
                    names.add(declared.token(key) or "")
    return names - {""}


def named_added_tokens(name: str, folder: Path) -> set[str]:
    """Read the tokens that transformers adds to a tokenizer, where its tokenizer.json lacks them.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
    """
    declared = read_fields(name, folder / "tokenizer_config.json")
    names = set(read_fields(name, folder / "added_tokens.json"))
    for key in ("added_tokens_decoder", *_MORE_TOKENS):
        names.update(_contents(declared.value(key)))
    return names - {""}


def _contents(tokens: object) -> Iterator[str]:
    """Find the tokens of a list or an object, each a string or an object with `content`."""
    for each in tokens.values() if isinstance(tokens, dict) else tokens if isinstance(tokens, list) else ():
        content = each.get("content") if isinstance(each, dict) else each
        if isinstance(content, str):
            yield content
