"""Where a model's files are: in the package, in a folder, or on the Hub."""

import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import InvalidValueError, ModelNotFoundError
from rerank_plugins.models.unusable import explain_name
from rerank_plugins.options import ModelOptions

EMBEDDED_NAME = "embedded"
EMBEDDED_FOLDER = Path(__file__).parents[1] / "embedded"

# "owner/name" or "name", as the Hub spells repositories.
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """A model's files, on this machine or not.

    Attributes:
        name: What the user asked for; "embedded" for the model in the package.
        files: Their names, relative to the model's folder, with `/` between folders.
        fetch: Returns the folder on this machine, downloading configuration, tokenizer and the weights named.
    """

    name: str
    files: frozenset[str]
    fetch: Callable[[Sequence[str]], Path]


def find_source(options: ModelOptions) -> Source:
    """Find the files of the model that a user named.

    Raises:
        InvalidValueError: If an option is given that would do nothing there.
        ModelNotFoundError: If there is no such folder and no such repository, or the Hub cannot be reached.
    """
    path = _local_folder(options)
    if path is None:
        return _on_the_hub(options)
    if options.revision is not None:
        raise InvalidValueError(f"revision={options.revision!r} is for names on the Hub, and '{path}' is a folder.")
    name = EMBEDDED_NAME if path == EMBEDDED_FOLDER else str(options.model)
    return Source(name, file_names(path), lambda _: path)


def file_names(folder: Path) -> frozenset[str]:
    """Name the files of a folder and of its visible subfolders, as the Hub names those of a repository."""
    places = [folder, *(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))]
    return frozenset(
        file.relative_to(folder).as_posix() for place in places for file in place.iterdir() if file.is_file()
    )


def _local_folder(options: ModelOptions) -> Path | None:
    """Return the folder on this machine, or None where the name is one for the Hub."""
    if options.model is None:
        return EMBEDDED_FOLDER
    model = str(options.model)
    try:
        path = Path(model).expanduser()
        if path.is_dir():
            return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such user, a null byte
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ModelNotFoundError(f"model={reprlib.repr(model)} is not a valid path: {reason}. Check it.") from None
    if model == EMBEDDED_NAME:
        return EMBEDDED_FOLDER
    if reason := explain_name(model):
        raise ModelNotFoundError(reason)
    if path.is_file():
        raise ModelNotFoundError(
            f"model='{path}' is a file. Pass its folder, model='{path.parent}', and name the file with onnx_file= "
            "where the folder holds several."
        )
    if not _HUB_NAME.fullmatch(model) or model.startswith("."):
        raise ModelNotFoundError(f"There is no folder '{model}', and it is not a name on the Hub either.")
    return None


def _on_the_hub(options: ModelOptions) -> Source:
    # The Hub's library takes a third of the whole import, and most models are on disk.
    from rerank_plugins.models import hub

    names = hub.list_files(options)
    if names is not None:
        return Source(str(options.model), frozenset(names), lambda weights: hub.download(options, weights))
    cached = hub.cached_folder(options)  # The Hub cannot be asked: what an earlier download left must do.
    return Source(str(options.model), file_names(cached), lambda _: cached)
