"""Make candidate lists for training: the answer among what a first stage would hand over beside it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.scoring.tokenization import TextTokenizer
from training.batches import Ids, Texts
from training.neighbours import Places, near_in_meaning, near_in_words
from training.pairs import Pair
from training.settings import ListSettings

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Lists:
    """Training lists, as token ids: all that training needs, in one file of a few MB.

    Attributes:
        queries: Token ids of each question, without special tokens.
        documents: Token ids of each passage.
        members: Documents of each list by place, of shape (lists, size); list i belongs to question i.
        answers: Which members answer, of the same shape; none in a list that nobody has judged.
    """

    queries: list[Ids]
    documents: list[Ids]
    members: Ints
    answers: NDArray[np.bool_]

    def save(self, file: Path) -> None:
        """Write the lists to a `.npz` file, at once or not at all."""
        part = file.with_name(f"{file.name}.part.npz")
        np.savez_compressed(
            part,
            **_packed("queries", self.queries),
            **_packed("documents", self.documents),
            members=self.members,
            answers=self.answers,
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
            )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The questions that lists are made for, as text.

    Attributes:
        questions: The questions, each once, in the order of the lists.
        passages: The pool that candidates come from.
        answers: For each question the places of its answers in the pool, or of what was written for it.
        rejected: For each question the places of passages that were judged not to answer it.
        typed: How many of the questions people typed into a search engine; they come first.
        judged: How many of the questions have answers that somebody has judged; the typed ones, and those that follow.
    """

    questions: list[str]
    passages: list[str]
    answers: list[list[int]]
    rejected: list[list[int]]
    typed: int
    judged: int


def choose(pairs: Sequence[Pair], settings: ListSettings) -> Chosen:
    """Draw questions from each source, and pool their passages."""
    generator = np.random.default_rng(settings.seed)
    by_question: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        by_question[pair.source][pair.query].append(pair)
    chosen: list[list[Pair]] = []
    for source, count in sorted(settings.questions.items(), key=lambda item: item[0] not in TYPED):
        questions = list(by_question[source].values())
        places = generator.permutation(len(questions))[:count]
        chosen.extend(questions[place] for place in places)
    places_of: dict[str, int] = {}

    def place_of(text: str) -> int:
        return places_of.setdefault(text, len(places_of))

    answers = [sorted({place_of(pair.positive) for pair in group}) for group in chosen]
    rejected = [sorted({place_of(text) for pair in group for text in pair.negatives[:_REJECTED]}) for group in chosen]
    typed = sum(group[0].source in TYPED for group in chosen)
    return Chosen(
        [group[0].query for group in chosen], list(places_of), answers, rejected, typed=typed, judged=len(chosen)
    )


# Sources whose questions people typed into a search engine.
TYPED = ("boolq_dev", "clapnq_train")
# Judged negatives taken for a question at most: they all come from one article.
_REJECTED = 4


def joined(chosen: Chosen, written: Sequence[tuple[str, Sequence[str]]]) -> Chosen:
    """Add questions with the passages that were written for them, which nobody has judged."""
    passages, own = list(chosen.passages), []
    for _, texts in written:
        own.append(list(range(len(passages), len(passages) + len(texts))))
        passages.extend(texts)
    return Chosen(
        [*chosen.questions, *(question for question, _ in written)],
        passages,
        [*chosen.answers, *own],
        [*chosen.rejected, *([] for _ in written)],
        typed=chosen.typed,
        judged=chosen.judged,
    )


def mine(chosen: Chosen, settings: ListSettings, tokenizer: TextTokenizer, bi_encoder: Path, device: str) -> Lists:
    """Fill a list for each question: its answer, near candidates of two first stages, middling and random ones.

    Args:
        chosen: The questions and passages.
        settings: What a list holds.
        tokenizer: The student's.
        bi_encoder: The folder of a BERT that embeds by the mean of its states; it finds what is near in meaning.
        device: Where it runs.

    Raises:
        InvalidValueError: If the pool has fewer passages than a list, and the answers beside it, need.
    """
    needed = settings.size - 1 + max(map(len, chosen.answers))
    if len(chosen.passages) < needed:
        raise InvalidValueError(f"Lists of {settings.size} need {needed} passages, got {len(chosen.passages)}.")
    generator = np.random.default_rng(settings.seed)
    queries = _ids(tokenizer, chosen.questions, settings.query_tokens)
    documents = _ids(tokenizer, chosen.passages, settings.document_tokens)
    texts = Texts(queries, device), Texts(documents, device)
    by_meaning = near_in_meaning(*texts, bi_encoder, min(settings.middle_depth, len(documents)))
    by_words = near_in_words(*texts, min(settings.near_depth + _SPARE, len(documents)))
    members = np.empty((len(chosen.questions), settings.size), dtype=np.int32)
    answers = np.zeros(members.shape, dtype=np.bool_)
    for row in range(len(members)):
        members[row], answers[row] = _fill(row, chosen, settings, by_meaning[row], by_words[row], generator)
    return Lists(queries, documents, members, answers)


# Candidates beyond the depth, in place of those that answer.
_SPARE = 8


def _fill(
    row: int, chosen: Chosen, settings: ListSettings, meaning: Places, words: Places, generator: np.random.Generator
) -> tuple[list[int], list[bool]]:
    answers = chosen.answers[row]
    taken = [int(generator.choice(answers))]
    excluded = set(answers)
    by_meaning, by_words = meaning.tolist(), words.tolist()

    def take(places: Sequence[int], count: int) -> None:
        free = [place for place in places if place not in excluded]
        drawn = [free[each] for each in generator.permutation(len(free))[:count]]
        taken.extend(drawn)
        excluded.update(drawn)

    if row >= chosen.judged:  # What was written for a question is no answer yet: all of it may be a candidate.
        excluded = set(taken)
    # What the bi-encoder already ranks below the answer teaches nothing: the nearest ones come first.
    take(chosen.rejected[row] + by_meaning[: settings.near_depth], settings.near)
    take(by_words[: settings.near_depth], settings.near)
    take(by_meaning[settings.near_depth :], settings.middle)
    while len(taken) < settings.size:
        take([int(generator.integers(len(chosen.passages)))], 1)
    return taken, [row < chosen.judged and place in answers for place in taken]


def _ids(tokenizer: TextTokenizer, texts: Sequence[str], limit: int) -> list[Ids]:
    return [np.array(each.ids[:limit], dtype=np.uint16) for each in tokenizer.encode(texts, enough=limit)]


def _packed(name: str, rows: list[Ids]) -> dict[str, Any]:
    return {name: np.concatenate(rows), f"{name}_ends": np.cumsum([len(row) for row in rows])}


def _unpacked(values: Ids, ends: NDArray[np.int64]) -> list[Ids]:
    return np.split(values, ends[:-1])
