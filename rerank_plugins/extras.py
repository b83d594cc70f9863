"""Name the extra to install when an optional library is missing."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from rerank_plugins.errors import MissingExtraError


@contextmanager
def extra(name: str, *, provides: str) -> Iterator[None]:
    """Import a library inside this block: if it is missing, the error names the extra to install.

    A broken installation keeps its own error: only a library that is not there at all is reported as missing.

    Args:
        name: The extra.
        provides: The library's module.

    Raises:
        MissingExtraError: If the module is not installed.

    Examples:
        >>> with extra("faiss", provides="faiss"):
        ...     import faiss
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or not f"{provides}.".startswith(f"{error.name}."):
            raise
        raise MissingExtraError(
            f"'{provides}' is not installed. Install it with: pip install 'rerank-plugins[{name}]'", name=provides
        ) from error


def is_installed(module: str) -> bool:
    """Tell whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None
