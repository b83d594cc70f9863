"""Find where a prompt's text can be tokenized in two without changing a token."""

from collections.abc import Sequence

from rerank_plugins.text.prompt.pieces import Pieces, Slot, fill
from rerank_plugins.text.tokenizer import TextTokenizer

# How texts begin and end, as far as tokenizers tell it apart: letters, digits, punctuation, white space, other
# scripts, marks that combine with what is before them, what is longer than a character, and nothing.
_EDGES = (
    *(
        "",
        "a",
        "A",
        "s",
        "ing",
        "The",
        "é",
        "中文",
        "カ",
        "ا",
        "ß",
        "1",
        "00",
        "2024",
        ".",
        "...",
        ",",
        ":",
        "'s",
        '"',
        "(",
    ),
    *(
        "-",
        "--",
        "<",
        ">",
        "=",
        "{",
        "}\n",
        "_",
        "▁",
        "/",
        "\\",
        "。",
        "🙂",
        "\u0301",
        "\u0301b",
        "\u200d",
        "\ufe0f",
        "\x00",
    ),
    *(
        " ",
        "  ",
        " a",
        "  a",
        "a ",
        "a  ",
        "\n",
        "\n\n",
        "\na",
        ".\n",
        "\r\n",
        "\t",
        " \n ",
        "\u00a0",
        "\u3000",
        "\u2028",
    ),
)
# How a query may end, which the tokens of the text behind it may depend on.
_ENDS = ("", "a", "中", "1", ".", "?", "--", ">", "_", "🙂", "\u0301", " ", "a  ", "\n", ".\n\n", "\t", "\u00a0")
# What stands in slots that are not at a seam.
_SAMPLES = {slot: f"some {slot.value}" for slot in Slot}
# Seams that are tried: the fixed text beside a slot is short, or its end is like its middle.
_TRIED = 48
_ENOUGH = 10**6


def left_seam(before: Pieces, opening: TextTokenizer, inside: TextTokenizer) -> tuple[Pieces, Pieces, TextTokenizer]:
    """Cut what stands before a document as near to it as possible.

    Args:
        before: The text between a control token and the document.
        opening: What tokenizes the text from its start.
        inside: What tokenizes text that follows other text.

    Returns:
        What is tokenized without the document, what is tokenized with it, and what tokenizes that.
    """
    *first, fixed = before or ("",)
    if not isinstance(fixed, str):
        return (), before, opening
    # A query may be any text, and the seam may be at its end.
    queries = _ENDS if first else ("",)
    for cut in range(len(fixed), max(-1, len(fixed) - _TRIED), -1):
        if cut == 0 and not first:
            break
        heads = [fill(first, _SAMPLES | {Slot.QUERY: query}) + fixed[:cut] for query in queries]
        if _is_seam(heads, [fixed[cut:] + edge for edge in _EDGES], opening, inside):
            return _text(*first, fixed[:cut]), _text(fixed[cut:]), inside
    return (), before, opening


def right_seam(behind: Pieces, lead: Pieces, opening: TextTokenizer, inside: TextTokenizer) -> tuple[Pieces, Pieces]:
    """Cut what stands behind a document as near to it as possible.

    Args:
        behind: The text between the document and the next control token.
        lead: What is tokenized with the document, before it.
        opening: What tokenizes that.
        inside: What tokenizes text that follows other text.

    Returns:
        What is tokenized with the document, and what is tokenized without it.
    """
    fixed, *rest = behind or ("",)
    if not isinstance(fixed, str):
        return behind, ()
    start = fill(lead, _SAMPLES)
    documents = [start + text for edge in _EDGES for text in (edge, f"text{edge}", f"text {edge}")]
    for cut in range(min(len(fixed), _TRIED)):
        tail = fixed[cut:] + fill(rest, _SAMPLES)
        if _is_seam([document + fixed[:cut] for document in documents], [tail], opening, inside):
            return _text(fixed[:cut]), _text(fixed[cut:], *rest)
    return behind, ()


def _is_seam(heads: Sequence[str], tails: Sequence[str], opening: TextTokenizer, inside: TextTokenizer) -> bool:
    """Tell whether all heads and all tails give the same ids apart as together."""
    if len(heads) > 1 and not _is_seam(heads[:1], tails, opening, inside):  # most places fail here, and soon
        return False
    whole = _ids(opening, [head + tail for head in heads for tail in tails])
    before, behind = _ids(opening, heads), _ids(inside, tails)
    return whole == [head + tail for head in before for tail in behind]


def _ids(tokenizer: TextTokenizer, texts: Sequence[str]) -> list[tuple[int, ...]]:
    found = tokenizer.encode(texts, enough=_ENOUGH)
    return [each.ids if text else () for text, each in zip(texts, found, strict=True)]


def _text(*pieces: str | Slot) -> Pieces:
    return tuple(piece for piece in pieces if piece != "")
