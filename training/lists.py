"""Build candidate lists for training: the answer among candidates like those of a first stage."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.first_stage import retrieve_with_bm25
from rerank_plugins.reading.passages import Passage
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.text.tokenizer import TextTokenizer
from training.pairs import Pair
from training.settings import ListSettings

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Lists:
    """Training lists as token ids: everything that training needs, in one file of a few MB.

    Attributes:
        queries: Token ids of each question, without special tokens.
        documents: Token ids of each passage.
        members: Rows of each list's documents, of shape (lists, size); list i belongs to question i.
        answers: Whether each member is an answer, of the same shape.
        cosines: The bi-encoder's cosines, of the same shape.
        sources: The source of each question.
    """

    queries: list[NDArray[np.uint16]]
    documents: list[NDArray[np.uint16]]
    members: Ints
    answers: NDArray[np.bool_]
    cosines: NDArray[np.float16]
    sources: NDArray[np.str_]

    def save(self, file: Path) -> None:
        """Write the lists to a `.npz` file atomically."""
        part = file.with_name(f"{file.name}.part.npz")
        np.savez_compressed(
            part,
            **_packed("queries", self.queries),
            **_packed("documents", self.documents),
            members=self.members,
            answers=self.answers,
            cosines=self.cosines,
            sources=self.sources,
        )
        part.replace(file)

    @classmethod
    def load(cls, file: Path) -> "Lists":
        """Read what `save` wrote."""
        with np.load(file, allow_pickle=False) as arrays:
            return cls(
                _unpacked(arrays["queries"], arrays["queries_ends"]),
                _unpacked(arrays["documents"], arrays["documents_ends"]),
                arrays["members"],
                arrays["answers"],
                arrays["cosines"],
                arrays["sources"],
            )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The texts of the questions that lists are built for, and of the passages.

    Attributes:
        questions: Unique questions, in the order of the lists.
        sources: The source of each question.
        passages: The pool that candidates are drawn from.
        answers: The pool indices of each question's answers.
        rejected: The pool indices of the passages judged not to answer each question.
    """

    questions: list[str]
    sources: list[str]
    passages: list[str]
    answers: list[list[int]]
    rejected: list[list[int]]


def choose(pairs: Sequence[Pair], settings: ListSettings) -> Chosen:
    """Draw questions from each source, and pool their passages."""
    generator = np.random.default_rng(settings.seed)
    by_question: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        by_question[pair.source][pair.query].append(pair)
    chosen: list[list[Pair]] = []
    for source, count in settings.questions.items():
        questions = list(by_question[source].values())
        places = generator.permutation(len(questions))[:count]
        chosen.extend(questions[place] for place in places)
    places_of: dict[str, int] = {}

    def place_of(text: str) -> int:
        return places_of.setdefault(text, len(places_of))

    answers = [sorted({place_of(pair.positive) for pair in group}) for group in chosen]
    rejected = [sorted({place_of(text) for pair in group for text in pair.negatives[:_REJECTED]}) for group in chosen]
    return Chosen(
        [group[0].query for group in chosen], [group[0].source for group in chosen], list(places_of), answers, rejected
    )


# Maximum number of judged negatives per question: they all come from one article.
_REJECTED = 4


def mine(chosen: Chosen, settings: ListSettings, tokenizer: TextTokenizer, encoder: BiEncoder) -> Lists:
    """Build a list for each question: its answer, near candidates of two first stages, mid-ranked and random ones.

    Raises:
        InvalidValueError: If the pool has too few passages to fill a list without the question's other answers.
    """
    needed = settings.size - 1 + max(map(len, chosen.answers))
    if len(chosen.passages) < needed:
        raise InvalidValueError(f"Lists of {settings.size} need {needed} passages, got {len(chosen.passages)}.")
    generator = np.random.default_rng(settings.seed)
    passages = [Passage(str(place), "", text) for place, text in enumerate(chosen.passages)]
    questions = {str(place): text for place, text in enumerate(chosen.questions)}
    by_words = retrieve_with_bm25(Dataset("pool", {each.id: each for each in passages}, questions, {}, None), 30)
    pool, vectors = encoder.encode(chosen.passages), encoder.encode(chosen.questions)
    members = np.empty((len(chosen.questions), settings.size), dtype=np.int32)
    answers = np.zeros(members.shape, dtype=np.bool_)
    cosines = np.zeros(members.shape, dtype=np.float16)
    for row, vector in enumerate(vectors):
        similar = pool @ vector
        by_meaning = np.argsort(-similar)[: settings.middle_depth].tolist()
        words = [int(place) for place in by_words[str(row)]]
        members[row], answers[row] = _fill(row, chosen, settings, by_meaning, words, generator)
        cosines[row] = similar[members[row]]
    return Lists(
        _ids(tokenizer, chosen.questions, settings.query_tokens),
        _ids(tokenizer, chosen.passages, settings.document_tokens),
        members,
        answers,
        cosines,
        np.array(chosen.sources),
    )


def _fill(
    row: int,
    chosen: Chosen,
    settings: ListSettings,
    by_meaning: list[int],
    by_words: list[int],
    generator: np.random.Generator,
) -> tuple[list[int], list[bool]]:
    answers = chosen.answers[row]
    taken = [int(generator.choice(answers))]
    excluded = set(answers)

    def take(places: Sequence[int], count: int) -> None:
        free = [place for place in places if place not in excluded]
        drawn = [free[each] for each in generator.permutation(len(free))[:count]]
        taken.extend(drawn)
        excluded.update(drawn)

    # Candidates that the bi-encoder already ranks below the answer teach nothing, so the nearest come first.
    take(chosen.rejected[row] + by_meaning[: settings.near_depth], settings.near)
    take(by_words[: settings.near_depth], settings.near)
    take(by_meaning[settings.near_depth :], settings.middle)
    while len(taken) < settings.size:
        take([int(generator.integers(len(chosen.passages)))], 1)
    return taken, [place in answers for place in taken]


def _ids(tokenizer: TextTokenizer, texts: Sequence[str], limit: int) -> list[NDArray[np.uint16]]:
    return [np.array(each.ids[:limit], dtype=np.uint16) for each in tokenizer.encode(texts, enough=limit)]


def _packed(name: str, rows: list[NDArray[np.uint16]]) -> dict[str, Any]:
    return {name: np.concatenate(rows), f"{name}_ends": np.cumsum([len(row) for row in rows])}


def _unpacked(values: NDArray[np.uint16], ends: NDArray[np.int64]) -> list[NDArray[np.uint16]]:
    return np.split(values, ends[:-1])
