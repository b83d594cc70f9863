"""Read passages: JSONL objects with a text, or one passage a line."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.validation import check_text


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of a collection.

    Attributes:
        id: Its name in the collection; the number of its line where it has none.
        title: The title of the page it is from; empty where there is none.
        text: The passage.
    """

    id: str
    title: str
    text: str

    @property
    def full_text(self) -> str:
        """Title, a space and the text: what is embedded and reranked."""
        return f"{self.title} {self.text}" if self.title else self.text


def read_passages(file: Path) -> list[Passage]:
    """Read a file of passages, plain or gzip.

    Raises:
        InvalidValueError: If the file is missing, not UTF-8, empty, or a line of it is not what the others are.

    Examples:
        >>> read_passages(Path("corpus.jsonl"))[0]
        Passage(id='p0', title='Physics', text='The first Nobel Prize in Physics was awarded in 1901.')
    """
    return parse_passages(read_lines(file), source=str(file))


def read_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, plain or gzip.

    Raises:
        InvalidValueError: If the file is missing, not UTF-8, or no whole gzip file though its name says so.
    """
    if not file.exists() or file.is_dir():  # A pipe is a file too.
        raise InvalidValueError(f"There is no file '{file}'. Check the path.")
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8") as lines:
        yield from _decoded(lines, str(file))


def parse_passages(lines: Iterable[str], *, source: str) -> list[Passage]:
    """Parse lines: all are JSON objects if the first one is. Blank lines separate, they are no passages.

    Args:
        lines: The lines.
        source: What an error calls them.

    Raises:
        InvalidValueError: If there are none, or one is broken.
    """
    numbered = ((number, line.strip()) for number, line in enumerate(_decoded(lines, source), start=1))
    filled = [(number, line) for number, line in numbered if line]
    if not filled:
        raise InvalidValueError(f'{source} holds no passages. It needs one a line, or JSON objects with a "text".')
    if not filled[0][1].startswith("{"):
        _check_lines(filled[0][1], source)
        return [Passage(id=str(number), title="", text=line) for number, line in filled]
    return [_parse_object(number, line, source) for number, line in filled]


def _parse_object(number: int, line: str, source: str) -> Passage:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise InvalidValueError(f"Line {number} of {source} is not JSON ({error}), though the first line is.") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise InvalidValueError(f'Line {number} of {source} is no JSON object with a string "text".')
    ids = (row.get("_id"), row.get("id"), number)
    passage = Passage(
        id=str(next(each for each in ids if each is not None)), title=str(row.get("title") or ""), text=row["text"]
    )
    check_text(f"line {number} of {source}", f"{passage.id} {passage.full_text}")
    return passage


def _check_lines(first: str, source: str) -> None:
    """Refuse what only looks like one passage a line."""
    if ".json" in Path(source).suffixes or ".jsonl" in Path(source).suffixes or _is_json_list(first):
        raise InvalidValueError(f'{source} is JSON, but not one object with a "text" a line. Write one a line.')


def _is_json_list(line: str) -> bool:
    try:
        return isinstance(json.loads(line), list)
    except ValueError:
        return False


def _decoded(lines: Iterable[str], source: str) -> Iterator[str]:
    try:
        for number, line in enumerate(lines):
            text = line.removeprefix("\ufeff") if number == 0 else line  # the byte-order mark that Windows writes
            yield check_text(f"line {number + 1} of {source}", text)
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{source} is not UTF-8: {error.reason} at byte {error.start}.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidValueError(f"{source} is no whole gzip file ({error}), though its name says so.") from None
