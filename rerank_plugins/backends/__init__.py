"""From batches of token ids to logits, one module an engine."""

from rerank_plugins.backends.base import Backend
from rerank_plugins.extras import require
from rerank_plugins.loading.folder import ModelFolder

# name: (module, class)
_BACKENDS = {
    "onnx": ("rerank_plugins.backends.onnx", "OnnxBackend"),
    "torch": ("rerank_plugins.backends.torch", "TorchBackend"),
}


def backend_class(name: str) -> type[Backend]:
    """Import a backend by name.

    Raises:
        MissingExtraError: If what it runs on is not installed.
    """
    if name == "torch":
        require("torch", "torch")
        require("transformers", "torch")
    module, attribute = _BACKENDS[name]
    backend: type[Backend] = getattr(require(module, name), attribute)
    return backend


__all__ = ["Backend", "ModelFolder", "backend_class"]
