"""LlamaIndex: a chat engine that reranks for every message. Streaming and async work as usual.

Run it with: python examples/llama_index_chat_engine.py "who got the first nobel prize in chemistry"
"""

import asyncio
import sys

from first_stage.llama_index import PassageRetriever
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.llms import MockLLM

from rerank_plugins.llama_index import RerankPostprocessor

MESSAGES = ["who got the first nobel prize in physics", "how many countries are a part of opec"]


async def main(messages: list[str]) -> None:
    """Have a conversation, and print what the LLM would read for each message."""
    # With your own index: index.as_chat_engine(chat_mode="context", similarity_top_k=50, node_postprocessors=[...]).
    # For follow-ups such as "when was that?" use "condense_plus_context": its LLM rewrites them as full questions,
    # which a reranker needs.
    engine = ContextChatEngine.from_defaults(
        PassageRetriever(k=50),
        node_postprocessors=[RerankPostprocessor(top_n=3)],
        llm=MockLLM(),  # Your LLM here; this one only echoes its prompt.
    )
    for message in messages:
        response = await engine.achat(message)
        print(f"{message}?")
        for node in response.source_nodes:
            print(f"  {node.score:.3f}  {node.node.get_content()[:80]}")
    print(f"\nThe conversation has {len(engine.chat_history)} messages.")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or MESSAGES))
