"""Retrieve the candidates that are reranked: with FAISS, with BM25, or from a file."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.runs import Run
from rerank_plugins.extras import extra

if TYPE_CHECKING:
    from rerank_plugins.retrieval.embedding import BiEncoder

OnProgress = Callable[[int], object]


def retrieve_with_faiss(
    dataset: Dataset, k: int, encoder: "BiEncoder", *, on_progress: OnProgress | None = None
) -> Run:
    """Retrieve by cosine similarity, from an index that is kept in the user's cache folder.

    Args:
        dataset: The queries and the documents.
        k: How many documents to retrieve for each query.
        encoder: Embeds queries and documents.
        on_progress: Called with the number of documents just embedded, if the index must be built.
    """
    from rerank_plugins.retrieval.index import FaissIndex

    passages = list(dataset.passages.values())
    index = FaissIndex(passages, encoder, on_progress=on_progress)
    vectors = encoder.encode(list(dataset.queries.values()))
    return {
        query_id: [passages[candidate.index].id for candidate in index.search_vector(vector[None, :], k)]
        for query_id, vector in zip(dataset.queries, vectors, strict=True)
    }


def retrieve_with_bm25(dataset: Dataset, k: int) -> Run:
    """Retrieve by BM25, scored as in Lucene, with English stop words and stems.

    Text in other languages is searched unstemmed; Chinese, Japanese, Korean and scripts without spaces by pairs of
    characters (see `split_terms`). As in Lucene, documents that share no term with the query are not retrieved, so a
    list may have fewer than `k`.

    Args:
        dataset: The queries and the documents.
        k: How many documents to retrieve for each query.

    Raises:
        InvalidValueError: If the documents have no terms, such as a corpus of emoji.
    """
    with extra("evaluation", provides="bm25s"):
        import bm25s

    passages = list(dataset.passages.values())
    documents = _terms([passage.full_text for passage in passages])
    if not any(documents):
        raise InvalidValueError(f"BM25 finds no words in the corpus of '{dataset.name}'. Use another retriever.")
    index = bm25s.BM25(method="lucene")
    index.index(documents, show_progress=False)
    queries = _terms(list(dataset.queries.values()))
    found, scores = index.retrieve(queries, k=min(k, len(passages)), show_progress=False)
    return {
        query_id: [passages[int(place)].id for place, score in zip(*row, strict=True) if score > 0]
        for query_id, *row in zip(dataset.queries, found, scores, strict=True)
    }


def _terms(texts: Sequence[str]) -> list[list[str]]:
    """Split texts into terms without English stop words, stemmed."""
    from bm25s.stopwords import STOPWORDS_EN

    from rerank_plugins.evaluation.terms import split_terms

    with extra("evaluation", provides="Stemmer"):
        import Stemmer

    stemmer, stop_words = Stemmer.Stemmer("english"), set(STOPWORDS_EN)
    return [stemmer.stemWords([term for term in split_terms(text) if term not in stop_words]) for text in texts]


def take_from_file(dataset: Dataset, k: int) -> Run:
    """Take the folder's own candidates; without any, the judged documents in the corpus's order.

    Args:
        dataset: The queries, the judgements and the candidates.
        k: How many documents to keep for each query.
    """
    if dataset.candidates is not None:
        return {query_id: dataset.candidates.get(query_id, [])[:k] for query_id in dataset.queries}
    # In the corpus's order: that of the judgements may put the relevant ones first.
    places = {document_id: place for place, document_id in enumerate(dataset.passages)}
    judged = {query_id: dataset.qrels[query_id].keys() & places.keys() for query_id in dataset.queries}
    return {query_id: sorted(document_ids, key=places.__getitem__)[:k] for query_id, document_ids in judged.items()}
