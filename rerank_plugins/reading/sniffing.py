"""Recognise the format of a file by its name and its content."""

import csv
import re
from pathlib import Path

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.reading.records import delimiter_of, from_csv

_SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PARQUET = b"PAR1"
# A bracket that JSON's next token follows. "{x} is a set", "[1] Smith" and "[[link]]" are plain text.
_JSON_START = re.compile(r'\s*(\{\s*["}]|\{\s*\n|\[\s*[{"]|\[\s*\n|\[\s*\]\s*\Z)')
# Names of columns, as opposed to prose with commas.
_COLUMN = re.compile(r"\w(?:[\w .-]*\w)?")


def is_parquet(data: bytes, source: str) -> bool:
    """Tell whether data is Parquet by its first bytes or its name."""
    return data.startswith(_PARQUET) or _by_name(source) == "parquet"


def text_format(text: str, source: str, text_column: str) -> str:
    """Return `json`, `jsonl`, `csv` or `lines`: by the file's extension, otherwise by the content.

    Content is JSON if it starts like JSON, even if it turns out to be broken: ranking the lines of broken JSON is never
    what was meant. It is CSV if its header has the text column and at least one more, and every row has as many cells.

    Args:
        text: The content.
        source: The file's name.
        text_column: The column that holds the text.
    """
    if by_name := _by_name(source):
        return by_name
    if _JSON_START.match(text):
        return "json"
    return "csv" if _is_csv(text, text_column) else "lines"


def _by_name(source: str) -> str | None:
    return _SUFFIXES.get(Path(source.removesuffix(".gz")).suffix.lower())


def _is_csv(text: str, text_column: str) -> bool:
    first = text.lstrip().partition("\n")[0].rstrip("\r")
    header = next(csv.reader([first], delimiter=delimiter_of(first)), [])
    if len(header) < 2 or text_column not in header or not all(map(_COLUMN.fullmatch, header)):
        return False
    try:
        return bool(list(from_csv(text, "")))
    except InvalidValueError:
        return False
