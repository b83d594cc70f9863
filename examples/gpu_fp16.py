"""Half precision on a GPU: half the memory and less time for the same order.

Run it with: python examples/gpu_fp16.py [MODEL]

MODEL is a Hub name or a local folder. The default is bge-reranker-v2-m3, a 2.3 GB download the first time.
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
    """Rank the texts several times, print time and memory, and return the order."""
    torch.cuda.reset_peak_memory_stats()
    allocated_before = torch.cuda.memory_allocated()
    seconds = []
    with Reranker(model, device="cuda", dtype=dtype) as reranker:
        results = reranker.rank(QUESTION, texts)  # Warm-up: the first call loads the GPU's kernels.
        for _ in range(ROUNDS):
            start = time.perf_counter()
            reranker.rank(QUESTION, texts)
            seconds.append(time.perf_counter() - start)
    milliseconds = statistics.median(seconds) * 1000
    megabytes = (torch.cuda.max_memory_allocated() - allocated_before) / 1e6
    print(f"{dtype}: {milliseconds:.1f} ms for {len(texts)} passages, peak memory {megabytes:,.0f} MB")
    return [result.index for result in results]


def main(model: str = "BAAI/bge-reranker-v2-m3") -> None:
    """Rank 50 passages in both precisions."""
    if not torch.cuda.is_available():
        sys.exit("This example needs a GPU, but torch found none.")
    texts = [passage.full_text for _, passage in search(QUESTION, 50)]
    try:
        full, half = measure(model, "fp32", texts), measure(model, "fp16", texts)
    except ModelNotFoundError:
        sys.exit(f"This example needs the model '{model}': run it with network access, or pass a local folder.")
    same = sum(first == second for first, second in zip(full[:10], half[:10], strict=True))
    print(f"{same} of the top 10 ranks are the same. On a GPU, fp16 is the default (dtype='auto').")


if __name__ == "__main__":
    main(*sys.argv[1:2])
