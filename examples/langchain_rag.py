"""LangChain: a RAG chain whose LLM reads the top 5 of 50 candidates, with ContextualCompressionRetriever.

Run it with: python examples/langchain_rag.py "how does photosynthesis work in plants"
"""

import sys

from first_stage.langchain import PassageRetriever
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from rerank_plugins.langchain import RerankCompressor

PROMPT = ChatPromptTemplate.from_template("Answer from the context.\n\n{context}\n\nQuestion: {question}")


def joined(documents: list[Document]) -> str:
    """Join the documents into one text."""
    return "\n\n".join(document.page_content for document in documents)


def main(question: str) -> None:
    """Retrieve, rerank, and build the prompt that an LLM would get."""
    retriever = ContextualCompressionRetriever(
        base_compressor=RerankCompressor(top_n=5),
        base_retriever=PassageRetriever(k=50),
    )
    for document in retriever.invoke(question):
        score, rank = document.metadata["relevance_score"], document.metadata["rank"]
        print(f"{score:.3f}  was {rank:2}  {document.page_content[:80]}")

    # Append `| ChatOpenAI(...) | StrOutputParser()`, or any other chat model, to get an answer from these five.
    chain = {"context": retriever | RunnableLambda(joined), "question": RunnablePassthrough()} | PROMPT
    print(f"\nThe LLM would read {len(chain.invoke(question).to_string().split())} words.")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "who got the first nobel prize in physics")
