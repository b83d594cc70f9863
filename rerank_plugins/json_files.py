"""Read the JSON files of a model: each field by its type, and a wrong one is refused with file, key and value."""

import json
import math
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rerank_plugins.errors import ModelNotFoundError, UnsupportedModelError

# Lengths, ids and counts of every engine fit in 32 bits.
_LARGEST = 2**31 - 1


class Fields:
    """The fields of a JSON object in a model's folder. A key that is missing and a null mean: not declared.

    Args:
        model: The model's name, for messages.
        file: The file, for messages.
        values: The object.
        inside: Keys that lead to the object in its file, such as `rerank_plugins.`.

    Examples:
        >>> Fields("my-model", "config.json", {"max_position_embeddings": 512}).integer("max_position_embeddings")
        512
    """

    def __init__(self, model: str, file: str, values: Mapping[str, Any], inside: str = "") -> None:
        self.model = model
        self.file = file
        self._values = values
        self._inside = inside

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def integer(self, key: str, *, at_least: int = 0, at_most: int = _LARGEST) -> int | None:
        """Return a whole number within bounds."""
        value = self._values.get(key)
        if value is None or (type(value) is int and at_least <= value <= at_most):
            return value
        raise self.wrong(key, f"a whole number from {at_least} to {at_most}")

    def limit(self, key: str, *, at_most: int) -> int | None:
        """Return a positive limit. Files write "no limit" as a huge number or Infinity, which becomes `at_most`."""
        value = self._values.get(key)
        if value is None:
            return None
        if type(value) in (int, float) and not math.isnan(value) and value >= 1:
            return int(min(value, at_most))
        raise self.wrong(key, "a number of at least 1")

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        value = self._values.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self.wrong(key, "true or false")

    def text(self, key: str) -> str | None:
        """Return a string."""
        value = self._values.get(key)
        if value is None or (isinstance(value, str) and _is_encodable(value)):
            return value
        raise self.wrong(key, "a string")

    def texts(self, key: str) -> list[str]:
        """Return a list of strings; an empty one where nothing is declared."""
        value = self._values.get(key)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(each, str) and _is_encodable(each) for each in value):
            return value
        raise self.wrong(key, "a list of strings")

    def token(self, key: str) -> str | None:
        """Return a token's text, which tokenizers write as a string or as an object with `content`."""
        if isinstance(self._values.get(key), dict):
            return self.fields(key).text("content")
        return self.text(key)

    def fields(self, key: str) -> "Fields":
        """Return an object; an empty one where nothing is declared."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return Fields(self.model, self.file, value or {}, f"{self._inside}{key}.")

    def each(self, key: str) -> "list[Fields]":
        """Return a list of objects; an empty one where nothing is declared."""
        value = self._values.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(key, "a list of objects")
        return [Fields(self.model, self.file, one, f"{self._inside}{key}[{place}].") for place, one in enumerate(value)]

    def value(self, key: str) -> Any:
        """Return whatever stands there, for what the library only passes on."""
        return self._values.get(key)

    def wrong(self, key: str, expected: str) -> UnsupportedModelError:
        """Build the error that names a field, its value, and what it must be."""
        return UnsupportedModelError(
            f"'{self.model}' declares {self._inside}{key}={reprlib.repr(self._values.get(key))} in its {self.file}; it "
            f"must be {expected}. Correct the file, or download the model again."
        )


def read_fields(model: str, file: Path) -> Fields:
    """Read a JSON object; no fields where there is no file.

    Raises:
        ModelNotFoundError: If it is not a JSON object.
    """
    content = _read(file, {})
    if not isinstance(content, dict):
        raise ModelNotFoundError(f"'{file}' holds {type(content).__name__}, not an object. Download the model again.")
    return Fields(model, file.name, content)


def read_list(model: str, file: Path) -> list[Fields]:
    """Read a JSON list of objects; an empty one where there is no file.

    Raises:
        ModelNotFoundError: If it is not a list of JSON objects.
    """
    content = _read(file, [])
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise ModelNotFoundError(f"'{file}' does not hold a list of objects. Download the model again.")
    return [Fields(model, file.name, each, f"[{place}].") for place, each in enumerate(content)]


def _read(file: Path, default: Any) -> Any:
    if not file.is_file():
        return default
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelNotFoundError(f"'{file}' cannot be read ({error.strerror}). Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise ModelNotFoundError(f"'{file}' is not JSON ({error}). Download the model again.") from error


def _is_encodable(text: str) -> bool:
    """Whether a string is Unicode text: JSON can spell half of a surrogate pair, which no tokenizer takes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
