"""LangChain with LCEL and asyncio: several questions at once share one model, and none of them holds a thread.

Run it with: python examples/langchain_async.py [MODEL]

On torch, pairs of different questions share batches: that is where a GPU gains time. The embedded model reads single
pairs on all cores, and gains little. Either way a question gets the answers that it gets alone.
"""

import asyncio
import sys
import time
from typing import Any

from first_stage.langchain import PassageRetriever
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough

from rerank_plugins.langchain import RerankCompressor

QUESTIONS = [
    "who got the first nobel prize in physics",
    "where is gall bladder situated in human body",
    "how many countries are a part of opec",
    "what is the name of manchester united stadium",
    "where do they grow hops in the us",
]


async def main(model: str | None = None) -> None:
    """Ask one question after the other, then all of them at once."""
    compressor = RerankCompressor(model=model, top_n=1)

    async def rerank(found: dict[str, Any]) -> list[Document]:
        return await compressor.acompress_documents(found["documents"], found["question"])

    chain = RunnableParallel(question=RunnablePassthrough(), documents=PassageRetriever(k=50)) | RunnableLambda(rerank)
    await chain.ainvoke(QUESTIONS[0])  # the first call is slower than the others
    start = time.perf_counter()
    alone = [await chain.ainvoke(question) for question in QUESTIONS]
    middle = time.perf_counter()
    together = await chain.abatch(QUESTIONS)
    end = time.perf_counter()

    for question, (best, *_) in zip(QUESTIONS, together, strict=True):
        print(f"{best.metadata['relevance_score']:.3f}  {question}: {best.page_content[:60]}")
    print(f"\n{middle - start:.1f} s one after the other, {end - middle:.1f} s at once.")
    print("The answers are the same." if together == alone else "The answers differ.")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
