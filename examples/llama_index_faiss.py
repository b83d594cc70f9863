"""LlamaIndex: 50 candidates from FAISS, the best 5 for the LLM.

Run it with: python examples/llama_index_faiss.py "how does photosynthesis work in plants"
"""

import sys
from pathlib import Path

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from rerank_plugins.llama_index import RerankPostprocessor
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.retrieval.index import FaissIndex
from rerank_plugins.retrieval.passages import read_passages

PASSAGES = Path(__file__).parent / "data" / "nq_open_gold" / "corpus.jsonl.gz"


class WikipediaRetriever(BaseRetriever):
    """Any LlamaIndex retriever will do; this one searches the demo's index."""

    def __init__(self, index: FaissIndex, k: int = 50) -> None:
        self._index, self._k = index, k
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._index.search(query_bundle.query_str, self._k)
        passages = ((candidate, self._index.passages[candidate.index]) for candidate in found)
        return [
            NodeWithScore(node=TextNode(id_=passage.id, text=passage.full_text), score=candidate.score)
            for candidate, passage in passages
        ]


def main(question: str) -> None:
    """Ask a query engine that reranks what its LLM reads."""
    engine = RetrieverQueryEngine.from_args(
        WikipediaRetriever(FaissIndex(read_passages(PASSAGES), BiEncoder())),
        node_postprocessors=[RerankPostprocessor(top_n=5, keep_retrieval_score=True)],
        llm=MockLLM(),  # Your LLM here: this one only repeats its prompt.
    )
    for node in engine.query(question).source_nodes:
        cosine = node.node.metadata["retrieval_score"]
        print(f"{node.score:.3f}  cosine {cosine:.3f}  {node.node.get_content()[:90]}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "who got the first nobel prize in physics")
