"""A model of bge-reranker-v2-m3's size on a GPU, compared with sentence-transformers; then a decoder (gpu_decoder.py).

The weights are the random ones of `full_size.py`. Run it with: python benchmarks/gpu.py
To try it out where there is no GPU: python benchmarks/gpu.py --device cpu --tiny
"""

import argparse
import gc
import logging
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import gpu_decoder
import torch
from full_size import DATA, torch_folder
from gpu_ways import Rank, Request, Row, ways
from peers.tables import print_table
from transformers import AutoConfig

from rerank_plugins.reading.passages import read_passages

# Number of documents, and passages per document: about 120 or 450 tokens.
SIZES = [(10, 1), (50, 1), (200, 1), (1000, 1), (50, 4)]
MEASURED = (50, 1)
COMPARED = 8
TOP = 5


def main() -> None:
    """Measure all rows one after the other, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="two narrow layers, and few rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long callers are served")
    arguments = parser.parse_args()
    logging.basicConfig()
    logging.getLogger("rerank_plugins").setLevel(logging.INFO)  # what is captured, and what runs with padding
    device, folder = arguments.device, torch_folder(tiny=arguments.tiny)
    name = torch.cuda.get_device_name() if device == "cuda" else device
    print(f"{name}, torch {torch.__version__}\n", flush=True)
    sizes = [(count // 10, passages) for count, passages in SIZES] if arguments.tiny else SIZES
    lists = {size: _requests(*size, 12) for size in sizes}
    rows = ways(folder, device)
    for row in rows:
        _measure(row, lists, arguments.seconds, device)
        print(f"({row.name}: done at {time.perf_counter():.0f} s; {row.notes})", flush=True)
    _print_tables(rows, sizes)
    _print_share(folder, rows[0], sizes[3], device)
    gpu_decoder.main(device, tiny=arguments.tiny)


def _requests(count: int, passages: int, requests: int) -> list[Request]:
    questions = cycle(passage.text for passage in read_passages(DATA / "queries.jsonl.gz"))
    texts = cycle(passage.full_text for passage in read_passages(DATA / "corpus.jsonl.gz"))
    return [(next(questions), [" ".join(islice(texts, passages)) for _ in range(count)]) for _ in range(requests)]


def _measure(row: Row, lists: dict[tuple[int, int], list[Request]], seconds: float, device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        with ExitStack() as stack:
            stack.enter_context(row.around())
            start = time.perf_counter()
            made = row.make()
            stack.callback(made.close)
            row.notes = f"loaded in {time.perf_counter() - start:.1f} s"
            for size, requests in lists.items():
                made.rank(*requests[0])  # Every request is different, so none benefits from the shapes of another.
                row.seconds[size] = statistics.median(_time(made.rank, each) for each in requests[1 : row.rounds + 1])
                row.reports[size] = getattr(made.rank(*requests[-1]), "report", None)
            compared = lists[next(islice(lists, 1, None))]
            row.scores = [made.logits(*request) for request in compared[:COMPARED]]
            row.served = {callers: _serve(made.rank, callers, compared, seconds) for callers in row.callers}
            del made
    except Exception as error:  # noqa: BLE001 - what a library cannot do here is a row without numbers
        row.notes = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    row.memory = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else 0.0
    gc.collect()


def _time(rank: Rank, request: Request) -> float:
    start = time.perf_counter()
    rank(*request)
    return time.perf_counter() - start


def _serve(rank: Rank, callers: int, requests: list[Request], seconds: float) -> float:
    """Return how many requests a second are answered while that many callers ask one after the other."""
    start = time.perf_counter()

    def call(first: int) -> int:
        answered = 0
        while time.perf_counter() - start < seconds:
            rank(*requests[(first + answered) % len(requests)])
            answered += 1
        return answered

    with ThreadPoolExecutor(callers) as threads:
        answered = sum(threads.map(call, range(callers)))
    return answered / (time.perf_counter() - start)


def _print_tables(rows: list[Row], sizes: list[tuple[int, int]]) -> None:
    exact = next(row for row in rows if "fp32" in row.name).scores
    head = ["ms, median", *(f"{count} of {passages}" for count, passages in sizes), "1 caller, requests/s"]
    head += ["8 callers", "32 callers", "peak MB", f"first {TOP} as in fp32", "difference from fp32 / spread"]
    table = []
    for row in rows:
        times = [f"{row.seconds[size] * 1000:.1f}" if size in row.seconds else "-" for size in sizes]
        served = [f"{row.served[callers]:.1f}" if callers in row.served else "-" for callers in (1, 8, 32)]
        table.append([row.name, *times, *served, f"{row.memory:,.0f}", *_agreement(row.scores, exact)])
    print()
    print_table(head, table)


def _agreement(scores: list[list[float]], exact: list[list[float]]) -> list[str]:
    if not scores:
        return ["-", "-"]
    shared = [len(_first(own) & _first(other)) / TOP for own, other in zip(scores, exact, strict=True)]
    apart = [abs(a - b) for own, other in zip(scores, exact, strict=True) for a, b in zip(own, other, strict=True)]
    spread = statistics.mean(statistics.stdev(each) for each in exact)
    return [f"{statistics.mean(shared):.2f}", f"{statistics.mean(apart) / spread:.4f}"]


def _first(scores: list[float]) -> set[int]:
    return set(sorted(range(len(scores)), key=lambda place: -scores[place])[:TOP])


def _print_share(folder: Path, row: Row, size: tuple[int, int], device: str) -> None:
    """Print how much of the speed of a plain matrix product the largest list reaches."""
    config = AutoConfig.from_pretrained(folder)
    width, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * width**2 + 2 * width * config.intermediate_size)
    tokens = row.reports[size].tokens
    operations = 2 * weights * tokens + 4 * layers * width * tokens**2 / size[0]
    speed, peak = operations / row.seconds[size], _peak(device)
    print(f"\n{row.name}, {size[0]} passages of {tokens} tokens: {speed / 1e12:.1f} TFLOP/s,", end=" ")
    print(f"{speed / peak:.0%} of the {peak / 1e12:.1f} of a product of two matrices of 8192 x 8192.\n")
    head = ["ms", "tokenizing", "waiting", "forward"]
    stages = [(each.tokenize_seconds, each.queue_seconds, each.forward_seconds) for each in row.reports.values()]
    names = [f"{count} of {passages}" for count, passages in row.reports]
    print_table(
        head, [[name, *(f"{part * 1000:.1f}" for part in each)] for name, each in zip(names, stages, strict=True)]
    )
    print()


def _peak(device: str) -> float:
    size = 8192 if device == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.float16 if device == "cuda" else None) for _ in "ab")
    times = []
    for _ in range(10):
        start = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times)


if __name__ == "__main__":
    main()
