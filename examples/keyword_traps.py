"""Keyword traps: passages that share the question's words but do not answer it, by cosine and by cross-encoder.

Run it with: python examples/keyword_traps.py

Each list is in reranked order; "was" is the rank by cosine. Look at the gap between the answer and the trap as well:
the wider it is, the easier it is to choose a score threshold.
"""

from rerank_plugins import Reranker
from rerank_plugins.retrieval.embedding import BiEncoder

BIOLOGY = [
    "Plants have green leaves due to chlorophyll pigment.",
    "Photosynthesis produces oxygen as a byproduct.",
    "Photosynthesis uses sunlight to convert CO2 and water into glucose.",
    "Aspirin can cause stomach irritation and bleeding in some patients.",
]
APPLE = [
    "Apple's latest event presents a new iPhone and health features.",
    "Apple Intelligence brings writing tools, image generation and a smarter Siri to iPhone, iPad and Mac.",
]
TRAPS = {
    "How does photosynthesis work in plants?": BIOLOGY,
    "What are the side effects of aspirin?": BIOLOGY,
    "What AI features has Apple just released?": APPLE,
}


def main() -> None:
    """Print each passage with both scores and its rank by cosine, in the cross-encoder's order."""
    encoder, reranker = BiEncoder(), Reranker()
    for question, passages in TRAPS.items():
        cosines = encoder.encode(passages) @ encoder.encode([question])[0]
        retrieved = sorted(range(len(passages)), key=lambda index: -cosines[index])
        results = reranker.rank(question, [passages[index] for index in retrieved])
        print(f"{question}\n  score  cosine  was")
        for result in results:
            index = retrieved[result.index]
            print(f"  {result.score:.3f}  {cosines[index]:6.3f}  {result.index + 1:3}  {passages[index]}")
        print()


if __name__ == "__main__":
    main()
