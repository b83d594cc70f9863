"""The first stage that the examples share: 2,600 Wikipedia passages in a FAISS index. Use your own store instead."""

from functools import cache
from pathlib import Path

from rerank_plugins.reading.passages import Passage, read_passages
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.retrieval.index import FaissIndex

FOLDER = Path(__file__).parents[1] / "data" / "nq_open_gold"


@cache
def open_index() -> FaissIndex:
    """Open the index. The first call builds it in about a minute and stores it in the user's cache folder."""
    return FaissIndex(read_passages(FOLDER / "corpus.jsonl.gz"), BiEncoder())


def search(question: str, k: int) -> list[tuple[float, Passage]]:
    """Return the passages nearest to a question, best first, each with its cosine."""
    index = open_index()
    return [(found.score, index.passages[found.index]) for found in index.search(question, k)]
