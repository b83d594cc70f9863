"""Find the files that an ONNX file keeps its weights in, without loading it.

An ONNX file is a protocol buffer. A tensor whose `data_location` is EXTERNAL names a file beside it in its
`external_data`, under the key `location` (onnx.proto, "TensorProto"). Only the messages on the way to tensors are read;
weights inside the file are skipped.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from rerank_plugins.errors import UnsupportedModelError

# The fields of each message that lead to tensors, by number (onnx.proto); a test compares them with the package onnx.
PATHS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
EXTERNAL_DATA, DATA_LOCATION, EXTERNAL, KEY, VALUE = 13, 14, 1, 1, 2
# Of the largest models' graphs a few hundred thousand are read; more are an attack on the time it takes to load.
_MOST_FIELDS = 5_000_000

# A field of a message: its number; a varint's value; where its bytes start and end.
_Field = tuple[int, int, int, int]


def external_locations(file: Path) -> list[str]:
    """Name the files that hold an ONNX file's external data, as the file spells them.

    Raises:
        UnsupportedModelError: If it is not a whole ONNX file.
    """
    with file.open("rb") as opened:
        if not file.stat().st_size:
            return []
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as contents:
            if contents.find(b"location") < 0:  # The key: most files have all their weights inside.
                return []
            try:
                return sorted(_Graph(contents).locations())
            except (IndexError, ValueError) as error:
                raise UnsupportedModelError(
                    f"'{file}' is not a whole ONNX file ({error}). If a download was interrupted, download it again."
                ) from error


class _Graph:
    """Reads the messages of a file; IndexError or ValueError if they are none."""

    def __init__(self, contents: mmap.mmap) -> None:
        self._contents = contents
        self._fields_left = _MOST_FIELDS

    def locations(self) -> set[str]:
        """Name the files that tensors are in."""
        found: set[str] = set()
        waiting = [("ModelProto", 0, len(self._contents))]
        while waiting:
            kind, start, end = waiting.pop()
            if kind == "TensorProto":
                found.update(self._locations(list(self._fields(start, end))))
                continue
            inner = PATHS[kind]
            waiting += [
                (inner[number], first, last) for number, _, first, last in self._fields(start, end) if number in inner
            ]
        return found

    def _locations(self, tensor: list[_Field]) -> Iterator[str]:
        if not any(number == DATA_LOCATION and value == EXTERNAL for number, value, _, _ in tensor):
            return
        for number, _, start, end in tensor:
            if number == EXTERNAL_DATA:
                entry = {inner: self._contents[first:last] for inner, _, first, last in self._fields(start, end)}
                if entry.get(KEY) == b"location":
                    yield entry.get(VALUE, b"").decode()

    def _fields(self, place: int, end: int) -> Iterator[_Field]:
        """Read the fields of a message; what is inside of them is skipped."""
        while place < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise ValueError(f"it has more than {_MOST_FIELDS} fields")
            tag, place = self._varint(place)
            value, start = 0, place
            match tag & 7:
                case 0:  # a varint
                    value, place = self._varint(place)
                case 1:
                    place += 8
                case 2:  # bytes, a text or a message
                    length, start = self._varint(place)
                    place = start + length
                case 5:
                    place += 4
                case kind:
                    raise ValueError(f"a field has the type {kind}")
            if place > end:
                raise ValueError("a field is longer than the message around it")
            yield tag >> 3, value, start, place

    def _varint(self, place: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._contents[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, place
        raise ValueError("a number is too long")
