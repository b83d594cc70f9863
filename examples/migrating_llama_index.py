"""Migrating in LlamaIndex: with the same model, SentenceTransformerRerank and RerankPostprocessor give the same scores.

Run it with: python examples/migrating_llama_index.py [MODEL]

MODEL is a Hub name or a local folder, such as the one that fine_tuning.py writes. The default is bge-reranker-v2-m3, a
2.3 GB download the first time. docs/migrating.md lists old and new lines side by side, for other rerankers too.
"""

import sys

from first_stage.llama_index import PassageRetriever
from llama_index.core.postprocessor import SentenceTransformerRerank

from rerank_plugins import ModelNotFoundError
from rerank_plugins.llama_index import RerankPostprocessor

QUESTION = "who got the first nobel prize in physics"


def main(model: str = "BAAI/bge-reranker-v2-m3") -> None:
    """Rerank 20 candidates both ways and print both scores of each node that is kept."""
    try:
        new = RerankPostprocessor(model=model, top_n=5, device="cpu")
    except ModelNotFoundError:
        sys.exit(f"This example needs the model '{model}': run it with network access, or pass a local folder.")
    old = SentenceTransformerRerank(model=model, top_n=5, device="cpu", trust_remote_code=False)

    retriever = PassageRetriever(k=20)
    ours = new.postprocess_nodes(retriever.retrieve(QUESTION), query_str=QUESTION)
    theirs = old.postprocess_nodes(retriever.retrieve(QUESTION), query_str=QUESTION)
    for our, their in zip(ours, theirs, strict=True):
        print(f"{our.score:.4f}  {their.score:.4f}  {our.node.get_content()[:80]}")
    same = [our.node_id for our in ours] == [their.node_id for their in theirs]
    print("\nThe order is the same." if same else "\nThe order differs.")


if __name__ == "__main__":
    main(*sys.argv[1:2])
