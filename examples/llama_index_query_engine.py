"""LlamaIndex: a query engine whose LLM reads the top 5 of 50 candidates.

Run it with: python examples/llama_index_query_engine.py "how does photosynthesis work in plants"
"""

import sys

from first_stage.llama_index import PassageRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from rerank_plugins.llama_index import RerankPostprocessor


def main(question: str) -> None:
    """Ask a query engine that reranks before its LLM reads."""
    # With your own index: index.as_query_engine(similarity_top_k=50, node_postprocessors=[...])
    engine = RetrieverQueryEngine.from_args(
        PassageRetriever(k=50),
        node_postprocessors=[RerankPostprocessor(top_n=5, keep_retrieval_score=True)],
        llm=MockLLM(),  # Your LLM here; this one only echoes its prompt.
    )
    response = engine.query(question)
    for node in response.source_nodes:
        cosine = node.node.metadata["retrieval_score"]
        print(f"{node.score:.3f}  cosine {cosine:.3f}  {node.node.get_content()[:80]}")
    print(f"\nThe LLM would read {len(str(response).split())} words.")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "who got the first nobel prize in physics")
