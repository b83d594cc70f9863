"""From batches of token ids to logits, one module an engine."""

import importlib

from rerank_plugins.backends.base import Backend
from rerank_plugins.errors import InvalidValueError

# name: (module, class); a backend's libraries are imported when it is first asked for.
_BACKENDS = {
    "onnx": ("rerank_plugins.backends.onnx", "OnnxBackend"),
    "torch": ("rerank_plugins.backends.torch", "TorchBackend"),
}


def backend_class(name: str | type[Backend]) -> type[Backend]:
    """Import a backend by name; a class is returned as it is.

    Raises:
        InvalidValueError: If there is no backend of that name.
        MissingExtraError: If what it runs on is not installed.
    """
    if not isinstance(name, str):
        return name
    if name not in _BACKENDS:
        known = ", ".join(repr(each) for each in ("auto", *_BACKENDS))
        raise InvalidValueError(f"backend must be one of {known}, or a Backend class, got {name!r}.")
    module, attribute = _BACKENDS[name]
    backend: type[Backend] = getattr(importlib.import_module(module), attribute)
    return backend
