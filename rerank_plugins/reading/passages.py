"""Read passages from a file or from standard input, in any of five formats."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.reading.files import decode, decompress, read_bytes
from rerank_plugins.reading.records import PARSERS, Record, from_parquet
from rerank_plugins.reading.sniffing import is_parquet, text_format
from rerank_plugins.validation import check_text


class Format(StrEnum):
    """How a file holds its documents."""

    AUTO = "auto"
    LINES = "lines"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of a collection.

    Attributes:
        id: Its `_id` or `id`; without either, the line or row that it is on.
        title: The title of its page; empty if there is none.
        text: The passage.
    """

    id: str
    title: str
    text: str

    @property
    def full_text(self) -> str:
        """Title, a space and the text: what is embedded and reranked."""
        return f"{self.title} {self.text}" if self.title else self.text


def read_passages(
    file: Path, *, file_format: Format = Format.AUTO, text_column: str | None = None, unique_ids: bool = False
) -> list[Passage]:
    """Read a file of passages, plain or gzip.

    Args:
        file: The file.
        file_format: Its format; `AUTO` decides by name and content.
        text_column: The column or JSON field that holds the text; `text` by default.
        unique_ids: Whether two passages with one id are an error.

    Raises:
        InvalidValueError: If the file is missing, empty, broken or not in that format, or an id repeats.
        MissingExtraError: If the file is Parquet and pyarrow is not installed.

    Examples:
        >>> read_passages(Path("corpus.jsonl"))[0]
        Passage(id='p0', title='Physics', text='The first Nobel Prize in Physics was awarded in 1901.')
    """
    return parse_passages(
        read_bytes(file), source=str(file), file_format=file_format, text_column=text_column, unique_ids=unique_ids
    )


def parse_passages(
    data: bytes,
    *,
    source: str,
    file_format: Format = Format.AUTO,
    text_column: str | None = None,
    unique_ids: bool = False,
) -> list[Passage]:
    """Parse the content of a file. Blank lines are skipped.

    Args:
        data: The content, plain or gzip.
        source: The file's name: its extension helps to recognise the format, and error messages contain it.
        file_format: The format; `AUTO` decides by name and content.
        text_column: The column or JSON field that holds the text; `text` by default.
        unique_ids: Whether two passages with one id are an error.

    Raises:
        InvalidValueError: If there are no passages, one is broken, or an id repeats.
        MissingExtraError: If the data is Parquet and pyarrow is not installed.

    Examples:
        >>> parse_passages(b'[{"id": 7, "text": "one"}]', source="standard input")
        [Passage(id='7', title='', text='one')]
    """
    records = list(_records(decompress(data, source), source, file_format, text_column))
    passages = [_passage(record, source, text_column or "text") for record in records]
    if not passages:
        raise InvalidValueError(
            f"{source} contains no passages. Write one per line, or JSON objects with a {text_column or 'text'!r}."
        )
    if unique_ids:
        _check_unique(records, passages, source)
    return passages


def _records(data: bytes, source: str, file_format: Format, text_column: str | None) -> Iterable[Record]:
    if file_format is Format.PARQUET or (file_format is Format.AUTO and is_parquet(data, source)):
        return from_parquet(data, source)
    text = decode(data, source)
    chosen = text_format(text, source, text_column or "text") if file_format is Format.AUTO else file_format
    if chosen == Format.LINES and text_column is not None:
        raise InvalidValueError(
            f"{source} was read as plain lines, which have no column {text_column!r}. Name the format, such as csv or "
            "json, or leave the column out."
        )
    return PARSERS[chosen](text, source)


def _passage(record: Record, source: str, text_column: str) -> Passage:
    place = f"{record.place} of {source}"
    start = f"{place[0].upper()}{place[1:]}"
    row = {text_column: record.value} if isinstance(record.value, str) else record.value
    if not isinstance(row, Mapping):
        raise InvalidValueError(f"{start} is neither a string nor an object with a {text_column!r}: {row!r:.80}.")
    if not isinstance(row.get(text_column), str):
        raise InvalidValueError(
            f"{start} has no string {text_column!r}, it has: {', '.join(map(repr, row)) or 'nothing'}. "
            "Name the column that holds the text (--text-column)."
        )
    title = None if text_column == "title" else row.get("title")
    return Passage(
        id=check_text(f"the id on {place}", _id(row, record, place)),
        title=check_text(f"the title on {place}", "" if title is None else str(title)),
        text=check_text(place, row[text_column]),
    )


def _id(row: Mapping[str, Any], record: Record, place: str) -> str:
    given = next((row[name] for name in ("_id", "id") if row.get(name) is not None), record.number)
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise InvalidValueError(f"The id on {place} must be a string or a whole number, got {given!r}.")
    return str(given)


def _check_unique(records: Iterable[Record], passages: Iterable[Passage], source: str) -> None:
    places: dict[str, str] = {}
    for record, passage in zip(records, passages, strict=True):
        if passage.id in places:
            raise InvalidValueError(
                f"{source} has the id {passage.id!r} twice, on {places[passage.id]} and on {record.place}. "
                "Rename or remove one."
            )
        places[passage.id] = record.place
