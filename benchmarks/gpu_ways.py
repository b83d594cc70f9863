"""The ways to run a model on a GPU that `gpu.py` compares: ours, and sentence-transformers'."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from sentence_transformers import CrossEncoder

from rerank_plugins import Reranker, RerankReport
from rerank_plugins.backends.networks import running
from rerank_plugins.backends.packing import accelerated
from rerank_plugins.options import DtypeName

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

    def __init__(self, encode: Callable[..., torch.Tensor], _device: object, **_: bool) -> None:
        self.encode = encode

    def __call__(self, rows: object) -> torch.Tensor:
        """Run the encoder as it is."""
        return self.encode(rows)

    def capture(self) -> None:
        """Do nothing."""

    def best_size(self, sizes: tuple[int, ...]) -> int:
        """Return the largest."""
        return sizes[-1]


def ways(folder: Path, device: str) -> list[Row]:
    """List the ways to rank with the model of a folder."""
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
