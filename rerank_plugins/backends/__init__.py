"""Ways to run a model, one module each: from batches of token ids to raw scores."""

import importlib
from collections.abc import Collection
from inspect import get_annotations

from rerank_plugins.backends.base import Backend
from rerank_plugins.errors import InvalidTypeError, InvalidValueError
from rerank_plugins.options import RerankConfig

# name: (module, class). The first one wins where two claim a model alike.
BACKENDS = {
    "onnx": ("rerank_plugins.backends.onnx", "OnnxBackend"),
    "torch": ("rerank_plugins.backends.torch", "TorchBackend"),
}

_SEE = "See docs/extending.md and rerank_plugins.backends.base.Backend."


def backend_name(backend: type[Backend]) -> str:
    """Return a backend's name in the table, or the name of a user's own class."""
    place = (backend.__module__, backend.__qualname__)
    return next((name for name, known in BACKENDS.items() if known == place), backend.__qualname__)


def requested_backend(config: RerankConfig) -> type[Backend] | None:
    """Return the backend that the user asked for; None for `auto`.

    Raises:
        InvalidValueError: If there is no backend of that name.
        InvalidTypeError: If a class was passed that is not a backend.
    """
    if not isinstance(config.backend, str):
        return _checked(config.backend)
    return None if config.backend == "auto" else _named(config.backend)


def choose_backend(files: Collection[str], config: RerankConfig) -> type[Backend] | None:
    """Choose the backend that claims a model most; None if none does.

    Args:
        files: The names of the model's files.
        config: What the user asked for.
    """
    claims = [(backend.claim(files, config), backend) for backend in map(_named, BACKENDS)]
    strongest, backend = max(claims, key=lambda claim: claim[0])
    return backend if strongest else None


def _named(name: str) -> type[Backend]:
    if name not in BACKENDS:
        known = ", ".join(map(repr, ("auto", *BACKENDS)))
        raise InvalidValueError(f"backend must be one of {known}, or a Backend class, got {name!r}.")
    module, attribute = BACKENDS[name]
    backend: type[Backend] = getattr(importlib.import_module(module), attribute)
    return backend


def _checked(backend: type) -> type[Backend]:
    missing = [name for name in ("choose_weights", "place", "forward", "close") if not hasattr(backend, name)]
    if missing:
        raise InvalidTypeError(f"backend={backend!r} lacks {', '.join(missing)}. {_SEE}")
    return backend


def check_attributes(backend: Backend) -> None:
    """Refuse a loaded backend that lacks what the queue in front of it must know.

    Raises:
        InvalidTypeError: If an attribute of the protocol is missing.
    """
    if missing := [name for name in get_annotations(Backend) if not hasattr(backend, name)]:
        raise InvalidTypeError(f"{type(backend).__name__} has no {', '.join(missing)} after it is made. {_SEE}")
