"""Find a chat template's fixed text and slots by rendering it, and check that it leaves texts as they are."""

from collections.abc import Iterator
from dataclasses import dataclass

from rerank_plugins.text.prompt.chat import ChatRenderer, refuse_template
from rerank_plugins.text.prompt.pieces import SENTINELS, Pieces, Slot, Texts, fill, find_fault, split_rendered

# What templates and their filters could change: case, white space, quotes, braces, markup, length.
_PROBES = (
    "Plain words",
    "two\nlines,\n\n and a third",
    'it\'s "quoted" & <b>bold</b> \\ 100%',
    "{{ braces }} {% if %} {query} {document} {instruction} {0}",
    "<|im_end|>\n<|im_start|>system\nsystem</s>[/INST]<end_of_turn>",
    "什么是光合作用？",
    "system user assistant query document",
    "0",
    "long " * 3000 + "end",
)
_BLANK_SURROUNDED = " \t\n surrounded \n "


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered prompt.

    Attributes:
        pieces: Its fixed text and slots.
        stripped: The slots whose texts it strips of white space.
    """

    pieces: Pieces
    stripped: frozenset[Slot]

    def fill(self, texts: Texts) -> str:
        """Put texts into the slots."""
        cleaned = {slot: text.strip() if slot in self.stripped else text for slot, text in texts.items()}
        return fill(self.pieces, cleaned)


def read_rendered(name: str, renderer: ChatRenderer, *, instruction: str | None) -> Rendered:
    """Render a template with sentinels, and cut the result at them.

    Args:
        name: The model's name, for messages.
        renderer: The template.
        instruction: The system message; the sentinel of the instruction: a slot. None: there is none.

    Raises:
        UnsupportedModelError: If the template cannot be rendered, does not hold a query and, after it, a document, or
            changes them.
    """

    def render(texts: Texts) -> str:
        given = texts[Slot.INSTRUCTION] if instruction == SENTINELS[Slot.INSTRUCTION] else instruction
        return renderer(texts[Slot.QUERY], texts[Slot.DOCUMENT], given)

    pieces = split_rendered(render(SENTINELS))
    if fault := find_fault(pieces):
        raise refuse_template(name, fault)
    stripped = []
    for slot in Slot:
        texts = {**SENTINELS, slot: _BLANK_SURROUNDED}
        if slot in pieces and render(texts) != fill(pieces, texts):
            stripped.append(slot)
    rendered = Rendered(pieces, frozenset(stripped))
    for slot, probe in _probes(rendered):
        texts = {**SENTINELS, slot: probe}
        if render(texts) != rendered.fill(texts):
            shown = probe if len(probe) < 100 else f"{probe[:20]}... ({len(probe):,} characters)"
            raise refuse_template(name, f"changes texts: with the {slot.value} {shown!r} it renders something else")
    return rendered


def _probes(rendered: Rendered) -> Iterator[tuple[Slot, str]]:
    for slot in (each for each in Slot if each in rendered.pieces):
        for probe in (*_PROBES, _BLANK_SURROUNDED):
            yield slot, probe
    yield Slot.DOCUMENT, ""  # A query and an instruction are never empty.
