"""Read judged queries: a folder in the BEIR layout, plain or gzip."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.evaluation.qrels import Qrels, read_qrels
from rerank_plugins.evaluation.runs import Run, check_run, read_run
from rerank_plugins.reading.passages import Format, Passage, read_passages

_QRELS = ("qrels.tsv", "qrels.txt", "qrels/test.tsv")
_CANDIDATES = ("candidates.jsonl", "candidates.trec")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A collection with judged queries.

    Attributes:
        name: The folder's name.
        passages: The documents by id.
        queries: The judged queries: text by id.
        qrels: The judgements.
        candidates: Lists from the user's own retriever, if the folder has any.
    """

    name: str
    passages: dict[str, Passage]
    queries: dict[str, str]
    qrels: Qrels
    candidates: Run | None

    def sample(self, count: int | None, *, seed: int) -> "Dataset":
        """Return the dataset with a random sample of its queries.

        Args:
            count: How many queries; None, or more than there are, for all.
            seed: Random seed.
        """
        if count is None or count >= len(self.queries):
            return self
        chosen = sorted(np.random.default_rng(seed).choice(sorted(self.queries), size=count, replace=False).tolist())
        return replace(
            self,
            queries={query_id: self.queries[query_id] for query_id in chosen},
            qrels={query_id: self.qrels[query_id] for query_id in chosen},
        )


def read_dataset(folder: Path) -> Dataset:
    """Read `corpus.jsonl`, `queries.jsonl`, judgements and, if there are any, candidates.

    Judgements are in `qrels.tsv`, `qrels.txt` or `qrels/test.tsv` (see `read_qrels`); candidates in `candidates.jsonl`
    or `candidates.trec` (see `read_run`). Each file may be compressed (`.gz`). Queries without a judgement are left
    out. Relevant documents that are not in the corpus count as not found, as in trec_eval, with a warning.

    Args:
        folder: The folder.

    Raises:
        InvalidValueError: If a file is missing, broken or there twice; if ids repeat; if a judged query or a candidate
            is unknown; or if no document of the corpus is judged relevant, so that every measure would be 0.

    Examples:
        >>> read_dataset(Path("examples/data/nq_open_gold")).queries["q0"]
        'who got the first nobel prize in physics'
    """
    if not folder.is_dir():
        raise InvalidValueError(f"There is no folder '{folder}'. It needs corpus.jsonl, queries.jsonl and qrels.tsv.")
    passages = _read(_require(folder, "corpus.jsonl"))
    questions = {query_id: query.text for query_id, query in _read(_require(folder, "queries.jsonl")).items()}
    qrels = read_qrels(_require(folder, *_QRELS))
    _check_queries(folder, qrels, questions)
    _check_documents(folder, qrels, passages)
    candidates = _read_candidates(folder, questions, passages)
    queries = {query_id: questions[query_id] for query_id in qrels}
    return Dataset(folder.resolve().name, passages, queries, qrels, candidates)


def _read(file: Path) -> dict[str, Passage]:
    return {passage.id: passage for passage in read_passages(file, file_format=Format.JSONL, unique_ids=True)}


def _require(folder: Path, *names: str) -> Path:
    file = _find(folder, *names)
    if file is None:
        raise InvalidValueError(f"'{folder}' has no {' or '.join(names)}, plain or .gz.")
    return file


def _find(folder: Path, *names: str) -> Path | None:
    files = [file for name in names for file in (folder / name, folder / f"{name}.gz") if file.is_file()]
    if len(files) > 1:
        found = " and ".join(str(file.relative_to(folder)) for file in files)
        raise InvalidValueError(
            f"'{folder}' has {found}, and only one of them can be read. Remove or rename the other."
        )
    return files[0] if files else None


def _check_queries(folder: Path, qrels: Qrels, questions: dict[str, str]) -> None:
    if unknown := sorted(qrels.keys() - questions.keys()):
        raise InvalidValueError(
            f"'{folder}' judges {len(unknown)} queries that queries.jsonl does not have, such as {unknown[0]!r}."
        )
    if blank := [query_id for query_id in qrels if not questions[query_id].strip()]:
        raise InvalidValueError(f"The query {blank[0]!r} in '{folder}' is empty or blank.")


def _check_documents(folder: Path, qrels: Qrels, passages: dict[str, Passage]) -> None:
    relevant = {
        query_id: [document_id for document_id, grade in grades.items() if grade > 0]
        for query_id, grades in qrels.items()
    }
    pairs = [(query_id, document_id) for query_id, document_ids in relevant.items() for document_id in document_ids]
    if not pairs:
        raise InvalidValueError(f"'{folder}' judges no document as relevant: all grades are 0 or below.")
    missing = [pair for pair in pairs if pair[1] not in passages]
    if len(missing) == len(pairs):
        raise InvalidValueError(
            f"None of the relevant documents in '{folder}' is in its corpus. The judgements name, for example, "
            f"{missing[0][1]!r}; the corpus has ids such as {next(iter(passages))!r}."
        )
    if missing:
        warnings.warn(
            f"{len(missing)} of {len(pairs)} relevant documents in '{folder}' are not in its corpus, such as "
            f"{missing[0][1]!r} for query {missing[0][0]!r}. They count as not found.",
            stacklevel=3,
        )
    if without := [query_id for query_id, document_ids in relevant.items() if not document_ids]:
        warnings.warn(
            f"{len(without)} of {len(qrels)} queries in '{folder}' have no relevant document, such as {without[0]!r}. "
            "Their measures are always 0.",
            stacklevel=3,
        )


def _read_candidates(folder: Path, questions: dict[str, str], passages: dict[str, Passage]) -> Run | None:
    file = _find(folder, *_CANDIDATES)
    if file is None:
        return None
    run = read_run(file)
    if unknown := [query_id for query_id in run if query_id not in questions]:
        raise InvalidValueError(f"'{file}' has a list for query {unknown[0]!r}, which queries.jsonl does not have.")
    check_run(run, run, passages, f"'{file}'")
    return run
