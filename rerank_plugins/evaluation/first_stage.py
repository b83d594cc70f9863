"""The order that is reranked: from FAISS, from BM25, or from a file."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rerank_plugins.evaluation.dataset import Dataset, Run
from rerank_plugins.extras import extra

if TYPE_CHECKING:
    from rerank_plugins.retrieval.embedding import BiEncoder

OnProgress = Callable[[int], object]


def retrieve_with_faiss(
    dataset: Dataset, k: int, encoder: "BiEncoder", *, on_progress: OnProgress | None = None
) -> Run:
    """Retrieve by cosine, from an index that is kept in the user's cache folder."""
    from rerank_plugins.retrieval.index import FaissIndex

    passages = list(dataset.passages.values())
    index = FaissIndex(passages, encoder, on_progress=on_progress)
    vectors = encoder.encode(list(dataset.queries.values()))
    return {
        query_id: [passages[candidate.index].id for candidate in index.search_vector(vector[None, :], k)]
        for query_id, vector in zip(dataset.queries, vectors, strict=True)
    }


def retrieve_with_bm25(dataset: Dataset, k: int) -> Run:
    """Retrieve by BM25, as Lucene scores it, over English stems; it splits words at spaces, so not for Chinese."""
    with extra("evaluation", provides="bm25s"):
        import bm25s
    with extra("evaluation", provides="Stemmer"):
        import Stemmer

    stemmer = Stemmer.Stemmer("english")
    passages = list(dataset.passages.values())
    index = bm25s.BM25(method="lucene")
    texts = [passage.full_text for passage in passages]
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    queries = bm25s.tokenize(
        list(dataset.queries.values()), stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False
    )
    found, _ = index.retrieve(queries, k=min(k, len(passages)), show_progress=False)
    return {
        query_id: [passages[int(place)].id for place in places]
        for query_id, places in zip(dataset.queries, found, strict=True)
    }


def take_from_file(dataset: Dataset, k: int) -> Run:
    """Take the folder's own candidates; the judged documents of the corpus, in its order, where it brings none."""
    if dataset.candidates is not None:
        return {query_id: dataset.candidates.get(query_id, [])[:k] for query_id in dataset.queries}
    # In the corpus's order: that of the judgements may put the relevant ones first.
    places = {document_id: place for place, document_id in enumerate(dataset.passages)}
    judged = {query_id: dataset.qrels[query_id].keys() & places.keys() for query_id in dataset.queries}
    return {query_id: sorted(document_ids, key=places.__getitem__)[:k] for query_id, document_ids in judged.items()}
