"""Migrating in LangChain: CrossEncoderReranker as it is with another core, or RerankCompressor in its place.

Run it with: python examples/migrating_langchain.py

docs/migrating.md has a table of old lines and new ones, for other rerankers too.
"""

from first_stage.langchain import PassageRetriever
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_core.documents import BaseDocumentCompressor, Document

from rerank_plugins import Reranker
from rerank_plugins.langchain import CrossEncoderModel, RerankCompressor

QUESTION = "who got the first nobel prize in physics"


def main() -> None:
    """Rerank 50 candidates both ways, and show what each leaves in the documents."""
    candidates = PassageRetriever(k=50).invoke(QUESTION)
    reranker = Reranker()

    # Before: CrossEncoderReranker(model=HuggingFaceCrossEncoder(model_name="BAAI/bge-reranker-v2-m3"), top_n=5)
    step_one = CrossEncoderReranker(model=CrossEncoderModel(reranker), top_n=5)  # one name changes, the core is new
    step_two = RerankCompressor(reranker=reranker, top_n=5)  # scores, reports, asyncio, a threshold, a trace

    orders = [show(compressor, candidates) for compressor in (step_one, step_two)]
    print("\nThe order is the same." if orders[0] == orders[1] else "\nThe order differs.")


def show(compressor: BaseDocumentCompressor, candidates: list[Document]) -> list[str | None]:
    """Print what a compressor keeps; return the ids."""
    kept = compressor.compress_documents(candidates, QUESTION)
    print(type(compressor).__name__)
    for document in kept:
        score = document.metadata.get("relevance_score")
        print(f"  {'no score' if score is None else f'{score:8.3f}'}  {document.page_content[:70]}")
    return [document.id for document in kept]


if __name__ == "__main__":
    main()
