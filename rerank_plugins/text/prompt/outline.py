"""A prompt's pieces as parts that become token ids: control tokens, and stretches of text between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from rerank_plugins.text.prompt.pieces import SENTINELS, Pieces, Slot, Texts, cut_apart, fill
from rerank_plugins.text.prompt.places import SPACE, ControlToken, PromptTokenizer
from rerank_plugins.text.prompt.seams import left_seam, right_seam
from rerank_plugins.text.tokenizer import TextTokenizer

# A stretch is tokenized whole: texts in it have been cut before.
_WHOLE = 10**6


@dataclass(frozen=True, slots=True)
class Stretch:
    """Text without control tokens: it is tokenized at once.

    Attributes:
        pieces: Fixed text and slots.
        tokenizer: What tokenizes it at its place.
    """

    pieces: Pieces
    tokenizer: TextTokenizer

    def encode(self, texts: Texts) -> tuple[int, ...]:
        """Tokenize it, with texts in its slots."""
        text = fill(self.pieces, texts)
        return self.tokenizer.encode([text], enough=_WHOLE)[0].ids if text else ()


# Ids that are the same for all pairs, or text with slots.
Part = tuple[int, ...] | Stretch


@dataclass(frozen=True, slots=True)
class Outline:
    """A prompt, cut where the document begins and ends.

    Attributes:
        left: What stands before `lead`.
        lead: What is tokenized with each document, before it: white space, or all text back to a control token where
            nothing shorter gives the same ids.
        trail: What is tokenized with each document, behind it.
        right: What stands behind `trail`.
        ending: What stands behind a document that is truncated: `trail` and `right`.
        tokenizer: What tokenizes lead, document and trail.
        stripped: The slots whose texts are stripped of white space.
        taken_before: The slots before whose texts a control token takes white space away.
        taken_behind: The slots behind whose texts one does.
    """

    left: tuple[Part, ...]
    lead: Pieces
    trail: Pieces
    right: tuple[Part, ...]
    ending: tuple[Part, ...]
    tokenizer: TextTokenizer
    stripped: frozenset[Slot]
    taken_before: frozenset[Slot]
    taken_behind: frozenset[Slot]

    def clean(self, slot: Slot, text: str) -> str:
        """Strip what the prompt strips of a text."""
        if slot in self.stripped:
            text = text.strip()
        if slot in self.taken_before:
            text = text.lstrip(SPACE)
        return text.rstrip(SPACE) if slot in self.taken_behind else text

    def skipped(self, slot: Slot, text: str) -> int:
        """Count the characters that are stripped from the start of a text."""
        cleaned = self.clean(slot, text)
        return text.index(cleaned) if cleaned else 0

    def together(self, lead: str, document: str, trail: str) -> str:
        """Put together what is tokenized with a document; control tokens beside a blank one take more white space."""
        text = lead + self.clean(Slot.DOCUMENT, document) + trail
        if Slot.DOCUMENT in self.taken_before:
            text = text.lstrip(SPACE)
        return text.rstrip(SPACE) if Slot.DOCUMENT in self.taken_behind else text

    def fixed_tokens(self, texts: Texts) -> int:
        """Count the tokens of a prompt with an empty document; a longer one may join the last of them."""
        lead = Stretch((self.together(fill(self.lead, texts), "", ""),), self.tokenizer)
        return len(encode_parts((*self.left, lead, *self.ending), texts))

    def encode(self, texts: Texts) -> tuple[int, ...]:
        """Turn a whole prompt into token ids, with texts of any length."""
        cleaned = {slot: self.clean(slot, text) for slot, text in texts.items()}
        lead, trail = fill(self.lead, cleaned), fill(self.trail, cleaned)
        document = Stretch((self.together(lead, texts[Slot.DOCUMENT], trail),), self.tokenizer)
        return encode_parts((*self.left, document, *self.right), cleaned)

    def without_last(self, token: int) -> "Outline":
        """Leave out a token that it ends with, however often."""
        return replace(self, right=_without_last(self.right, token), ending=_without_last(self.ending, token))

    def within(self, before: tuple[int, ...], behind: tuple[int, ...]) -> "Outline":
        """Put token ids around it."""
        return replace(
            self,
            left=_fixed([before, *self.left]),
            right=_fixed([*self.right, behind]),
            ending=_fixed([*self.ending, behind]),
        )


def encode_parts(parts: Sequence[Part], texts: Texts) -> tuple[int, ...]:
    """Turn parts into token ids."""
    ids = (part.encode(texts) if isinstance(part, Stretch) else part for part in parts)
    return tuple(token for each in ids for token in each)


def outline_of(pieces: Pieces, tokenizer: PromptTokenizer, *, stripped: frozenset[Slot], apart: bool) -> Outline:
    """Turn pieces into an outline.

    Args:
        pieces: Fixed text and slots.
        tokenizer: The model's tokenizer.
        stripped: The slots whose texts are stripped of white space.
        apart: Whether the document's line is tokenized apart.
    """
    texts = [list(_items(text, tokenizer)) for text in (cut_apart(pieces) if apart else [pieces])]
    parts = [part for text in texts for part in _parts(text, tokenizer)]
    place, stretch = next(
        (place, part) for place, part in enumerate(parts) if isinstance(part, Stretch) and Slot.DOCUMENT in part.pieces
    )
    neighbours = [pair for text in texts for pair in pairwise(text)]
    taken_behind = frozenset(a for a, b in neighbours if isinstance(a, Slot) and _takes(b, after=False))
    at, inside = stretch.pieces.index(Slot.DOCUMENT), tokenizer.inside
    before = stretch.pieces[:at]
    head, lead, opening = left_seam(before, stretch.tokenizer, inside)
    if Slot.DOCUMENT in taken_behind and not fill(before[-1:], SENTINELS).strip(SPACE):
        # With an empty document, the control token behind it may take white space from all that is before it.
        head, lead, opening = (), before, stretch.tokenizer
    trail, tail = right_seam(stretch.pieces[at + 1 :], lead, opening, inside)
    return Outline(
        left=_fixed([*parts[:place], Stretch(head, stretch.tokenizer)]),
        lead=lead,
        trail=trail,
        right=_fixed([Stretch(tail, inside), *parts[place + 1 :]]),
        ending=_fixed([Stretch((*trail, *tail), inside), *parts[place + 1 :]]),
        tokenizer=opening,
        stripped=stripped,
        taken_before=frozenset(b for a, b in neighbours if isinstance(b, Slot) and _takes(a, after=True)),
        taken_behind=taken_behind,
    )


def _items(pieces: Pieces, tokenizer: PromptTokenizer) -> Iterator[str | Slot | ControlToken]:
    """Find the control tokens in the fixed text of pieces."""
    for piece in pieces:
        if isinstance(piece, Slot):
            yield piece
            continue
        read = 0
        for token in tokenizer.control_tokens(piece):
            start, end = token.span
            if read < start:
                yield piece[read:start]
            yield token
            read = end
        if read < len(piece):
            yield piece[read:]


def _parts(items: Sequence[str | Slot | ControlToken], tokenizer: PromptTokenizer) -> Iterator[Part]:
    place = tokenizer.start
    for is_control, group in groupby(items, lambda item: isinstance(item, ControlToken)):
        run = tuple(group)
        if is_control:
            yield tuple(item.token_id for item in run if isinstance(item, ControlToken))
        else:
            yield Stretch(tuple(item for item in run if not isinstance(item, ControlToken)), place)
        place = tokenizer.after_control


def _without_last(parts: tuple[Part, ...], token: int) -> tuple[Part, ...]:
    *before, last = parts or ((),)
    if not isinstance(last, tuple):
        return parts
    while last and last[-1] == token:
        last = last[:-1]
    return (*before, last)


def _takes(item: str | Slot | ControlToken, *, after: bool) -> bool:
    if not isinstance(item, ControlToken):
        return False
    return item.takes_space_after if after else item.takes_space_before


def _fixed(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Turn what has no slots into ids, and join neighbours."""
    joined: list[Part] = []
    for part in parts:
        is_fixed = isinstance(part, Stretch) and not any(isinstance(piece, Slot) for piece in part.pieces)
        now = part.encode({}) if is_fixed and isinstance(part, Stretch) else part
        if isinstance(now, tuple) and joined and isinstance(joined[-1], tuple):
            joined[-1] += now
        elif now:
            joined.append(now)
    return tuple(joined)
