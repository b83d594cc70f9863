"""A model's tokenizer for each place of a prompt: its control tokens, and text before, after and between them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer

from rerank_plugins.text.template import around_text
from rerank_plugins.text.tokenizer import Span, TextTokenizer

# What Rust's regular expressions, and so tokenizers, take for white space (Unicode, White_Space).
SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
# Elements of HTML that vocabularies know as added tokens (Gemma's): content, as the characters around them.
_HTML = re.compile(
    r"</?(a|b|blockquote|body|br|caption|code|dd|div|dl|dt|em|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|li|"
    r"link|main|meta|nav|ol|p|pre|s|script|section|small|span|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|"
    r"tr|u|ul)>"
)
_Part = dict[str, Any]
_Change = Callable[[_Part], _Part | None]


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A control token in fixed text.

    Attributes:
        token_id: Its id.
        span: The characters that it stands for.
        takes_space_before: Whether it swallows white space before it.
        takes_space_after: Whether it swallows white space behind it.
    """

    token_id: int
    span: Span
    takes_space_before: bool
    takes_space_after: bool


class PromptTokenizer:
    """A tokenizer that reads a prompt's fixed text with its control tokens, and all other text without any.

    Every added token is a control token, special or not: `<think>` in a document is seven characters. Only white space,
    and elements of HTML and words (letters and digits alone) that are not special, are content, as in the model's
    training. The tokenizers of the three places share the model and know no other added tokens, so a text becomes what
    its characters become.

    Args:
        tokenizer: The model's tokenizer.

    Attributes:
        start: Tokenizes the start of a text.
        after_control: Tokenizes what follows a control token. SentencePiece tokenizers may put a space before the
            first of them only.
        inside: Tokenizes what follows other text, so nothing is put before it.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer.tokenizer
        self._added = self._tokenizer.get_added_tokens_decoder()
        named = tokenizer.control | self._named_by_template()
        self._control = frozenset(
            each for each, token in self._added.items() if token.content in named or not _is_content(token)
        )
        names = {self._added[each].content for each in self._control} | named
        self.start = self._text_tokenizer(names, _as_it_is)
        self.after_control = self._text_tokenizer(names, _no_first_space)
        self.inside = self._text_tokenizer(names, _nothing_before)

    def encode_rendered(self, text: str) -> tuple[int, ...]:
        """Tokenize a rendered prompt whole, as transformers does: what looks like a control token is one.

        Not for threads: a model's tokenizer is changed for a moment, so only while the model is loaded.
        """
        return tuple(self._encode_rendered(text).ids)

    def control_tokens(self, fixed: str) -> list[ControlToken]:
        """Find the control tokens in a prompt's fixed text; as `encode_rendered`, not for threads."""
        encoding = self._encode_rendered(fixed)
        return [
            ControlToken(token, span, self._added[token].lstrip, self._added[token].rstrip)
            for token, span in zip(encoding.ids, encoding.offsets, strict=True)
            if token in self._control
        ]

    def around_text(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the special tokens that the tokenizer puts before and behind a single text."""
        before, behind = around_text(self._tokenizer)
        return before.ids, behind.ids

    def _encode_rendered(self, text: str) -> Encoding:
        self._tokenizer.encode_special_tokens = False
        try:
            return self._tokenizer.encode(text, add_special_tokens=False)
        finally:
            self._tokenizer.encode_special_tokens = True

    def _named_by_template(self) -> set[str]:
        around = (token for tokens in self.around_text() for token in tokens)
        return {name for token in around if (name := self._tokenizer.id_to_token(token)) is not None}

    def _text_tokenizer(self, names: set[str], change: _Change) -> TextTokenizer:
        """Make a tokenizer over the same model without control tokens."""
        plain = Tokenizer(self._tokenizer.model)
        _set_parts(plain, self._tokenizer, change)
        content = [(each, token) for each, token in sorted(self._added.items()) if each not in self._control]
        plain.add_tokens([_plain_copy(token) for _, token in content])
        own = {plain.token_to_id(token.content): each for each, token in content}
        return TextTokenizer(plain, names, {new: each for new, each in own.items() if new not in (None, each)})


def _is_content(token: AddedToken) -> bool:
    is_space = not token.content.strip(SPACE + "▁")
    # A word is vocabulary of a subject that somebody added.
    is_text = token.content.isalnum() or _HTML.fullmatch(token.content) is not None
    return is_space or (is_text and not token.special)


def _plain_copy(token: AddedToken) -> AddedToken:
    return AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=False,
    )


def _set_parts(plain: Tokenizer, source: Tokenizer, change: _Change) -> None:
    """Give a tokenizer another's normalizer and pre-tokenizer, with a change to each of their parts."""
    parts = {"normalizer": source.normalizer, "pre_tokenizer": source.pre_tokenizer}
    changed = {
        name: None if part is None else _walk(json.loads(part.__getstate__()), change) for name, part in parts.items()
    }
    # Parts are only built by a whole tokenizer.
    whole = {"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {}, "unk_token": ""}}
    made = Tokenizer.from_str(json.dumps(whole | changed))
    if made.normalizer is not None:
        plain.normalizer = made.normalizer
    if made.pre_tokenizer is not None:
        plain.pre_tokenizer = made.pre_tokenizer


def _walk(part: _Part, change: _Change) -> _Part | None:
    """Apply a change to a part, or to each part of a sequence."""
    for key in ("normalizers", "pretokenizers"):
        if key in part:
            return {**part, key: [each for own in part[key] if (each := _walk(own, change)) is not None]}
    return change(part)


def _as_it_is(part: _Part) -> _Part:
    return part


def _no_first_space(part: _Part) -> _Part:
    """Put no space where one is put at the start of a text only."""
    return {**part, "prepend_scheme": "never"} if part.get("prepend_scheme") == "first" else part


def _nothing_before(part: _Part) -> _Part | None:
    """Put nothing before a text, and strip nothing from its start."""
    if part["type"] == "Prepend":
        return None
    at_start = {"prepend_scheme": "never", "add_prefix_space": False, "strip_left": False}
    return part | {key: value for key, value in at_start.items() if key in part}
