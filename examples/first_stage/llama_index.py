"""The shared passages as a LlamaIndex retriever, like `index.as_retriever(similarity_top_k=50)` on your index."""

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from first_stage import search


class PassageRetriever(BaseRetriever):
    """The `k` nearest passages, each with its cosine as the score."""

    def __init__(self, k: int = 50) -> None:
        self._k = k
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [
            NodeWithScore(node=TextNode(id_=each.id, text=each.full_text), score=cosine)
            for cosine, each in search(query_bundle.query_str, self._k)
        ]
