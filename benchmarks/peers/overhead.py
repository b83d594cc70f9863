"""The overhead of the forward passes, how close they come to the machine's peak, and what a cache saves.

Run it with: .venv/bin/python benchmarks/peers/overhead.py
"""

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from classifier import classifier
from lists import Lists
from tables import print_table

from rerank_plugins import Reranker
from rerank_plugins.backends.base import Inputs
from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.backends.torch import TorchBackend

ROUNDS = 25
# Requests with unmodified passages, to measure padding.
REAL = 10
DOCUMENTS, TOKENS = 50, 150
# Large enough to make the time for reading the matrices negligible.
_MATRIX = 2048


def main() -> None:
    """Print three tables."""
    folders, lists = classifier(), Lists()
    (request,) = lists.requests(1, documents=DOCUMENTS, tokens=TOKENS)
    peak = _sgemm_peak()
    print(f"\n### One request, {DOCUMENTS} documents of {TOKENS} tokens; sgemm peak {peak / 1e9:.0f} GFLOPS\n")
    rows = []
    for label, folder, backend in (
        ("exported fp32", folders.fp32, OnnxBackend),
        ("exported int8", folders.int8, OnnxBackend),
        ("torch", folders.torch, TorchBackend),
    ):
        name = "torch" if backend is TorchBackend else "onnx"
        with Reranker(folder, backend=name) as reranker:
            whole, bare, report = _around(reranker, backend, request)
            padding = _padding(reranker, lists)
        share = _flops(folder, request, report.tokens) / whole / peak
        rows.append(
            [
                label,
                f"{whole * 1000:.0f} ms",
                f"{bare * 1000:.0f} ms",
                f"{whole / bare - 1:+.1%}",
                f"{padding:.1%}",
                "" if "int8" in label else f"{share:.0%}",
            ]
        )
    print_table(
        [
            "",
            "rank()",
            "forward passes only",
            "overhead",
            "padding with unmodified passages",
            "share of the sgemm peak",
        ],
        rows,
    )
    print("\n### The same question again\n")
    with Reranker(folders.int8, cache="memory") as cached:
        first = _seconds(lambda: cached.rank(*request))
        again = statistics.median(_seconds(lambda: cached.rank(*request)) for _ in range(ROUNDS))
    print_table(["", "ms"], [["first", f"{first * 1000:.1f}"], ["from memory", f"{again * 1000:.2f}"]])
    print(f"\nA repeated question is {first / again:,.0f} times as fast.")


def _around(reranker: Reranker, backend: Any, request: tuple[str, list[str]]) -> tuple[float, float, Any]:
    """Time a request, and alternately the forward passes of the same batches from as many threads."""
    recorded: list[tuple[Any, Inputs]] = []
    forward: Callable[..., Any] = backend.forward

    def recording(self: Any, batch: Inputs) -> Any:
        recorded.append((self, dict(batch)))
        return forward(self, batch)

    backend.forward = recording
    try:
        report = reranker.rank(*request).report
    finally:
        backend.forward = forward
    whole, bare = [], []
    with ThreadPoolExecutor(recorded[0][0].workers) as threads:
        for _ in range(ROUNDS):
            whole.append(_seconds(lambda: reranker.rank(*request)))
            bare.append(_seconds(lambda: list(threads.map(lambda each: forward(*each), recorded))))
    return statistics.median(whole), statistics.median(bare), report


def _padding(reranker: Reranker, lists: Lists) -> float:
    """Return the share of padding among the tokens that the model reads."""
    reports = [reranker.rank(*each).report for each in lists.unmodified(REAL, documents=DOCUMENTS)]
    padding, tokens = (sum(getattr(report, name) for report in reports) for name in ("padding", "tokens"))
    return padding / (padding + tokens)


def _flops(folder: Path, request: tuple[str, list[str]], tokens: int) -> float:
    """Count the multiplications and additions of an encoder's matrix products, without biases and layer norms.

    Per layer and token: four projections and the two matrices of the feed-forward network, with 2 operations per
    weight, and the two products with the other tokens.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    weights = 4 * width * width + 2 * width * config["intermediate_size"]
    each = tokens / len(request[1])
    return layers * tokens * (2 * weights + 4 * each * width)


def _sgemm_peak() -> float:
    """Return the operations per second of an fp32 matrix product, with torch or onnxruntime, whichever is faster."""
    a, b = (torch.rand(_MATRIX, _MATRIX) for _ in range(2))
    square = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [_MATRIX] * 2) for name in "abc"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["a", "b"], ["c"])], "product", square[:2], square[2:]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"a": a.numpy(), "b": b.numpy()}
    ways = (lambda: a @ b, lambda: session.run(None, feeds))
    return 2 * _MATRIX**3 / min(_seconds(way) for _ in range(ROUNDS) for way in ways)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
