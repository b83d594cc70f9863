"""Tell which texts are in a language that a model cannot read, whether or not its vocabulary can spell them."""

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from rerank_plugins.errors import UnreadableTextWarning
from rerank_plugins.text.function_words import FUNCTION_WORDS, LETTERS
from rerank_plugins.text.languages import LANGUAGES, language_code, name_of_script
from rerank_plugins.text.scripts import main_script, scripts_of_vocabulary

# How many characters are examined: the whole text, or its beginning and its middle.
_SAMPLE = 400
_BEYOND_LATIN = re.compile("[\u0370-\u1dff\u2c00-\U0010ffff]")
_WORD = re.compile(r"[^\W\d_]+")
# Shorter texts are often names or terms: "de novo protein design".
_MIN_WORDS = 5
# A text is in another language if that language's own words make up this share of it, with two different ones ...
_MIN_SHARE = 0.2
_MIN_DISTINCT = 2
# ... and outnumber the words of the model's languages this many times.
_MIN_RATIO = 4
# Without any word of the model's languages alone, words of both ("was", "die") count too, and more are required.
_MIN_SHARE_WITH_SHARED = 0.3
_MIN_WITH_SHARED = 3
# Above this share of words that only the model's languages have, a text is theirs. English prose has about a third.
_MAX_OWN = 0.15

# Models that read more scripts than this are multilingual.
_MANY_SCRIPTS = 4
_REMEDY = "BAAI/bge-reranker-v2-m3"


@dataclass(frozen=True, slots=True)
class Readable:
    """What a model can read.

    Attributes:
        languages: The languages that it declares, by ISO 639-1 code; None where it declares none.
        scripts: The scripts that it reads; None for all.
    """

    languages: tuple[str, ...] | None
    scripts: frozenset[str] | None


class LanguageCheck:
    """Finds texts in languages that a model cannot read.

    A text's script decides first. Within the Latin script, languages are told apart by function words and by letters
    such as "ß", for models that declare theirs. Languages that share another script, such as Russian and Ukrainian, are
    not told apart. At most 400 characters of a text are examined: 50 English texts take about 0.6 ms, 50 German ones
    3 ms. Threads may share a check.

    Args:
        vocabulary: The model's tokenizer or its vocabulary, which decides which scripts the model reads if it declares
            no languages.
        languages: The languages that the model declares, as ISO 639-1 codes or language tags ("en", "pt-BR").

    Example:
        >>> check = LanguageCheck({}, ["en"])
        >>> check.unreadable("столица Франции")
        'Cyrillic script'
        >>> check.unreadable("Wo liegt die Hauptstadt von Frankreich?")
        'German'
        >>> check.unreadable("d41d8cd98f00b204e9800998ecf8427e") is None
        True
    """

    def __init__(self, vocabulary: Tokenizer | Mapping[str, int], languages: Sequence[str] | None = None) -> None:
        self.readable = _readable(vocabulary, languages)
        self._words = None if languages is None else _LatinCheck.of(self.readable.languages or ())
        self._warned: set[str] = set()

    def unreadable(self, text: str) -> str | None:
        """Name the language or the script of a text that the model cannot read.

        Returns:
            A name for people, such as "Chinese", "Cyrillic script" or "German". None where the model reads the text,
            or where the text has too few letters or words to tell.
        """
        sample = _sample(text)
        script = main_script(sample) if _BEYOND_LATIN.search(sample) else "Latin"
        if script == "Latin":
            return None if self._words is None else self._words.foreign(sample)
        if script is None or self.readable.scripts is None or script in self.readable.scripts:
            return None
        return name_of_script(script)

    def warn(self, model: str, found: Mapping[str, int]) -> None:
        """Warn of texts that the model cannot read, the first time that a language occurs.

        Args:
            model: The model's name.
            found: The number of texts in each language.
        """
        new = {language: count for language, count in found.items() if language not in self._warned}
        if new:
            self._warned.update(new)
            warnings.warn(unreadable_message(model, new, self.readable), UnreadableTextWarning, stacklevel=2)


class _LatinCheck:
    """Tells languages in Latin script from those that a model declares.

    Args:
        languages: The declared ones, all of them in `FUNCTION_WORDS` or in another script.
    """

    def __init__(self, languages: Collection[str]) -> None:
        self._own = frozenset[str]().union(*(FUNCTION_WORDS.get(code, ()) for code in languages))
        others = [code for code in FUNCTION_WORDS if code not in languages]
        self._languages_of = _index({code: FUNCTION_WORDS[code] - self._own for code in others})
        self._own_alone = self._own.difference(*(FUNCTION_WORDS[code] for code in others))
        own_letters = frozenset[str]().union(*(LETTERS.get(code, ()) for code in languages))
        self._languages_with = _index({code: LETTERS[code] - own_letters for code in others})

    @classmethod
    def of(cls, languages: Collection[str]) -> "_LatinCheck | None":
        """Make the check, unless a declared language has no word list: its texts could be taken for another one."""
        latin = [code for code in languages if code not in LANGUAGES or "Latin" in LANGUAGES[code].scripts]
        return cls(languages) if FUNCTION_WORDS.keys() >= set(latin) else None

    def foreign(self, text: str) -> str | None:
        """Name the language of a text in Latin script, where it is not one of the model's."""
        if self._is_own(text):
            return None
        words = _WORD.findall(unicodedata.normalize("NFC", text))
        if len(words) < _MIN_WORDS:
            return None
        counts = Counter(word.lower() for word in words)
        found = self._evidence(words, counts)
        if not found:
            return None
        # Of equals the one of more function words, then the first in the table.
        code = max(
            filter(found.__contains__, FUNCTION_WORDS),
            key=lambda code: (_count(found[code], counts), len(found[code] & FUNCTION_WORDS[code])),
        )
        shared = FUNCTION_WORDS[code].intersection(counts) & self._own
        own = _count(self._own.intersection(counts) - shared, counts)
        count = _count(found[code], counts)
        enough = len(found[code]) >= _MIN_DISTINCT and count >= max(_MIN_SHARE * len(words), _MIN_RATIO * own)
        if own == 0:
            count += _count(shared, counts)
            enough |= count >= max(_MIN_WITH_SHARED, _MIN_SHARE_WITH_SHARED * len(words))
        return LANGUAGES[code].name if enough else None

    def _is_own(self, text: str) -> bool:
        """Recognize most texts in the model's languages quickly, without examining every word."""
        words = text.lower().replace("'", " ").replace("’", " ").split()
        own = sum(map(self._own_alone.__contains__, words))
        return own > _MAX_OWN * len(words) or (text.isascii() and self._languages_of.keys().isdisjoint(words))

    def _evidence(self, words: Sequence[str], counts: Collection[str]) -> dict[str, set[str]]:
        """Collect, for each other language, the words that are its function words or spelled with its letters."""
        # Names keep their foreign spelling in English, so capitalized words do not count.
        spelled = {word for word in words if not word.isascii() and word[0].islower()}
        found: dict[str, set[str]] = {}
        for word in counts:
            languages = set(self._languages_of.get(word, ()))
            if word in spelled:
                languages.update(*map(self._languages_with.__getitem__, self._languages_with.keys() & word))
            for code in languages:
                found.setdefault(code, set()).add(word)
        return found


def _count(words: Collection[str], counts: Counter[str]) -> int:
    return sum(counts[word] for word in words)


def _index(sets: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Turn languages' words, or letters, into words' languages."""
    languages: dict[str, list[str]] = {}
    for code, words in sets.items():
        for word in words:
            languages.setdefault(word, []).append(code)
    return languages


def unreadable_message(model: str, found: Mapping[str, int], readable: Readable) -> str:
    """Say how many texts are in languages that a model cannot read, and what to do.

    Args:
        model: The model's name.
        found: How many texts are in each language, by the names that `LanguageCheck.unreadable` gives.
        readable: What the model reads.

    Example:
        >>> message = unreadable_message("embedded", {"German": 3}, Readable(("en",), frozenset({"Latin"})))
        >>> print(message)  # doctest: +NORMALIZE_WHITESPACE
        3 texts are in German, which 'embedded' does not read (it reads English). Their scores mean little. Use a
        multilingual model such as BAAI/bge-reranker-v2-m3.
    """
    texts = sum(found.values())
    ordered = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    languages = ordered[0][0] if len(ordered) == 1 else _listed([f"{name} ({count})" for name, count in ordered])
    subject, scores = ("1 text is", "Its score means") if texts == 1 else (f"{texts} texts are", "Their scores mean")
    if readable.languages is None:
        reason = f"which the vocabulary of '{model}' does not cover"
    else:
        names = [LANGUAGES[code].name if code in LANGUAGES else code for code in readable.languages]
        reason = f"which '{model}' does not read (it reads {_listed(names)})"
    # A model of many scripts is a multilingual one already, and another would read no more.
    is_multilingual = readable.scripts is not None and len(readable.scripts) > _MANY_SCRIPTS
    remedy = (
        f"model trained on {_listed(sorted(found))}" if is_multilingual else f"multilingual model such as {_REMEDY}"
    )
    return f"{subject} in {languages}, {reason}. {scores} little. Use a {remedy}."


def _readable(vocabulary: Tokenizer | Mapping[str, int], languages: Sequence[str] | None) -> Readable:
    codes = None if languages is None else tuple(map(language_code, languages))
    if codes is None or not LANGUAGES.keys() >= set(codes):
        pieces = vocabulary.get_vocab() if isinstance(vocabulary, Tokenizer) else vocabulary
        return Readable(codes, scripts_of_vocabulary(pieces))
    return Readable(codes, frozenset(script for code in codes for script in LANGUAGES[code].scripts))


def _sample(text: str) -> str:
    if len(text) <= _SAMPLE:
        return text
    half, middle = _SAMPLE // 2, len(text) // 2
    return f"{text[:half]} {text[middle : middle + half]}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
