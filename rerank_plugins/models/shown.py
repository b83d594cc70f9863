"""A model's head in words, and what it reads for a pair in pieces."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rerank_plugins.backends.heads import ClassifierHead, Head, TokenHead
from rerank_plugins.text.prompt import Prompt
from rerank_plugins.text.prompt.pieces import Slot
from rerank_plugins.text.template import PairTemplate, around_text
from rerank_plugins.text.tokenizer import TextTokenizer

_SLOTS = re.compile(r"(\{(?:query|document|instruction)\})")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of what a model reads.

    Attributes:
        kind: `text`, `control` for a control token, or `slot`.
        text: The text, the token, or the name of the slot.
    """

    kind: str
    text: str


def describe_head(head: Head, tokenizer: TextTokenizer) -> str:
    """Say in words how a head makes a score.

    Examples:
        >>> describe_head(TokenHead(9693, 2152), tokenizer)
        "logit of 'yes' (9693) minus logit of 'no' (2152)"
    """
    if isinstance(head, ClassifierHead):
        if head.label is None:
            return "the classification head"
        return f"the classification head, label {head.label}" + (" against the others" if head.exclusive else "")
    if isinstance(head, TokenHead):
        ids = [each for each in (head.true_token_id, head.false_token_id) if each is not None]
        return " minus ".join(f"logit of {tokenizer.tokenizer.id_to_token(each)!r} ({each})" for each in ids)
    return " -> ".join(type(module).__name__ for module in head.modules)


def template_pieces(template: PairTemplate | Prompt, tokenizer: TextTokenizer) -> Iterator[Piece]:
    """Cut what a model reads for a pair into control tokens, text and slots.

    Examples:
        >>> [piece.text for piece in template_pieces(bert_template, tokenizer)]
        ['[CLS]', 'query', '[SEP]', 'document', '[SEP]']
    """
    if isinstance(template, Prompt):
        yield from _prompt_pieces(template, tokenizer)
        return
    parts = ((template.prefix, "query"), (template.middle, "document"), (template.suffix, None))
    for special, slot in parts:
        for token in special.ids:
            yield Piece("control", tokenizer.tokenizer.id_to_token(token) or str(token))
        if slot is not None:
            yield Piece("slot", slot)


def _prompt_pieces(prompt: Prompt, tokenizer: TextTokenizer) -> Iterator[Piece]:
    added = {place: token.content for place, token in tokenizer.tokenizer.get_added_tokens_decoder().items()}
    contents = sorted(filter(str.strip, added.values()), key=len, reverse=True)
    control = re.compile(f"({'|'.join(map(re.escape, contents)) or '(?!)'})")
    before, behind = _around(prompt, tokenizer)
    yield from (Piece("control", added[each]) for each in before)
    for place, part in enumerate(_SLOTS.split(prompt.text)):
        if place % 2:
            yield Piece("slot", part[1:-1])
            continue
        for turn, text in enumerate(control.split(part)):
            if text:
                yield Piece("control" if turn % 2 else "text", text)
    yield from (Piece("control", added[each]) for each in behind)


def _around(prompt: Prompt, tokenizer: TextTokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the tokenizer's own special tokens around a prompt that a user gives as a text, which does not hold them."""
    before, behind = (special.ids for special in around_text(tokenizer.tokenizer))
    texts = {slot: slot.value for slot in Slot}
    ids = prompt.outline("a" if prompt.plain is None else None).encode(texts)
    shown = tuple(tokenizer.tokenizer.encode(prompt.text, add_special_tokens=False).ids)
    has_before = before and ids[: len(before)] == before and shown[: len(before)] != before
    has_behind = behind and ids[-len(behind) :] == behind and shown[-len(behind) :] != behind
    return before if has_before else (), behind if has_behind else ()
