"""Split the content of a file into records: lines, JSON values, CSV rows or Parquet rows."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.reading.files import split_lines

# Excel writes semicolons where the comma is the decimal sign.
DELIMITERS = (",", "\t", ";")
_JSON_SPACE = " \t\n\r"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file.

    Attributes:
        unit: What `number` counts: `line`, `item` or `row`.
        number: Where it starts, from 1.
        value: A string, or fields by name; anything else that JSON can hold is refused later.
    """

    unit: str
    number: int
    value: Any

    @property
    def place(self) -> str:
        """Where it starts, for error messages, such as `line 3`."""
        return f"{self.unit} {self.number}"


def from_lines(text: str, source: str) -> Iterator[Record]:  # noqa: ARG001  # like the other parsers
    """Yield each line that is not blank, without the spaces around it."""
    for number, line in enumerate(split_lines(text), start=1):
        if stripped := line.strip():
            yield Record("line", number, stripped)


def from_json(text: str, source: str) -> Iterator[Record]:
    """Yield JSON values, one per line or spread over several lines; a single array yields its items.

    Raises:
        InvalidValueError: If a value is not valid JSON.
    """
    decoder = json.JSONDecoder()
    line, counted, position = 1, 0, _skip_space(text, 0)
    while position < len(text):
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise InvalidValueError(
                f"The JSON on line {line} of {source} is broken: {error}. Correct it, or read the file as plain lines "
                "(format 'lines')."
            ) from None
        start, position = position, _skip_space(text, end)
        if isinstance(value, list) and not text[:start].strip() and position == len(text):
            yield from (Record("item", number, item) for number, item in enumerate(value, start=1))
        else:
            yield Record("line", line, value)


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _JSON_SPACE:
        position += 1
    return position


def from_csv(text: str, source: str) -> Iterator[Record]:
    """Yield the rows below the header. Cells in double quotes may contain delimiters and line breaks.

    Raises:
        InvalidValueError: If quotes do not match, column names repeat, or a row has too few or too many cells.
    """
    # The default limit of 131,072 characters is less than a long document has.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    line = 1
    header: list[str] = []
    try:
        for cells in rows:
            start, line = line, rows.line_num + 1
            if not header:
                header = _checked_header(cells, source)
            elif len(cells) == len(header):
                yield Record("line", start, dict(zip(header, cells, strict=True)))
            elif cells:  # a blank line has none
                raise InvalidValueError(
                    f"Line {start} of {source} has {len(cells)} cells, but the header has {len(header)}: {cells}."
                )
    except csv.Error as error:
        raise InvalidValueError(f"The CSV row on line {line} of {source} is broken: {error}.") from None


def delimiter_of(text: str) -> str:
    """Return the delimiter that occurs most often in the header; a comma if none does."""
    header = next(split_lines(text.lstrip("\r\n")), "")
    return max(DELIMITERS, key=header.count)


def _checked_header(cells: list[str], source: str) -> list[str]:
    if repeated := [name for name in cells if cells.count(name) > 1]:
        raise InvalidValueError(f"The header of {source} has two columns named {repeated[0]!r}: {cells}. Rename one.")
    return cells


def from_parquet(data: bytes, source: str) -> Iterator[Record]:
    """Yield the rows of a Parquet file.

    Raises:
        MissingExtraError: If pyarrow is not installed.
        InvalidValueError: If the data is not a Parquet file.
    """
    with extra("parquet", provides="pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet

    try:
        table = parquet.read_table(BytesIO(data))
    except pa.ArrowException as error:
        raise InvalidValueError(f"{source} is not a readable Parquet file: {error}.") from None
    for number, row in enumerate(table.to_pylist(), start=1):
        yield Record("row", number, row)


PARSERS: Mapping[str, Callable[[str, str], Iterator[Record]]] = {
    "lines": from_lines,
    "jsonl": from_json,
    "json": from_json,
    "csv": from_csv,
}
