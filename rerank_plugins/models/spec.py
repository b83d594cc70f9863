"""Everything about a model, resolved once from a user's options."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rerank_plugins.backends import choose_backend
from rerank_plugins.backends.base import Backend, ModelFolder, Placement
from rerank_plugins.errors import ModelNotFoundError
from rerank_plugins.models.declared import DeclaredConfig, read_declared
from rerank_plugins.models.source import Source, find_source
from rerank_plugins.models.unusable import check_usable, explain_files
from rerank_plugins.options import RerankConfig

# Formats that this package knows enough about to say what is wrong with a file.
_WEIGHTS = (".safetensors", ".onnx")
# Files that decide how a text becomes token ids and a number becomes a score, beside the weights.
_CONFIGURATION = (".json", ".txt", ".model", ".jinja", ".py")


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
        side = (file for file in path.iterdir() if file.suffix in _CONFIGURATION and file.is_file())
        return sorted({*side, *(path / name for name in self.folder.weights)})


def resolve(config: RerankConfig) -> ModelSpec:
    """Find a model's files, choose what runs them, and read what they declare. Loads nothing.

    Raises:
        InvalidValueError: If an option has no meaning for the model, or the device is not available.
        ModelNotFoundError: If the model, or a file of it, is missing or cannot be reached.
        UnsupportedModelError: If it declares something other than one relevance score.
    """
    choose_backend((), config)  # A wrong name is an error before the Hub is asked.
    source = find_source(config)
    backend = choose_backend(source.files, config)
    if backend is None:
        raise _nothing_to_load(source)
    weights = _choose_weights(backend, source, config)
    placement = backend.place(config)  # Before a download of gigabytes: a wrong device is an error now.
    path = source.fetch(weights)
    _check_files(source.name, path, weights)
    folder = ModelFolder(source.name, path, weights, config.trust_remote_code)
    return ModelSpec(folder, read_declared(source.name, path), backend, placement)


def _choose_weights(backend: type[Backend], source: Source, config: RerankConfig) -> tuple[str, ...]:
    try:
        return tuple(backend.choose_weights(source.files, config))
    except ModelNotFoundError as error:
        if reason := explain_files(source.name, source.files):
            raise ModelNotFoundError(reason) from error
        raise


def _check_files(name: str, path: Path, weights: Collection[str]) -> None:
    """Refuse files that are missing or are not what their names say; a backend's own formats are its own business."""
    if missing := [each for each in weights if not (path / each).is_file()]:
        raise ModelNotFoundError(
            f"'{name}' lacks {', '.join(missing)} in '{path}'. If a download was interrupted, load it once with a "
            "network."
        )
    ours = bool(weights) and all(PurePosixPath(each).suffix in _WEIGHTS for each in weights)
    if ours:
        check_usable(path)


def _nothing_to_load(source: Source) -> ModelNotFoundError:
    names = sorted(source.files)
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return ModelNotFoundError(
        explain_files(source.name, names)
        or f"'{source.name}' has neither .safetensors nor .onnx weights; its files: {shown or 'none'}. If a download "
        "was interrupted, load it once with a network."
    )
