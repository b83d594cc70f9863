"""Ways to run a model, one module each: from batches of token ids to raw scores."""

import importlib
from collections.abc import Collection

from rerank_plugins.backends.base import Backend
from rerank_plugins.errors import InvalidTypeError, InvalidValueError
from rerank_plugins.options import RerankConfig

# name: (module, class). The first one wins where two claim a model alike.
_BACKENDS = {
    "onnx": ("rerank_plugins.backends.onnx", "OnnxBackend"),
    "torch": ("rerank_plugins.backends.torch", "TorchBackend"),
}


def backend_name(backend: type[Backend]) -> str:
    """Return a backend's name in the table, or the name of a user's own class."""
    place = (backend.__module__, backend.__qualname__)
    return next((name for name, known in _BACKENDS.items() if known == place), backend.__qualname__)


def choose_backend(files: Collection[str], config: RerankConfig) -> type[Backend] | None:
    """Choose the backend that the user asked for, else the one that claims the model most; None if none does.

    Args:
        files: The names of the model's files.
        config: What the user asked for.

    Raises:
        InvalidValueError: If there is no backend of that name.
        InvalidTypeError: If a class was passed that is not a backend.
    """
    if not isinstance(config.backend, str):
        return _checked(config.backend)
    if config.backend != "auto":
        return _named(config.backend)
    claims = [(backend.claim(files, config), backend) for backend in map(_named, _BACKENDS)]
    strongest, backend = max(claims, key=lambda claim: claim[0])
    return backend if strongest else None


def _named(name: str) -> type[Backend]:
    if name not in _BACKENDS:
        known = ", ".join(map(repr, ("auto", *_BACKENDS)))
        raise InvalidValueError(f"backend must be one of {known}, or a Backend class, got {name!r}.")
    module, attribute = _BACKENDS[name]
    backend: type[Backend] = getattr(importlib.import_module(module), attribute)
    return backend


def _checked(backend: type) -> type[Backend]:
    missing = [name for name in ("choose_weights", "place", "forward", "close") if not hasattr(backend, name)]
    if missing or not isinstance(backend, type):
        raise InvalidTypeError(
            f"backend={backend!r} is not a backend: it lacks {', '.join(missing) or 'being a class'}. See "
            "rerank_plugins.backends.base.Backend."
        )
    return backend
