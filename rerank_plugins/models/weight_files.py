"""The files that a model's weights name in turn: external data of an ONNX file, the shards of a safetensors index."""

import reprlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.json_files import read_fields
from rerank_plugins.models.external_data import external_locations

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"

# Bytes of a file's name that every system allows.
_LONGEST = 255


def named_files(model: str, folder: Path, weights: Sequence[str]) -> tuple[str, ...]:
    """Name the files that are opened because the weights name them, and that are not among them.

    Args:
        model: The model's name, for messages.
        folder: Its folder.
        weights: The files that its backend chose, relative to the folder; the first one is the entry.

    Returns:
        Their names, relative to the folder, whether they are there or not.

    Raises:
        UnsupportedModelError: If a name leads out of the folder, or to a file of another kind; nothing of it is opened.
    """
    entry = PurePosixPath(weights[0]) if weights else None
    if entry is None or not (folder / entry).is_file():
        return ()
    if entry.suffix == ".onnx":
        places = external_locations(folder / entry)
        named = [_inside(model, str(entry), place, base=str(entry.parent)) for place in places]
    elif entry.suffix == ".safetensors":
        named = _shards(model, folder)
    else:
        named = []
    return tuple(sorted({*named} - {*weights}))


def _shards(model: str, folder: Path) -> list[str]:
    """Name what transformers opens: the file that the config names, else model.safetensors, else an index's shards."""
    explicit = read_fields(model, folder / "config.json").text("transformers_weights")
    if explicit is None and (folder / _WHOLE).is_file():
        return []
    index = _INDEX if explicit is None else _inside(model, "config.json", explicit)
    if not index.endswith(".safetensors.index.json"):
        return [_safetensors(model, "config.json", index)]
    weight_map = read_fields(model, folder / index).fields("weight_map")
    shards = {weight_map.text(weight) or "" for weight in weight_map}
    return [_safetensors(model, index, shard) for shard in sorted(shards)]


def _safetensors(model: str, source: str, name: str) -> str:
    if not name.endswith(".safetensors"):
        raise _refused(model, source, name, "is not a .safetensors file: other kinds, such as pickles, can run code")
    return _inside(model, source, name)


def _inside(model: str, source: str, name: str, *, base: str = "") -> str:
    """Return a name relative to the model's folder if it stays below `base`, whatever the system makes of it."""
    parts = PurePosixPath(name).parts
    if len(name.encode()) > _LONGEST:
        raise _refused(model, source, name, f"has {len(name)} characters")
    if not parts or parts[0] == "/" or ".." in parts or any(character in name for character in "\\:\0"):
        raise _refused(model, source, name, "leads out of the model's folder")
    return PurePosixPath(base, name).as_posix()


def _refused(model: str, source: str, name: str, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"The {source} of '{model}' names the weights {reprlib.repr(name)}, which {reason}. Download the model "
        "again, from someone you trust."
    )
