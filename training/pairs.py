"""Read training pairs, and drop those that also appear in an evaluation collection."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.reading.files import read_lines

# Two texts overlap if they share this many consecutive words. Brown et al., "Language Models are Few-Shot Learners",
# 2020, appendix C, use the same number to find test text in training text.
_SHINGLE = 13
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, the passage that answers it, and passages that were judged not to answer it."""

    source: str
    query: str
    positive: str
    negatives: tuple[str, ...]


def read_pairs(file: Path) -> list[Pair]:
    """Read JSON objects with `source`, `query`, `positive` and `negatives`, one per line, plain or gzip.

    Raises:
        InvalidValueError: If a line is not such an object.
    """
    pairs = []
    for number, line in enumerate(read_lines(file), start=1):
        try:
            row = json.loads(line)
            pairs.append(Pair(row["source"], row["query"], row["positive"], tuple(row["negatives"])))
        except (ValueError, KeyError, TypeError):
            raise InvalidValueError(
                f"Line {number} of '{file}' is not a JSON object with source, query, positive and negatives."
            ) from None
    return pairs


class Judged:
    """The questions and passages of the evaluation collections.

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
        """Return whether a question of a collection has the same words."""
        return _normal(text) in self._questions

    def has_passage(self, text: str) -> bool:
        """Return whether a passage of a collection has the same words, or thirteen of them in a row."""
        return _normal(text) in self._passages or any(shingle in self._shingles for shingle in _shingles(text))

    def strip(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield the pairs whose question and answer are in no collection, without negatives that are in one."""
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
