"""Read text files: UTF-8 or UTF-16 with a byte-order mark, plain or gzip."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from rerank_plugins.errors import InvalidValueError

_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_bytes(file: Path) -> bytes:
    """Read a file, a named pipe included.

    Raises:
        InvalidValueError: If there is no such file, or it is a folder.
    """
    if not file.exists() or file.is_dir():
        raise InvalidValueError(f"There is no file '{file}'. Check the path.")
    return file.read_bytes()


def decompress(data: bytes, source: str) -> bytes:
    """Decompress gzip, recognised by its first bytes; other data is returned unchanged.

    Args:
        data: The file's content.
        source: The file's name for error messages.

    Raises:
        InvalidValueError: If the data is damaged gzip, or is not gzip although the name ends in `.gz`.
    """
    if not data.startswith(_GZIP):
        if source.endswith(".gz"):
            raise InvalidValueError(
                f"{source} is not a gzip file, although its name ends in .gz. Rename or compress it."
            )
        return data
    try:
        return gzip.decompress(data)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidValueError(f"{source} is a damaged or incomplete gzip file: {error}.") from None


def decode(data: bytes, source: str) -> str:
    """Decode text: UTF-8, or UTF-16 with a byte-order mark as PowerShell writes it. The mark is removed.

    Args:
        data: The text's bytes.
        source: The file's name for error messages.

    Raises:
        InvalidValueError: If the data is neither, or is a binary file.
    """
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidValueError(
            f"{source} is not {encoding.upper()}: {error.reason} at byte {error.start}, on line {line}. "
            "Convert it to UTF-8, for example with iconv."
        ) from None
    if "\0" in text:
        raise InvalidValueError(f"{source} is a binary file: it contains a zero byte. Extract its text first.")
    return text.removeprefix("\ufeff")


def read_text(file: Path) -> str:
    """Read a text file, plain or gzip.

    Raises:
        InvalidValueError: If the file is missing, binary, damaged or in another encoding.
    """
    return decode(decompress(read_bytes(file), str(file)), str(file))


def read_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzip, each with its line break.

    Raises:
        InvalidValueError: If the file is missing, binary, damaged or in another encoding.
    """
    yield from split_lines(read_text(file))


def split_lines(text: str) -> Iterator[str]:
    r"""Yield lines, each with its break: `\n`, `\r\n` and `\r` end one, U+2028 and other separators do not."""
    return iter(StringIO(text, newline=None))
