"""The writing systems of a text, and those that a vocabulary holds enough of to be read."""

from collections.abc import Collection
from functools import cache

import numpy as np
import numpy.typing as npt

# Ranges of letters (Unicode, Scripts.txt), without digits and punctuation where a block keeps them together.
_RANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "Latin": (
        (0x41, 0x5A),
        (0x61, 0x7A),
        (0xC0, 0xD6),
        (0xD8, 0xF6),
        (0xF8, 0x24F),
        (0x1E00, 0x1EFF),
        (0xFF21, 0xFF5A),
    ),
    "Greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrillic": ((0x400, 0x52F),),
    "Armenian": ((0x531, 0x587),),
    "Hebrew": ((0x591, 0x5F4),),
    "Arabic": ((0x620, 0x65F), (0x66E, 0x6D3), (0x750, 0x77F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC)),
    "Devanagari": ((0x900, 0x963),),
    "Bengali": ((0x980, 0x9E3),),
    "Gurmukhi": ((0xA00, 0xA65),),
    "Gujarati": ((0xA80, 0xAE3),),
    "Odia": ((0xB00, 0xB63),),
    "Tamil": ((0xB80, 0xBE3),),
    "Telugu": ((0xC00, 0xC63),),
    "Kannada": ((0xC80, 0xCE3),),
    "Malayalam": ((0xD00, 0xD63),),
    "Sinhala": ((0xD80, 0xDDF),),
    "Thai": ((0xE01, 0xE4E),),
    "Lao": ((0xE81, 0xECD),),
    "Tibetan": ((0xF40, 0xFBC),),
    "Burmese": ((0x1000, 0x103F),),
    "Georgian": ((0x10A0, 0x10FF),),
    "Hangul": ((0x1100, 0x11FF), (0x3131, 0x318E), (0xAC00, 0xD7FF)),
    "Ethiopic": ((0x1200, 0x135F),),
    "Khmer": ((0x1780, 0x17D3),),
    "Mongolian": ((0x1820, 0x18AA),),
    "Kana": ((0x3041, 0x3096), (0x30A1, 0x30FA), (0xFF66, 0xFF9D)),
    "Han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)),
}
SCRIPTS = tuple(_RANGES)
_NAMES = (None, *SCRIPTS)
# A character of these writes a syllable or a word, where an alphabet needs two or three letters.
_WEIGHTS = np.array([0 if name is None else {"Han": 3, "Hangul": 2, "Kana": 2}.get(name, 1) for name in _NAMES])
# Fewer letters say nothing: "π", "5 μm", a name of three letters.
_MIN_LETTERS = 4
# Japanese writes its grammar in Kana between Han characters; a Chinese text has none.
_KANA_OF_JAPANESE = 0.1

# Pieces of two letters and more, of a script that is read. BERT's English vocabulary holds 8 of Cyrillic; XLM-RoBERTa's
# at least 1,500 of each script that it was trained on.
_MIN_PIECES = 100
# Distinct characters. BERT's English vocabulary holds under 300 of Han; XLM-RoBERTa's 7,690.
_MIN_HAN = 1000
# A vocabulary that falls back to bytes and covers more scripts than this is multilingual. It can read a script that it
# holds few pieces of, as Qwen3's does Greek.
_MANY_SCRIPTS = 3
# Smaller vocabularies consist of characters, or belong to a test model.
_MIN_VOCABULARY = 1000


@cache
def _table() -> npt.NDArray[np.uint8]:
    table = np.zeros(_RANGES["Han"][-1][1] + 2, np.uint8)
    for number, ranges in enumerate(_RANGES.values(), start=1):
        for first, last in ranges:
            table[first : last + 1] = number
    return table


_HAN, _KANA, _GREEK = (_NAMES.index(name) for name in ("Han", "Kana", "Greek"))


def main_script(text: str) -> str | None:
    """Name the script that most of a text's letters belong to; None where there are too few letters to say.

    A Han character counts as three letters, a Kana or Hangul as two, since they write as much. Han with Kana between is
    "Kana", for Japanese. Greek letters that stand alone are symbols.

    Example:
        >>> main_script("столица Франции"), main_script("5 μm"), main_script("東京の天気")
        ('Cyrillic', None, 'Kana')
    """
    scripts = _scripts(_characters(text))
    letters = np.bincount(scripts, minlength=len(_NAMES)) * _WEIGHTS
    if letters[_GREEK]:
        letters[_GREEK] = _in_words(scripts, _GREEK)
    if letters[_KANA] > _KANA_OF_JAPANESE * letters[_HAN]:
        letters[_KANA] += letters[_HAN]
    most = int(letters.argmax())
    return _NAMES[most] if letters[most] >= _MIN_LETTERS else None


def _characters(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _scripts(characters: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    return _table().take(characters, mode="clip")


def _in_words(scripts: npt.NDArray[np.uint8], script: int) -> int:
    """Count a script's letters that stand in words of three letters and more."""
    own = scripts == script
    middle = own[:-2] & own[1:-1] & own[2:]
    in_words = np.zeros_like(own)
    for place in range(3):
        in_words[place : place + len(middle)] |= middle
    return int(in_words.sum())


def scripts_of_vocabulary(pieces: Collection[str]) -> frozenset[str] | None:
    """Tell which scripts a vocabulary can read, by the words and syllables that it holds of each.

    Single letters do not count: English vocabularies hold the alphabets of many languages and read none of them.

    Args:
        pieces: All of a vocabulary's pieces, in any of the usual forms ("##ing", "▁the", "Ġthe", "the</w>").

    Returns:
        Their names, as `main_script` gives them; None for all, where the vocabulary does not tell.
    """
    if len(pieces) < _MIN_VOCABULARY:
        return None
    in_bytes = sum(piece.startswith("Ġ") for piece in pieces) > len(pieces) / 20
    characters = _characters("\n".join(map(_from_bytes, pieces) if in_bytes else pieces))
    scripts = _scripts(characters)
    words = _count_words(scripts)
    held = {name for name, count in zip(_NAMES, words, strict=True) if name and count >= _MIN_PIECES} - {"Han"}
    if np.unique(characters[scripts == _HAN]).size >= _MIN_HAN:
        held.add("Han")
    spells_all = in_bytes or "<0x00>" in pieces
    return None if spells_all and len(held) > _MANY_SCRIPTS else frozenset(held | {"Latin"})


def _count_words(scripts: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Count, for each script, the runs of two letters and more."""
    same = (scripts[1:] == scripts[:-1]) & (scripts[1:] > 0)
    first = same.copy()
    first[1:] &= ~same[:-1]
    return np.bincount(scripts[1:][first], minlength=len(_NAMES))


def _byte_letters() -> dict[int, int]:
    """Map the characters that byte-level vocabularies write bytes as to the bytes (GPT-2, `bytes_to_unicode`)."""
    as_they_are = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in as_they_are]
    return {0x100 + place: byte for place, byte in enumerate(others)}


_BYTES = _byte_letters()


def _from_bytes(piece: str) -> str:
    try:
        # Pieces that begin or end inside of a character lose its bytes.
        return piece.translate(_BYTES).encode("latin-1").decode("utf-8", "ignore")
    except UnicodeEncodeError:  # an added token, which is not written in bytes
        return piece
