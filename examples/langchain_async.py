"""LangChain with LCEL and asyncio: concurrent questions share one model without each holding a thread.

Run it with: python examples/langchain_async.py [MODEL]

On torch, pairs of different questions share batches, which saves time on a GPU. The embedded model scores single pairs
on all cores, so it gains little. The results are the same as when each question is asked on its own.
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
    """Ask the questions one by one, then all of them concurrently."""
    compressor = RerankCompressor(model=model, top_n=1)

    async def rerank(found: dict[str, Any]) -> list[Document]:
        return await compressor.acompress_documents(found["documents"], found["question"])

    chain = RunnableParallel(question=RunnablePassthrough(), documents=PassageRetriever(k=50)) | RunnableLambda(rerank)
    await chain.ainvoke(QUESTIONS[0])  # Warm-up: the first call is slower.
    start = time.perf_counter()
    alone = [await chain.ainvoke(question) for question in QUESTIONS]
    middle = time.perf_counter()
    together = await chain.abatch(QUESTIONS)
    end = time.perf_counter()

    for question, (best, *_) in zip(QUESTIONS, together, strict=True):
        print(f"{best.metadata['relevance_score']:.3f}  {question}: {best.page_content[:60]}")
    print(f"\n{middle - start:.1f} s one by one, {end - middle:.1f} s concurrently.")
    print("The results are the same." if together == alone else "The results differ.")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
