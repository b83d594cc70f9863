"""LangChain: 50 candidates from FAISS, the best 5 for the LLM.

Run it with: python examples/langchain_faiss.py "how does photosynthesis work in plants"
"""

import sys
from pathlib import Path
from typing import Any

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from rerank_plugins.langchain import RerankCompressor
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.retrieval.index import FaissIndex
from rerank_plugins.retrieval.passages import read_passages

PASSAGES = Path(__file__).parent / "data" / "nq_open_gold" / "corpus.jsonl.gz"


class WikipediaRetriever(BaseRetriever):
    """Any LangChain retriever will do; this one searches the demo's index."""

    index: Any
    k: int = 50

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        found = enumerate(self.index.search(query, self.k), start=1)
        passages = ((rank, self.index.passages[candidate.index]) for rank, candidate in found)
        return [Document(id=each.id, page_content=each.full_text, metadata={"rank": rank}) for rank, each in passages]


def main(question: str) -> None:
    """Retrieve, rerank, and build the prompt that an LLM would get."""
    wikipedia = WikipediaRetriever(index=FaissIndex(read_passages(PASSAGES), BiEncoder()))
    retriever = ContextualCompressionRetriever(base_compressor=RerankCompressor(top_n=5), base_retriever=wikipedia)
    for document in retriever.invoke(question):
        rank, score = document.metadata["rank"], document.metadata["relevance_score"]
        print(f"{score:.3f}  was {rank:2}  {document.page_content[:90]}")

    # In a chain: add `| ChatOpenAI(...)`, or any other chat model, and the answer comes from these five.
    context = retriever | RunnableLambda(lambda documents: "\n\n".join(each.page_content for each in documents))
    prompt = ChatPromptTemplate.from_template("Answer from the context.\n\n{context}\n\nQuestion: {question}")
    chain = {"context": context, "question": RunnablePassthrough()} | prompt
    print(f"\nThe LLM would read {len(chain.invoke(question).to_string().split())} words.")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "who got the first nobel prize in physics")
