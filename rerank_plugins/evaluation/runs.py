"""Runs: the ranked documents of each query, read from a file and checked."""

import json
import math
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.reading.files import read_lines

# Query id to document ids, best first.
Run = dict[str, list[str]]


def read_run(file: Path) -> Run:
    """Read a run: a TREC run if the file's extension is `.trec`, otherwise JSONL with `query_id` and `doc_ids`.

    A document that is listed twice for a query is an error, as in trec_eval: counting it twice would inflate every
    measure. Blank lines are skipped.

    Args:
        file: The file, plain or gzip.

    Returns:
        Document ids by query id, best first.

    Raises:
        InvalidValueError: If the file is missing, a line is not what it should be, or a query or a document repeats.

    Examples:
        >>> read_run(Path("candidates.trec"))
        {'q1': ['d2', 'd1']}
    """
    lines = ((number, line.strip()) for number, line in enumerate(read_lines(file), start=1) if line.strip())
    return (_from_trec if ".trec" in file.suffixes else _from_jsonl)(lines, file)


def check_run(run: Run, queries: Iterable[str], documents: Container[str], source: str) -> None:
    """Check the lists of some queries.

    Args:
        run: The lists.
        queries: The ids of the queries whose lists are checked.
        documents: The ids of all documents.
        source: Where the lists come from, for error messages.

    Raises:
        InvalidValueError: If a list names an unknown document or one twice, or if all lists are empty.
    """
    lists = {query_id: run.get(query_id, []) for query_id in queries}
    for query_id, document_ids in lists.items():
        if unknown := [each for each in document_ids if each not in documents]:
            raise InvalidValueError(
                f"{source} lists {unknown[0]!r} for query {query_id!r}, but the corpus has no such document."
            )
        if (twice := _repeated(document_ids)) is not None:
            raise InvalidValueError(f"{source} lists {twice!r} twice for query {query_id!r}. Keep its first place.")
    if not any(lists.values()):
        raise InvalidValueError(
            f"{source} has no documents for any of the {len(lists)} judged queries, such as "
            f"{next(iter(lists), None)!r}. Check the query ids."
        )


def _from_jsonl(lines: Iterator[tuple[int, str]], file: Path) -> Run:
    run: Run = {}
    numbers: dict[str, int] = {}
    for number, line in lines:
        query_id, document_ids = _parse_object(line, f"Line {number} of '{file}'")
        if (twice := _repeated(document_ids)) is not None:
            raise InvalidValueError(
                f"Line {number} of '{file}' lists document {twice!r} twice for query {query_id!r}. "
                "Keep its first place."
            )
        if query_id in numbers:
            raise InvalidValueError(
                f"'{file}' has two lists for query {query_id!r}, on lines {numbers[query_id]} and {number}. Remove one."
            )
        run[query_id], numbers[query_id] = document_ids, number
    return run


def _parse_object(line: str, place: str) -> tuple[str, list[str]]:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise InvalidValueError(f"{place} is not valid JSON: {error}.") from None
    query_id = row.get("query_id") if isinstance(row, dict) else None
    document_ids = row.get("doc_ids") if isinstance(row, dict) else None
    if not _is_id(query_id) or not isinstance(document_ids, list) or not all(map(_is_id, document_ids)):
        raise InvalidValueError(
            f'{place} must be an object such as {{"query_id": "q1", "doc_ids": ["d2", "d1"]}}, got {line:.80}.'
        )
    return str(query_id), [str(each) for each in document_ids]


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _from_trec(lines: Iterator[tuple[int, str]], file: Path) -> Run:
    """Parse `query-id Q0 document-id rank score tag`; sorted by score, and by rank where scores are equal."""
    scored: dict[str, list[tuple[float, int, str]]] = {}
    numbers: dict[tuple[str, str], int] = {}
    for number, line in lines:
        try:
            query_id, _, document_id, rank, score, _ = line.split(maxsplit=5)
            key = (-float(score), int(rank), document_id)
        except ValueError:
            raise InvalidValueError(
                f"Line {number} of '{file}' is not a line of a TREC run: {line!r}. Write query-id Q0 document-id rank "
                "score tag."
            ) from None
        if not math.isfinite(key[0]):
            raise InvalidValueError(
                f"Line {number} of '{file}' has the score {score}, which cannot be sorted: {line!r}."
            )
        first = numbers.setdefault((query_id, document_id), number)
        if first != number:
            raise InvalidValueError(
                f"'{file}' lists document {document_id!r} twice for query {query_id!r}, on lines {first} and {number}. "
                "Keep the better one."
            )
        scored.setdefault(query_id, []).append(key)
    return {query_id: [document_id for *_, document_id in sorted(rows)] for query_id, rows in scored.items()}


def _repeated(ids: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            return each
        seen.add(each)
    return None
