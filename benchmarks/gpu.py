"""A model of bge-reranker-v2-m3's size on a GPU, compared with sentence-transformers; then a decoder (gpu_decoder.py).

The weights are the random ones of `full_size.py`. Run it with: python benchmarks/gpu.py
To try it out where there is no GPU: python benchmarks/gpu.py --device cpu --tiny
"""

import argparse
import gc
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from unittest.mock import patch

import gpu_decoder
import torch
from full_size import DATA, torch_folder
from peers.tables import print_table
from sentence_transformers import CrossEncoder
from transformers import AutoConfig

from rerank_plugins import Reranker, RerankReport
from rerank_plugins.backends.networks import running
from rerank_plugins.backends.packing import accelerated
from rerank_plugins.options import DtypeName
from rerank_plugins.reading.passages import read_passages

# Number of documents, and passages per document: about 120 or 450 tokens.
SIZES = [(10, 1), (50, 1), (200, 1), (1000, 1), (50, 4)]
MEASURED = (50, 1)
COMPARED = 8
TOP = 5

Rank = Callable[[str, list[str]], object]
Request = tuple[str, list[str]]


@dataclass(frozen=True)
class Made:
    """A loaded model: how it ranks, the logits it gives, and how it is freed."""

    rank: Rank
    logits: Callable[[str, list[str]], list[float]]
    close: Callable[[], None]


@dataclass
class Row:
    """One way to rank, and what was measured of it.

    Attributes:
        name: As the table shows it.
        make: Makes it.
        rounds: How often it ranks each list.
        callers: With how many callers at once it is tried.
        around: What holds while it is made and runs.
    """

    name: str
    make: Callable[[], Made]
    rounds: int = 2
    callers: tuple[int, ...] = (8,)
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    seconds: dict[tuple[int, int], float] = field(default_factory=dict)
    served: dict[int, float] = field(default_factory=dict)
    memory: float = 0.0
    scores: list[list[float]] = field(default_factory=list)
    reports: dict[tuple[int, int], RerankReport] = field(default_factory=dict)
    notes: str = ""


class Eager:
    """Stands for `GraphedEncoder`, and captures nothing."""

    def __init__(self, encode: Callable[..., torch.Tensor], _device: object, *, types: bool) -> None:
        self.encode = encode

    def __call__(self, rows: object) -> torch.Tensor:
        """Run the encoder as it is."""
        return self.encode(rows)

    def capture(self) -> None:
        """Do nothing."""

    def best_size(self, sizes: tuple[int, ...]) -> int:
        """Return the largest."""
        return sizes[-1]


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
    rows = _rows(folder, device)
    for row in rows:
        _measure(row, lists, arguments.seconds, device)
        print(f"({row.name}: done at {time.perf_counter():.0f} s; {row.notes})", flush=True)
    _print_tables(rows, sizes)
    _print_share(folder, rows[0], sizes[3], device)
    gpu_decoder.main(device, tiny=arguments.tiny)


def _rows(folder: Path, device: str) -> list[Row]:
    half: DtypeName = "fp16" if device == "cuda" else "fp32"
    ours = partial(_ours, folder, device, half)
    peer = partial(_peer, folder, device, torch.float16 if device == "cuda" else torch.float32)
    no_cudnn = partial(_set_cudnn, enabled=False)
    everyone = (1, 8, 32)
    return [
        Row("rerank_plugins, its default", ours, 9, everyone, _packed),
        Row("rerank_plugins, without graphs", ours, 5, everyone, _without_graphs),
        Row("rerank_plugins, with padding", ours, 3, (8,), _with_padding),
        Row("sentence-transformers, fp32, its default", partial(_peer, folder, device, torch.float32), callers=()),
        Row("sentence-transformers, fp16", peer),
        Row("sentence-transformers, fp16, no cuDNN attention", peer, around=no_cudnn),
        Row("the same in batches of 256", partial(peer, batch_size=256), around=no_cudnn),
        Row("sentence-transformers, fp16, flattened", partial(peer, attention="flash_attention_2")),
    ]


def _packed() -> AbstractContextManager[object]:
    # On a CPU an encoder would keep its padding.
    return patch.object(accelerated, "_is_causal", lambda _: True)


@contextmanager
def _without_graphs() -> Iterator[None]:
    with _packed(), patch.object(accelerated, "GraphedEncoder", Eager):
        yield


def _with_padding() -> AbstractContextManager[object]:
    return patch.object(running, "packed_or_none", lambda *_: None)


@contextmanager
def _set_cudnn(*, enabled: bool) -> Iterator[None]:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(enabled)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def _ours(folder: Path, device: str, dtype: DtypeName) -> Made:
    reranker = Reranker(folder, device=device, dtype=dtype, max_length=512)
    reranker.warmup()

    def logits(query: str, documents: list[str]) -> list[float]:
        found = {each.index: each.raw_score for each in reranker.rank(query, documents)}
        return [found[place] for place in range(len(documents))]

    return Made(reranker.rank, logits, reranker.close)


def _peer(folder: Path, device: str, dtype: torch.dtype, *, batch_size: int = 32, attention: str | None = None) -> Made:
    kwargs = {"dtype": dtype} | ({"attn_implementation": attention} if attention else {})
    model = CrossEncoder(str(folder), device=device, max_length=512, model_kwargs=kwargs)
    if attention and not model._can_flatten_inputs():
        raise RuntimeError("it flattens no inputs of a sequence classifier")

    def logits(query: str, documents: list[str]) -> list[float]:
        pairs = [(query, document) for document in documents]
        return [float(each) for each in model.predict(pairs, activation_fn=torch.nn.Identity())]

    return Made(partial(model.rank, batch_size=batch_size), logits, lambda: None)


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
