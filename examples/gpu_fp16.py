"""Half precision on a GPU: half the memory, and how much faster, with the same order.

Run it with: python examples/gpu_fp16.py [MODEL]

MODEL is a name on the Hub or a folder; without it, bge-reranker-v2-m3 is downloaded the first time (2.3 GB).
"""

import statistics
import sys
import time

import torch
from first_stage import search

from rerank_plugins import ModelNotFoundError, Reranker
from rerank_plugins.options import DtypeName

QUESTION = "who got the first nobel prize in physics"
ROUNDS = 9


def measure(model: str, dtype: DtypeName, texts: list[str]) -> list[int]:
    """Rank the texts some times, print time and memory, and return the order."""
    torch.cuda.reset_peak_memory_stats()
    others = torch.cuda.memory_allocated()
    seconds = []
    with Reranker(model, device="cuda", dtype=dtype) as reranker:
        results = reranker.rank(QUESTION, texts)  # The first time a GPU loads its kernels.
        for _ in range(ROUNDS):
            start = time.perf_counter()
            reranker.rank(QUESTION, texts)
            seconds.append(time.perf_counter() - start)
    milliseconds = statistics.median(seconds) * 1000
    megabytes = (torch.cuda.max_memory_allocated() - others) / 1e6
    print(f"{dtype}: {milliseconds:.1f} ms for {len(texts)} passages, {megabytes:,.0f} MB at most")
    return [result.index for result in results]


def main(model: str = "BAAI/bge-reranker-v2-m3") -> None:
    """Rank 50 passages in both precisions."""
    if not torch.cuda.is_available():
        sys.exit("This example needs a GPU, and torch finds none.")
    texts = [passage.full_text for _, passage in search(QUESTION, 50)]
    try:
        full, half = measure(model, "fp32", texts), measure(model, "fp16", texts)
    except ModelNotFoundError:
        sys.exit(f"This example needs the model '{model}': download it where there is a network, or pass a folder.")
    same = sum(first == second for first, second in zip(full[:10], half[:10], strict=True))
    print(f"{same} of the first 10 places are the same. On a GPU fp16 is the default: dtype='auto'.")


if __name__ == "__main__":
    main(*sys.argv[1:2])
