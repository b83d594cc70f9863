"""Read relevance judgements (qrels) in the forms of TREC and BEIR."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.reading.files import read_lines

# Query id to document id to grade; 0 and below is not relevant.
Qrels = dict[str, dict[str, int]]

# What the last column is called in a header; anything else there that is no number is an error.
_GRADE_NAMES = {"score", "relevance", "relevancy", "rel", "grade", "label", "judgment", "judgement", "gain", "qrel"}
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?", re.ASCII)


def read_qrels(file: Path) -> Qrels:
    """Read judgements: BEIR's `query-id corpus-id score` or TREC's `query-id 0 document-id grade`, one per line.

    Columns are separated by tabs, or by spaces on a line without tabs. Blank lines are skipped, and so is a header. Ids
    are kept as they are, quotes included. Grades are whole numbers (`1`, `1.0`, `-1`). If lines judge one document for
    one query differently, as in some public collections, the last one counts and a warning names the first of them.

    Args:
        file: The file, plain or gzip.

    Returns:
        Grades by document id by query id.

    Raises:
        InvalidValueError: If the file is missing, has no judgements, or a line is not a judgement.

    Examples:
        >>> read_qrels(Path("qrels.tsv"))
        {'q1': {'d1': 1}}
    """
    qrels: Qrels = {}
    lines: dict[tuple[str, str], int] = {}
    contradictions: list[str] = []
    for number, (query_id, document_id, grade) in _judgements(file):
        known = qrels.setdefault(query_id, {}).get(document_id, grade)
        if known != grade:
            first = lines[query_id, document_id]
            contradictions.append(
                f"document {document_id!r} for query {query_id!r} is {known} on line {first} and {grade} on line "
                f"{number}"
            )
        qrels[query_id][document_id] = grade
        lines[query_id, document_id] = number
    if not qrels:
        raise InvalidValueError(f"'{file}' contains no judgements.")
    if contradictions:
        warnings.warn(
            f"'{file}' has {len(contradictions)} contradictory judgements, of which the last one counts: "
            f"{contradictions[0]}.",
            stacklevel=2,
        )
    return qrels


def _judgements(file: Path) -> Iterator[tuple[int, tuple[str, str, int]]]:
    filled = ((number, line.strip()) for number, line in enumerate(read_lines(file), start=1) if line.strip())
    for place, (number, line) in enumerate(filled):
        columns = [column.strip() for column in line.split("\t")] if "\t" in line else line.split()
        if place == 0 and columns[-1].lower() in _GRADE_NAMES:
            continue
        if len(columns) not in (3, 4) or not all(columns) or not _WHOLE_NUMBER.fullmatch(columns[-1]):
            raise InvalidValueError(
                f"Line {number} of '{file}' is not a judgement: {line!r}. Write a query id, a document id and a "
                "whole-number grade (BEIR), or put a 0 after the query id (TREC), separated by tabs."
            )
        yield number, (columns[0], columns[-2], int(float(columns[-1])))
