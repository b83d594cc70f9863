"""Read training pairs, and leave out what also stands in a collection that the model is judged on."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.reading.files import read_lines

# Two texts share a passage if they share this many words in a row: Brown et al., "Language Models are Few-Shot
# Learners", 2020, appendix C, tell training text from test text by the same number.
_SHINGLE = 13
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with the passage that answers it, and passages that were judged not to."""

    source: str
    query: str
    positive: str
    negatives: tuple[str, ...]


def read_pairs(file: Path) -> list[Pair]:
    """Read JSON objects with `source`, `query`, `positive` and `negatives`, one a line, plain or gzip.

    Raises:
        InvalidValueError: If a line is no such object.
    """
    pairs = []
    for number, line in enumerate(read_lines(file), start=1):
        try:
            row = json.loads(line)
            pairs.append(Pair(row["source"], row["query"], row["positive"], tuple(row["negatives"])))
        except (ValueError, KeyError, TypeError):
            raise InvalidValueError(
                f"Line {number} of '{file}' is no object with source, query, positive and negatives."
            ) from None
    return pairs


class Judged:
    """The questions and passages of the collections that the model is judged on.

    Args:
        folders: The collections, in the BEIR layout.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._questions: set[str] = set()
        self._passages: set[str] = set()
        self._shingles: set[int] = set()
        for folder in folders:
            dataset = read_dataset(folder)
            self._questions.update(_normal(text) for text in dataset.queries.values())
            for passage in dataset.passages.values():
                for text in (passage.text, passage.full_text):
                    self._passages.add(_normal(text))
                    self._shingles.update(_shingles(text))

    def has_question(self, text: str) -> bool:
        """Whether a judged question has the same words."""
        return _normal(text) in self._questions

    def has_passage(self, text: str) -> bool:
        """Whether a judged passage has the same words, or thirteen of them in a row."""
        return _normal(text) in self._passages or any(shingle in self._shingles for shingle in _shingles(text))

    def strip(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield the pairs whose question and answer are not judged ones, without negatives that are."""
        verdicts: dict[str, bool] = {}

        def judged(text: str) -> bool:
            if text not in verdicts:
                verdicts[text] = self.has_passage(text)
            return verdicts[text]

        for pair in pairs:
            if not self.has_question(pair.query) and not judged(pair.positive):
                negatives = tuple(text for text in pair.negatives if not judged(text))
                yield Pair(pair.source, pair.query, pair.positive, negatives)


def _normal(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _shingles(text: str) -> Iterator[int]:
    words = _WORD.findall(text.lower())
    for start in range(len(words) - _SHINGLE + 1):
        yield hash(tuple(words[start : start + _SHINGLE]))
