"""Import what an extra of the package brings, or name the extra that is missing."""

import importlib
import importlib.util
from types import ModuleType

from rerank_plugins.errors import MissingExtraError


def is_installed(module: str) -> bool:
    """Tell whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def require(module: str, extra: str) -> ModuleType:
    """Import a module that an extra brings.

    A broken installation keeps its own error: only a module that is not there at all is named as missing.

    Raises:
        MissingExtraError: If the module is not installed.

    Example:
        >>> require("faiss", "faiss").IndexFlatIP(2).d
        2
    """
    package = module.partition(".")[0]
    if not is_installed(package):
        raise MissingExtraError(
            f"'{package}' is not installed. Install it with: pip install 'rerank-plugins[{extra}]'", name=package
        )
    return importlib.import_module(module)
