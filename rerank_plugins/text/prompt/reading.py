"""Read what a model declares as its prompt, once, into fixed token ids and text with slots."""

import hashlib
import re
import textwrap
from contextlib import suppress
from dataclasses import dataclass, replace

from rerank_plugins.errors import InvalidValueError, UnsupportedModelError
from rerank_plugins.text.prompt.chat import ChatRenderer
from rerank_plugins.text.prompt.declared import ChatTemplate, DeclaredPrompt, TextTemplate
from rerank_plugins.text.prompt.outline import Outline, outline_of
from rerank_plugins.text.prompt.pieces import (
    SENTINELS,
    Slot,
    Texts,
    cut_apart,
    find_fault,
    show,
    split_text,
    without_instruction,
)
from rerank_plugins.text.prompt.places import PromptTokenizer
from rerank_plugins.text.prompt.rendered import Rendered, read_rendered
from rerank_plugins.text.template import PairTemplate, SpecialTokens
from rerank_plugins.text.tokenizer import TextTokenizer

_SAMPLE = {slot: slot.value for slot in Slot}
_NO_TOKENS = SpecialTokens((), ())
# How models that were trained on chats write their control tokens.
_CONTROL_TOKEN = re.compile(r"<\|\w+\|>")
# What the tokenizer makes of a prompt is compared with what transformers makes of it, for these.
_CHECKED = (
    ("who wrote hamlet?", "Shakespeare wrote Hamlet. He was 36."),
    (" two  words\n", " \n A document (with lines),\n\nand another. "),
    ("什么是光合作用？", "植物把阳光变成糖。"),
    ("!", ""),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A model's prompt.

    Attributes:
        plain: It without an instruction; None: it needs one.
        instructed: It with a place for an instruction; None: it has none.
        instruction: The default instruction.
        text: It as a text with `{query}`, `{document}` and maybe `{instruction}`, as it is read by default.
        tokens: How many tokens it has without query and document, with the default instruction.
        tokenizer: What tokenizes texts in it.
        fingerprint: Names all that decides its token ids.
    """

    plain: Outline | None
    instructed: Outline | None
    instruction: str | None
    text: str
    tokens: int
    tokenizer: TextTokenizer
    fingerprint: str

    # Its ids are all in the encoded pairs.
    template = PairTemplate(_NO_TOKENS, _NO_TOKENS, _NO_TOKENS, document_type=0, boundary=0, restarts=False)

    def outline(self, instruction: str | None) -> Outline:
        """Choose how a pair with this instruction is read; None: the default; empty: without one.

        Raises:
            InvalidValueError: If it has no place for an instruction, or needs one.
        """
        given = self.instruction if instruction is None else instruction
        outline = self.instructed if given else self.plain
        if outline is not None:
            return outline
        text = textwrap.shorten(self.text, 200, placeholder="...")
        if given:
            shown = textwrap.shorten(given, 60, placeholder="...")
            raise InvalidValueError(
                f"instruction={shown!r}: the prompt has no place for an instruction: {text!r}. Leave it out."
            )
        raise InvalidValueError(f"The prompt needs an instruction, and has no default one: {text!r}. Give it one.")

    def without_last(self, token: int) -> "Prompt":
        """Leave out a token that it ends with, however often."""
        plain, instructed = (each and each.without_last(token) for each in (self.plain, self.instructed))
        prompt = replace(self, plain=plain, instructed=instructed)
        return replace(prompt, tokens=_fixed_tokens(prompt))


def read_prompt(name: str, declared: DeclaredPrompt, tokenizer: TextTokenizer) -> Prompt:
    r"""Read a declared prompt.

    Args:
        name: The model's name, for messages.
        declared: What its folder, or the user, declares.
        tokenizer: Its tokenizer, which no other thread may use meanwhile.

    Raises:
        UnsupportedModelError: If a template cannot be rendered, leaves out or changes texts, or if the tokenizer reads
            it in a way that cannot be reproduced.

    Examples:
        >>> read_prompt("m", TextTemplate("Q: {query}\nD: {document}"), tokenizer).instruction is None
        True
    """
    rendered = _read_chat(name, declared) if isinstance(declared, ChatTemplate) else _read_text(name, declared)
    _check_vocabulary(name, rendered, tokenizer)
    if isinstance(declared, TextTemplate):
        _check_control_tokens(name, declared, tokenizer)
    compiler = _Compiler(name, PromptTokenizer(tokenizer), declared)
    plain = None if rendered.plain is None else compiler.compile(rendered.plain)
    instructed = None if rendered.instructed is None else compiler.compile(rendered.instructed)
    instruction = None if instructed is None else declared.instruction
    shown = rendered.instructed if instruction or not plain else rendered.plain
    if shown is None:
        raise UnsupportedModelError(f"The prompt of '{name}' cannot be read without an instruction.")
    prompt = Prompt(
        plain=plain,
        instructed=instructed,
        instruction=instruction,
        text=show(shown.pieces),
        tokens=0,
        tokenizer=compiler.tokenizer.inside,
        fingerprint=hashlib.blake2b(repr((declared, rendered)).encode(), digest_size=16).hexdigest(),
    )
    return replace(prompt, tokens=_fixed_tokens(prompt))


def _fixed_tokens(prompt: Prompt) -> int:
    outline = prompt.instructed if prompt.instruction or prompt.plain is None else prompt.plain
    empty = {Slot.QUERY: "", Slot.INSTRUCTION: prompt.instruction or ""}
    return 0 if outline is None else outline.fixed_tokens(empty)


@dataclass(frozen=True, slots=True)
class _Readings:
    """A prompt without an instruction, and with a place for one."""

    plain: Rendered | None
    instructed: Rendered | None


def _read_chat(name: str, declared: ChatTemplate) -> _Readings:
    renderer = ChatRenderer(name, declared)
    instructed: Rendered | None = None
    sentinel = SENTINELS[Slot.INSTRUCTION]
    if declared.instruction:
        renderer.check_roles(SENTINELS[Slot.QUERY], SENTINELS[Slot.DOCUMENT], declared.instruction)
        instructed = read_rendered(name, renderer, instruction=sentinel)
        if Slot.INSTRUCTION not in instructed.pieces:  # it drops the instruction, whatever it is
            return _Readings(read_rendered(name, renderer, instruction=declared.instruction), None)
        with suppress(UnsupportedModelError):  # it may need a system message
            return _Readings(read_rendered(name, renderer, instruction=None), instructed)
        return _Readings(None, instructed)
    renderer.check_roles(SENTINELS[Slot.QUERY], SENTINELS[Slot.DOCUMENT], None)
    plain = read_rendered(name, renderer, instruction=None)
    with suppress(UnsupportedModelError):  # it may not know system messages
        instructed = read_rendered(name, renderer, instruction=sentinel)
    known = instructed is not None and Slot.INSTRUCTION in instructed.pieces
    return _Readings(plain, instructed if known else None)


def _read_text(name: str, declared: TextTemplate) -> _Readings:
    pieces = split_text(declared.text)
    if fault := find_fault(pieces):
        raise UnsupportedModelError(f"The prompt of '{name}' {fault}: {declared.text!r}.")
    stripped = frozenset({Slot.QUERY, Slot.DOCUMENT}) if declared.strip else frozenset()
    plain = without_instruction(pieces)
    return _Readings(
        None if plain is None or find_fault(plain) else Rendered(plain, stripped),
        Rendered(pieces, stripped) if Slot.INSTRUCTION in pieces else None,
    )


def _check_vocabulary(name: str, rendered: _Readings, tokenizer: TextTokenizer) -> None:
    """Refuse a prompt with a token that only other files name: its characters would be read in its place."""
    text = "".join(show(each.pieces) for each in (rendered.plain, rendered.instructed) if each is not None)
    missing = (each for each in sorted(tokenizer.control) if tokenizer.tokenizer.token_to_id(each) is None)
    if found := [each for each in missing if each in text]:
        raise UnsupportedModelError(
            f"The prompt of '{name}' holds the token {found[0]!r}, which a file beside its tokenizer.json names and "
            "tokenizer.json does not have. Save the tokenizer again from the original model with AutoTokenizer's "
            "save_pretrained."
        )


def _check_control_tokens(name: str, declared: TextTemplate, tokenizer: TextTokenizer) -> None:
    """Refuse a text with control tokens that the model does not have: it was written for another model."""
    for token in _CONTROL_TOKEN.findall(declared.text):
        if tokenizer.tokenizer.token_to_id(token) is None:
            raise UnsupportedModelError(
                f"The prompt holds {token}, which is no token of '{name}', so its characters would be read. Is it "
                "another model's prompt? Give the one that this model was trained with."
            )


class _Compiler:
    """Turn rendered prompts of one declaration into outlines, and compare them with transformers' reading."""

    def __init__(self, name: str, tokenizer: PromptTokenizer, declared: DeclaredPrompt) -> None:
        self.tokenizer = tokenizer
        self._name = name
        self._apart = isinstance(declared, TextTemplate) and declared.apart
        # `tokenizer(text)` adds them, `apply_chat_template` does not. FlagEmbedding adds those before a text only.
        before, behind = tokenizer.around_text() if isinstance(declared, TextTemplate) else ((), ())
        self._around = before, () if self._apart else behind

    def compile(self, rendered: Rendered) -> Outline:
        outline = outline_of(rendered.pieces, self.tokenizer, stripped=rendered.stripped, apart=self._apart)
        before, behind = self._around
        sample = outline.encode(_SAMPLE)
        before = () if sample[: len(before)] == before else before
        behind = () if behind and sample[-len(behind) :] == behind else behind
        for query, document in _CHECKED:
            texts = {Slot.QUERY: query, Slot.DOCUMENT: document, Slot.INSTRUCTION: "Find what answers. Be exact."}
            if outline.encode(texts) != self._reference(rendered, texts):
                raise UnsupportedModelError(
                    f"The tokenizer of '{self._name}' reads the prompt {show(rendered.pieces)!r} in a way that is not "
                    "supported: its control tokens depend on the texts beside them. Check the flags of added_tokens in "
                    "its tokenizer.json."
                )
        return outline.within(before, behind)

    def _reference(self, rendered: Rendered, texts: Texts) -> tuple[int, ...]:
        """Tokenize a prompt as its reference does: whole, or its pieces apart."""
        if not self._apart:
            return self.tokenizer.encode_rendered(rendered.fill(texts))
        pieces = cut_apart(rendered.pieces)
        each = (self.tokenizer.encode_rendered(Rendered(text, rendered.stripped).fill(texts)) for text in pieces)
        return tuple(token for ids in each for token in ids)
