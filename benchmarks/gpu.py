"""A model of bge-reranker-v2-m3's size on a GPU, in fp16 and fp32, compared with sentence-transformers.

The weights are the random ones of `full_size.py`. Run it with: python benchmarks/gpu.py
"""

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import torch
from full_size import DATA, torch_folder
from peers.tables import print_table
from sentence_transformers import CrossEncoder

from rerank_plugins import Reranker
from rerank_plugins.options import DtypeName
from rerank_plugins.reading.passages import read_passages

# Number of documents, and passages per document.
SIZES = [(10, 1), (50, 1), (200, 1), (50, 3)]
ROUNDS = 9
CALLERS, REQUESTS = 8, 80

Rank = Callable[[str, list[str]], object]
Request = tuple[str, list[str]]


def main() -> None:
    """Load all of them, measure them alternately, and print a table."""
    if not torch.cuda.is_available():
        sys.exit("This benchmark needs a GPU, but torch found none.")
    folder = torch_folder()
    makers: dict[str, Callable[[], Rank]] = {
        "rerank_plugins, fp16, its default": partial(_ours, folder, "fp16"),
        "rerank_plugins, fp32": partial(_ours, folder, "fp32"),
        "sentence-transformers, fp16": partial(_peer, folder, torch.float16),
        "sentence-transformers, fp32, its default": partial(_peer, folder, torch.float32),
    }
    # Every request is different, as in real use, so no request benefits from the batch shapes of another.
    lists = {_name(*size): _requests(*size, ROUNDS + 1) for size in SIZES}
    ranks, memory = {}, {}
    for name, make in makers.items():
        allocated_before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        ranks[name] = make()
        for first, *_ in lists.values():
            ranks[name](*first)
        memory[name] = (torch.cuda.max_memory_allocated() - allocated_before) / 1e6
    seconds = {size: _in_turns(ranks, requests[1:]) for size, requests in lists.items()}
    served = {name: REQUESTS / _serve(rank, _requests(*SIZES[1], REQUESTS)) for name, rank in ranks.items()}
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; milliseconds, median of {ROUNDS} rounds\n")
    print_table(
        ["", *lists, f"{CALLERS} callers with {SIZES[1][0]}, requests per second", "peak memory, MB"],
        [
            [
                name,
                *(f"{seconds[size][name] * 1000:.1f}" for size in lists),
                f"{served[name]:.1f}",
                f"{memory[name]:,.0f}",
            ]
            for name in ranks
        ],
    )


def _name(count: int, passages: int) -> str:
    return f"{count} passages" if passages == 1 else f"{count} of {passages} passages"


def _ours(folder: Path, dtype: DtypeName) -> Rank:
    return Reranker(folder, device="cuda", dtype=dtype).rank


def _peer(folder: Path, dtype: torch.dtype) -> Rank:
    return CrossEncoder(str(folder), device="cuda", max_length=512, model_kwargs={"dtype": dtype}).rank


def _requests(count: int, passages: int, requests: int) -> list[Request]:
    questions = cycle(passage.text for passage in read_passages(DATA / "queries.jsonl.gz"))
    texts = cycle(passage.full_text for passage in read_passages(DATA / "corpus.jsonl.gz"))
    return [(next(questions), [" ".join(islice(texts, passages)) for _ in range(count)]) for _ in range(requests)]


def _in_turns(ranks: dict[str, Rank], requests: list[Request]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in ranks}
    for request in requests:
        for name, rank in ranks.items():
            start = time.perf_counter()
            rank(*request)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def _serve(rank: Rank, requests: list[Request]) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(lambda request: rank(*request), requests))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
