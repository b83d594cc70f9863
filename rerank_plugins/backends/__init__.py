"""From batches of token ids to logits, one module an engine."""

import importlib

from rerank_plugins.backends.base import Backend

# name: (module, class); a backend's libraries are imported when it is first asked for.
_BACKENDS = {
    "onnx": ("rerank_plugins.backends.onnx", "OnnxBackend"),
    "torch": ("rerank_plugins.backends.torch", "TorchBackend"),
}


def backend_class(name: str) -> type[Backend]:
    """Import a backend by name.

    Raises:
        MissingExtraError: If what it runs on is not installed.
    """
    module, attribute = _BACKENDS[name]
    backend: type[Backend] = getattr(importlib.import_module(module), attribute)
    return backend
