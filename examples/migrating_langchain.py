"""Migrating in LangChain: keep CrossEncoderReranker and replace its model, or switch to RerankCompressor.

Run it with: python examples/migrating_langchain.py

docs/migrating.md lists old and new lines side by side, for other rerankers too.
"""

from first_stage.langchain import PassageRetriever
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_core.documents import BaseDocumentCompressor, Document

from rerank_plugins import Reranker
from rerank_plugins.langchain import CrossEncoderModel, RerankCompressor

QUESTION = "who got the first nobel prize in physics"


def main() -> None:
    """Rerank 50 candidates both ways and show what each one writes into the documents."""
    candidates = PassageRetriever(k=50).invoke(QUESTION)
    reranker = Reranker()

    # Before: CrossEncoderReranker(model=HuggingFaceCrossEncoder(model_name="BAAI/bge-reranker-v2-m3"), top_n=5)
    step_one = CrossEncoderReranker(model=CrossEncoderModel(reranker), top_n=5)  # only the model changes
    step_two = RerankCompressor(reranker=reranker, top_n=5)  # adds scores, reports, asyncio, a threshold, tracing

    orders = [show(compressor, candidates) for compressor in (step_one, step_two)]
    print("\nThe order is the same." if orders[0] == orders[1] else "\nThe order differs.")


def show(compressor: BaseDocumentCompressor, candidates: list[Document]) -> list[str | None]:
    """Print the documents that a compressor keeps and return their ids."""
    kept = compressor.compress_documents(candidates, QUESTION)
    print(type(compressor).__name__)
    for document in kept:
        score = document.metadata.get("relevance_score")
        print(f"  {'no score' if score is None else f'{score:8.3f}'}  {document.page_content[:70]}")
    return [document.id for document in kept]


if __name__ == "__main__":
    main()
