"""Find a model's folder: the embedded one, a local one, or one from the Hub."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidValueError, ModelNotFoundError
from rerank_plugins.extras import is_installed
from rerank_plugins.models.declared import DeclaredConfig, read_declared
from rerank_plugins.options import RerankConfig

EMBEDDED_NAME = "embedded"
EMBEDDED_FOLDER = Path(__file__).parents[1] / "embedded"

# "owner/name" or "name", as the Hub spells repositories.
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files.

    Attributes:
        name: What the caller asked for; "embedded" for the model in the package.
        path: The folder.
        backend: Which backend loads it: `onnx`, `torch`, or a class.
        onnx_file: The file that the ONNX backend loads; None for torch.
        declared: What the folder's config declares.
        trust_remote_code: Whether Python code that comes with the model may run.
    """

    name: str
    path: Path
    backend: str | type[Any]
    onnx_file: Path | None
    declared: DeclaredConfig
    trust_remote_code: bool


def find_model(config: RerankConfig) -> ModelFolder:
    """Find the files of the model that a configuration names, and choose the backend that loads them.

    Raises:
        InvalidValueError: If there is no backend of that name, or an option is given that would do nothing there.
        ModelNotFoundError: If the folder, a file in it or the Hub repository is missing or out of reach.
        UnsupportedModelError: If the config declares something other than one relevance logit.
    """
    if config.backend != "auto":
        # Here, since backends import this module; now, since a download may take minutes.
        from rerank_plugins.backends import backend_class

        backend_class(config.backend)
    if config.onnx_file is not None and config.backend == "torch":
        raise InvalidValueError(f"onnx_file={config.onnx_file!r} is for the onnx backend, got backend='torch'.")
    path = _local_folder(config)
    if path is None:
        path, backend = _from_hub(config)
    else:
        backend = _local_backend(config, path)
        if config.revision is not None:
            raise InvalidValueError(f"revision={config.revision!r} is for names on the Hub, and '{path}' is a folder.")
    name = EMBEDDED_NAME if path == EMBEDDED_FOLDER else str(config.model)
    onnx_file = choose_onnx_file(path, config.onnx_file) if backend == "onnx" else None
    return ModelFolder(name, path, backend, onnx_file, read_declared(name, path), config.trust_remote_code)


def choose_onnx_file(folder: Path, asked: str | None) -> Path:
    """Choose the file asked for, else `model.onnx`, else the only one; in the folder itself, then in its `onnx/`.

    Raises:
        ModelNotFoundError: If there is none, or the choice is open.
    """
    if asked is not None:
        if not (folder / asked).is_file():
            raise ModelNotFoundError(f"onnx_file={asked!r} is not in the folder '{folder}'. {_onnx_files_in(folder)}")
        return folder / asked
    for place in (folder, folder / "onnx"):
        if (place / "model.onnx").is_file():
            return place / "model.onnx"
        if len(found := sorted(place.glob("*.onnx"))) == 1:
            return found[0]
        if found:
            raise ModelNotFoundError(
                f"'{folder}' holds {len(found)} .onnx files and no model.onnx. Choose one with onnx_file=: "
                + ", ".join(str(file.relative_to(folder)) for file in found)
            )
    raise ModelNotFoundError(
        f"'{folder}' holds no .onnx file. Use backend='torch' for its safetensors, or export the model to ONNX first."
    )


def _local_folder(config: RerankConfig) -> Path | None:
    """Return the folder on this machine, or None where the name is one for the Hub."""
    if config.model is None:
        return EMBEDDED_FOLDER
    name, path = str(config.model), Path(config.model).expanduser()
    if path.is_dir():
        return path.resolve()
    if config.model == EMBEDDED_NAME:
        return EMBEDDED_FOLDER
    if path.is_file():
        raise ModelNotFoundError(
            f"model='{path}' is a file. Pass its folder, model='{path.parent}', and name the file with onnx_file= "
            "where the folder holds several."
        )
    if not _HUB_NAME.fullmatch(name) or name.startswith("."):
        raise ModelNotFoundError(f"There is no folder '{name}', and it is no name on the Hub either.")
    return None


def _local_backend(config: RerankConfig, path: Path) -> str | type[Any]:
    if config.backend != "auto":
        return config.backend
    if config.onnx_file is not None or any(path.glob("*.onnx")):
        return "onnx"
    # A clone of a repository keeps ONNX files in a folder of their own, mostly beside safetensors.
    prefers_torch = is_installed("torch") and any(path.glob("*.safetensors"))
    return "onnx" if any(path.glob("onnx/*.onnx")) and not prefers_torch else "torch"


def _from_hub(config: RerankConfig) -> tuple[Path, str | type[Any]]:
    # The Hub's library takes a third of the whole import, and most models are on disk.
    from rerank_plugins.models import hub

    if config.backend != "auto":
        return hub.download(config, config.backend), config.backend
    if config.onnx_file is None and is_installed("torch"):
        path = hub.download(config, "torch")
        if any(path.glob("*.safetensors")) or not hub.has_onnx(config):
            return path, "torch"
    return hub.download(config, "onnx"), "onnx"


def _onnx_files_in(folder: Path) -> str:
    found = [
        str(file.relative_to(folder)) for place in (folder, folder / "onnx") for file in sorted(place.glob("*.onnx"))
    ]
    return f"It holds: {', '.join(found)}." if found else "It holds no .onnx file."
