"""A FAISS index over passages, cached on disk."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerank_plugins.extras import extra
from rerank_plugins.reading.passages import Passage

if TYPE_CHECKING:
    from rerank_plugins.retrieval.embedding import BiEncoder, Vectors

with extra("faiss", provides="faiss"):
    import faiss
with extra("faiss", provides="platformdirs"):
    from platformdirs import user_cache_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A retrieved passage.

    Attributes:
        index: Its place in the collection.
        score: Its cosine similarity to the query.
    """

    index: int
    score: float


class FaissIndex:
    """Exact search by cosine similarity, fast enough for thousands of passages.

    Args:
        passages: The collection.
        encoder: Embeds passages and queries.
        cache_folder: Where the index is cached; None for the user's cache folder (`XDG_CACHE_HOME` on Linux).
        on_progress: Called with the number of passages just embedded, if the index must be built.

    Attributes:
        passages: The collection.
        from_cache: Whether the index was loaded from the cache.

    Examples:
        >>> index = FaissIndex(passages, BiEncoder())
        >>> [passages[candidate.index].title for candidate in index.search("first nobel prize in physics", k=1)]
        ['List of Nobel laureates in Physics']
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        encoder: "BiEncoder",
        *,
        cache_folder: Path | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> None:
        self.passages = passages
        self._encoder = encoder
        folder = cache_folder or user_cache_path("rerank-plugins")
        file = folder / "faiss" / f"{_digest(passages, encoder)}.faiss"
        kept = _read(file, len(passages))
        self.from_cache = kept is not None
        self._index = kept or _build(passages, encoder, on_progress)
        if not self.from_cache:
            try:
                _write(self._index, file)
            except (OSError, RuntimeError) as error:  # faiss raises RuntimeError
                logger.warning(
                    "The index cannot be cached in '%s' (%s); it will be rebuilt next time.", file.parent, error
                )

    def search(self, query: str, k: int) -> list[Candidate]:
        """Find the passages nearest to a query, best first.

        Args:
            query: The query.
            k: How many passages to return; fewer if the collection is smaller.
        """
        return self.search_vector(self._encoder.encode([query]), k)

    def search_vector(self, vector: "Vectors", k: int) -> list[Candidate]:
        """Find the passages nearest to an embedded query, best first.

        Args:
            vector: The query's embedding, of shape (1, dimensions).
            k: How many passages to return; fewer if the collection is smaller.
        """
        scores, indexes = self._index.search(vector, min(k, len(self.passages)))
        return [Candidate(int(index), float(score)) for index, score in zip(indexes[0], scores[0], strict=True)]


def _digest(passages: Sequence[Passage], encoder: "BiEncoder") -> str:
    digest = hashlib.sha256(encoder.fingerprint.encode())
    for passage in passages:
        text = passage.full_text.encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()


def _build(passages: Sequence[Passage], encoder: "BiEncoder", on_progress: Callable[[int], object] | None) -> Any:
    vectors = encoder.encode([passage.full_text for passage in passages], on_progress=on_progress)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _read(file: Path, size: int) -> Any | None:
    try:
        if not file.is_file():
            return None
        index = faiss.read_index(str(file))
    except RuntimeError as error:
        logger.warning("The index in '%s' cannot be read (%s); rebuilding it.", file, error)
        return None
    return index if index.ntotal == size else None


def _write(index: Any, file: Path) -> None:
    """Write to a temporary file and rename it: another process never reads a partial index."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
    os.close(handle)
    try:
        faiss.write_index(index, temporary)
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)
