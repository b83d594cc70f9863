"""The first stage that the examples share: 2,600 Wikipedia passages in a FAISS index, in place of your own store."""

from functools import cache
from pathlib import Path

from rerank_plugins.reading.passages import Passage, read_passages
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.retrieval.index import FaissIndex

FOLDER = Path(__file__).parents[1] / "data" / "nq_open_gold"


@cache
def open_index() -> FaissIndex:
    """Open the index; the first time it is built, which takes about a minute, and kept in the user's cache folder."""
    return FaissIndex(read_passages(FOLDER / "corpus.jsonl.gz"), BiEncoder())


def search(question: str, k: int) -> list[tuple[float, Passage]]:
    """Find the passages nearest to a question, best first, each with its cosine."""
    index = open_index()
    return [(found.score, index.passages[found.index]) for found in index.search(question, k)]
