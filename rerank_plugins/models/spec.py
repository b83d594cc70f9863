"""Everything about a model, resolved once from a user's options."""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rerank_plugins.backends import choose_backend, requested_backend
from rerank_plugins.backends.base import Backend, ModelFolder, Placement
from rerank_plugins.backends.heads import Head, ModulesHead, Pooling
from rerank_plugins.errors import ModelNotFoundError
from rerank_plugins.models.declared import DeclaredConfig, read_declared
from rerank_plugins.models.source import Source, find_source
from rerank_plugins.models.unusable import check_usable, explain_files
from rerank_plugins.models.weight_files import named_files
from rerank_plugins.options import RerankConfig

# Formats that this package knows enough about to say what is wrong with a file.
_WEIGHTS = (".safetensors", ".onnx")
# Files that decide how a text becomes token ids and a number becomes a score, beside the weights.
CONFIGURATION = (".json", ".txt", ".model", ".codes", ".bpe", ".tokenizer", ".tiktoken", ".vocab", ".jinja", ".py")
# Where sentence-transformers keeps the weights of the modules behind a Transformer: 2_Dense/model.safetensors.
_MODULE_WEIGHTS = re.compile(r"\d+_\w+/model\.safetensors")

# Of each file: its path, inode, size, and when its contents and its inode changed.
FileStates = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model is, and how it is run.

    Attributes:
        folder: Its files.
        declared: What the files declare.
        backend: What runs it.
        placement: Where.
    """

    folder: ModelFolder
    declared: DeclaredConfig
    backend: type[Backend]
    placement: Placement

    @property
    def files(self) -> list[Path]:
        """All files that decide a score: weights, configuration, tokenizer, and code that may run."""
        path = self.folder.path
        side = (file for file in path.iterdir() if file.suffix in CONFIGURATION and file.is_file())
        modules = (path / name for name in head_weights(self.declared.head) if (path / name).is_file())
        return sorted({*side, *modules, *(path / name for name in self.folder.weights)})

    @property
    def reading(self) -> str:
        """How the model is read: what decides a score, beside the files, and may come from options."""
        declared = self.declared
        return f"{declared.head!r} {declared.prompt!r} {declared.query_prompt!r}"

    @property
    def digest(self) -> str:
        """A digest of the names and contents of these files: it names the model wherever it lies."""
        digest = hashlib.blake2b(digest_size=32)
        for file in self.files:
            name = file.relative_to(self.folder.path).as_posix().encode()
            with file.open("rb") as contents:
                digest.update(len(name).to_bytes(8, "big") + name)
                digest.update(hashlib.file_digest(contents, "blake2b").digest())
        return digest.hexdigest()

    @property
    def states(self) -> FileStates:
        """What changes when a file is replaced or overwritten, even by one of the same size and date."""
        stats = [(str(file), file.stat()) for file in self.files]
        return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats)


def head_weights(head: Head) -> tuple[str, ...]:
    """Name the files that hold a head's own weights, relative to the model's folder."""
    modules = head.modules if isinstance(head, ModulesHead) else ()
    return tuple(f"{each.folder}/model.safetensors" for each in modules if not isinstance(each, Pooling))


def resolve(config: RerankConfig, *, download: bool = True) -> ModelSpec:
    """Find a model's files, choose what runs them, and read what they declare. Loads nothing.

    Args:
        config: What the user asked for.
        download: Whether weights are downloaded that are not on this machine; else they are only named.

    Raises:
        InvalidValueError: If an option has no meaning for the model, or the device is not available.
        ModelNotFoundError: If the model, or a file of it, is missing or cannot be reached.
        UnsupportedModelError: If it declares something other than one relevance score.
    """
    requested = requested_backend(config)  # A wrong name is an error before the Hub is asked.
    source = find_source(config)
    backend = requested or choose_backend(source.files, config)
    if backend is None:
        raise _nothing_to_load(source)
    weights = _choose_weights(backend, source, config)
    placement = backend.place(config)  # Before a download of gigabytes: a wrong device is an error now.
    modules = _module_weights(source.files)
    path = source.fetch([*weights, *modules] if download else [])
    named = named_files(source.name, path, weights)
    if named and download:
        path = source.fetch([*weights, *modules, *named])
    here = download or any((path / each).is_file() for each in weights)
    if here:
        _check_files(source.name, path, weights, named if download else ())
    declared = read_declared(source.name, path, config)
    if here and any(name.endswith(".safetensors") for name in weights):
        _check_head_weights(source.name, path, declared.head)
    folder = ModelFolder(source.name, path, (*weights, *named), config.trust_remote_code, declared.head)
    return ModelSpec(folder, declared, backend, placement)


def _module_weights(files: Collection[str]) -> list[str]:
    if "modules.json" not in files:
        return []
    return sorted(name for name in files if _MODULE_WEIGHTS.fullmatch(name))


def _check_head_weights(name: str, path: Path, head: Head) -> None:
    """Refuse a chain of modules without their weights; an ONNX file has them inside."""
    if missing := [each for each in head_weights(head) if not (path / each).is_file()]:
        pickled = (path / missing[0]).with_name("pytorch_model.bin").is_file()
        remedy = (
            "It has them as a pickle, which can run code and is not read: save the model again with a current "
            "sentence-transformers."
            if pickled
            else "If a download was interrupted, load it once with a network."
        )
        raise ModelNotFoundError(f"'{name}' lacks {', '.join(missing)}, the weights of its head. {remedy}")


def _choose_weights(backend: type[Backend], source: Source, config: RerankConfig) -> tuple[str, ...]:
    try:
        return tuple(backend.choose_weights(source.files, config))
    except ModelNotFoundError as error:
        if reason := explain_files(source.name, source.files):
            raise ModelNotFoundError(reason) from error
        raise


def _check_files(name: str, path: Path, weights: Sequence[str], named: Sequence[str]) -> None:
    """Refuse files that are missing or are not what their names say; a backend's own formats are its own business."""
    _check_present(name, path, weights)
    if weights and PurePosixPath(weights[0]).suffix in _WEIGHTS:
        check_usable(path)
    _check_present(name, path, named)


def _check_present(name: str, path: Path, files: Sequence[str]) -> None:
    if missing := [each for each in files if not (path / each).is_file()]:
        raise ModelNotFoundError(
            f"'{name}' lacks {', '.join(missing)} in '{path}'. If a download was interrupted, load it once with a "
            "network."
        )


def _nothing_to_load(source: Source) -> ModelNotFoundError:
    names = sorted(source.files)
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return ModelNotFoundError(
        explain_files(source.name, names)
        or f"'{source.name}' has neither .safetensors nor .onnx weights; its files: {shown or 'none'}. If a download "
        "was interrupted, load it once with a network."
    )
