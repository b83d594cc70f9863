"""Cut a prompt into fixed text and slots."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum


class Slot(Enum):
    """A place of a prompt that a text goes into."""

    QUERY = "query"
    DOCUMENT = "document"
    INSTRUCTION = "instruction"


Pieces = tuple[str | Slot, ...]
Texts = Mapping[Slot, str]

_NAMED_SLOT = re.compile(r"\{(query|document|instruction)\}")
# For private use (Unicode, plane 15): no template holds them, and no filter of Jinja changes them.
SENTINELS = {slot: f"\U000f0000{place}\U000f0001" for place, slot in enumerate(Slot)}
_SENTINEL = re.compile("|".join(SENTINELS.values()))
_SLOT_OF = {sentinel: slot for slot, sentinel in SENTINELS.items()}


def split_text(text: str) -> Pieces:
    """Cut a text at `{query}`, `{document}` and `{instruction}`.

    Examples:
        >>> split_text("Q: {query}")
        ('Q: ', <Slot.QUERY: 'query'>)
    """
    parts = _NAMED_SLOT.split(text)
    return _join(Slot(part) if place % 2 else part for place, part in enumerate(parts))


def split_rendered(text: str) -> Pieces:
    """Cut a rendered template at its sentinels."""
    fixed, found = _SENTINEL.split(text), _SENTINEL.findall(text)
    pieces: list[str | Slot] = [fixed[0]]
    for sentinel, after in zip(found, fixed[1:], strict=True):
        pieces += [_SLOT_OF[sentinel], after]
    return _join(pieces)


def fill(pieces: Sequence[str | Slot], texts: Texts) -> str:
    """Put texts into the slots."""
    return "".join(piece if isinstance(piece, str) else texts[piece] for piece in pieces)


def show(pieces: Pieces) -> str:
    """Write pieces as a text with `{query}`, `{document}` and `{instruction}`."""
    return fill(pieces, {slot: f"{{{slot.value}}}" for slot in Slot})


def find_fault(pieces: Pieces) -> str | None:
    """Say what keeps pieces from being a prompt for a pair; None: nothing does."""
    places = {slot: [place for place, piece in enumerate(pieces) if piece is slot] for slot in Slot}
    for slot in (Slot.QUERY, Slot.DOCUMENT):
        if not places[slot]:
            return f"leaves out the {slot.value}"
        if len(places[slot]) > 1:
            return f"has the {slot.value} {len(places[slot])} times"
    query, document = places[Slot.QUERY][0], places[Slot.DOCUMENT][0]
    if document < query:
        return "has the document before the query"
    between = [piece for piece in pieces[query + 1 : document] if isinstance(piece, str)]
    if not "".join(between).strip(" \t"):
        return "puts nothing between query and document, so where one ends and the other begins cannot be told"
    return None


def without_instruction(pieces: Pieces) -> Pieces | None:
    """Leave out each line that holds an instruction; None where such a line holds another slot."""
    lines = re.split(r"(?<=\n)", show(pieces))
    instruction, others = "{instruction}", ("{query}", "{document}")
    dropped = [line for line in lines if instruction in line]
    if any(other in line for line in dropped for other in others):
        return None
    return split_text("".join(line for line in lines if instruction not in line))


def cut_apart(pieces: Pieces) -> list[Pieces]:
    """Cut out the document's line and the line breaks around it: each is a text of its own."""
    place = pieces.index(Slot.DOCUMENT)
    before, line_start = _cut_last_line(pieces[:place])
    line_end, after = _cut_first_line(pieces[place + 1 :])
    texts = (*before, (*line_start, Slot.DOCUMENT, *line_end), *after)
    return [text for text in map(_join, texts) if text]


def _cut_last_line(pieces: Pieces) -> tuple[tuple[Pieces, ...], Pieces]:
    if not pieces or not isinstance(pieces[-1], str) or "\n" not in pieces[-1]:
        return (), pieces
    text, _, line = pieces[-1].rpartition("\n")
    return ((*pieces[:-1], text), ("\n",)), (line,)


def _cut_first_line(pieces: Pieces) -> tuple[Pieces, tuple[Pieces, ...]]:
    if not pieces or not isinstance(pieces[0], str) or "\n" not in pieces[0]:
        return pieces, ()
    line, _, text = pieces[0].partition("\n")
    return (line,), (("\n",), (text, *pieces[1:]))


def _join(pieces: Iterable[str | Slot]) -> Pieces:
    """Leave out empty texts."""
    return tuple(piece for piece in pieces if piece != "")
