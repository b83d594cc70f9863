"""Read judged questions: a folder in the BEIR layout, plain or gzip."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.retrieval.passages import Passage, read_lines, read_passages

# Ranked documents of each question: query id to document ids, best first.
Run = dict[str, list[str]]
# Judgements of each question: query id to document id to grade, 0 for not relevant.
Qrels = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A collection with judged questions.

    Attributes:
        name: The folder's name.
        passages: The documents by id.
        queries: The judged questions: text by id.
        qrels: The judgements.
        candidates: A first stage's own lists, where the folder brings them.
    """

    name: str
    passages: dict[str, Passage]
    queries: dict[str, str]
    qrels: Qrels
    candidates: Run | None

    def sample(self, count: int | None, *, seed: int) -> "Dataset":
        """Return the dataset with `count` of its questions, drawn with a seed; all of them for None."""
        if count is None or count >= len(self.queries):
            return self
        chosen = sorted(np.random.default_rng(seed).choice(sorted(self.queries), size=count, replace=False).tolist())
        return replace(
            self,
            queries={query_id: self.queries[query_id] for query_id in chosen},
            qrels={query_id: self.qrels[query_id] for query_id in chosen},
        )


def read_dataset(folder: Path) -> Dataset:
    """Read `corpus.jsonl`, `queries.jsonl` and `qrels.tsv` (or `qrels/test.tsv`), and a first stage's own lists.

    The lists are in `candidates.jsonl` or, as a TREC run, in `candidates.trec`, if there are any. Every file may be
    compressed (`.gz`). Questions without a judgement are left out; judged documents that are not in the corpus still
    count for recall and for the ideal ranking, as in trec_eval.

    Raises:
        InvalidValueError: If a file is missing or broken, or a judged question or a candidate is not among the others.

    Examples:
        >>> read_dataset(Path("examples/data/nq_open_gold")).queries["q0"]
        'who got the first nobel prize in physics'
    """
    if not folder.is_dir():
        raise InvalidValueError(f"There is no folder '{folder}'. It needs corpus.jsonl, queries.jsonl and qrels.tsv.")
    passages = {passage.id: passage for passage in read_passages(_find(folder, "corpus.jsonl"))}
    questions = {passage.id: passage.text for passage in read_passages(_find(folder, "queries.jsonl"))}
    qrels = _read_qrels(_find(folder, "qrels.tsv", "qrels/test.tsv"))
    if unknown := sorted(qrels.keys() - questions.keys()):
        raise InvalidValueError(
            f"'{folder}' judges {len(unknown)} questions that it does not have, such as {unknown[0]!r}."
        )
    candidates = _read_candidates(folder, passages)
    return Dataset(folder.name, passages, {query_id: questions[query_id] for query_id in qrels}, qrels, candidates)


def _find(folder: Path, *names: str) -> Path:
    for name in names:
        for file in (folder / name, folder / f"{name}.gz"):
            if file.is_file():
                return file
    raise InvalidValueError(f"'{folder}' holds no {' or '.join(names)}, plain or .gz.")


def _read_qrels(file: Path) -> Qrels:
    qrels: Qrels = {}
    for number, row in enumerate(csv.reader(read_lines(file), delimiter="\t"), start=1):
        if number == 1 and not row[-1].lstrip("-").isdigit():
            continue  # BEIR's header: query-id, corpus-id, score
        try:
            query_id, document_id, grade = row
            qrels.setdefault(query_id, {})[document_id] = int(grade)
        except ValueError:
            raise InvalidValueError(
                f"Line {number} of '{file}' is not a question, a document and a whole-number grade between tabs: {row}."
            ) from None
    if not qrels:
        raise InvalidValueError(f"'{file}' holds no judgements.")
    return qrels


def _read_candidates(folder: Path, passages: dict[str, Passage]) -> Run | None:
    try:
        file = _find(folder, "candidates.jsonl", "candidates.trec")
    except InvalidValueError:
        return None
    run = _parse_trec(file) if ".trec" in file.suffixes else _parse_objects(file)
    for query_id, document_ids in run.items():
        if unknown := [each for each in document_ids if each not in passages]:
            raise InvalidValueError(
                f"'{file}' lists {unknown[0]!r} for question {query_id!r}, and the corpus has no such document."
            )
    return run


def _parse_objects(file: Path) -> Run:
    run: Run = {}
    for number, line in enumerate(read_lines(file), start=1):
        try:
            row: Any = json.loads(line)
            run[str(row["query_id"])] = [str(document_id) for document_id in row["doc_ids"]]
        except (ValueError, KeyError, TypeError):
            raise InvalidValueError(f"Line {number} of '{file}' is no object with query_id and doc_ids.") from None
    return run


def _parse_trec(file: Path) -> Run:
    """Read a TREC run: question, Q0, document, rank, score, name; ordered by score, then by rank."""
    scored: dict[str, list[tuple[float, int, str]]] = {}
    for number, line in enumerate(read_lines(file), start=1):
        try:
            query_id, _, document_id, rank, score, _ = line.split()
            scored.setdefault(query_id, []).append((-float(score), int(rank), document_id))
        except ValueError:
            raise InvalidValueError(f"Line {number} of '{file}' is no line of a TREC run: {line.strip()!r}.") from None
    return {query_id: [document_id for *_, document_id in sorted(rows)] for query_id, rows in scored.items()}
