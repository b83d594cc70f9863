"""Run an encoder as CUDA graphs: a GPU repeats some hundred kernels that the CPU would take longer to launch.

A graph repeats what was captured, on the same memory. So there is one for each of a few numbers of tokens, with room
for a number of pairs of limited length; a batch takes the smallest that holds it and leaves the rest of it unused.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rerank_plugins.backends.packing.rows import Borders, PackedRows

_LOGGER = logging.getLogger(__name__)

# Tokens of the graphs. From 1,024 on each is at most a quarter larger than the one before: little is computed in vain.
SIZES = (
    *(512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096),
    *(5120, 6144, 7168, 8192, 10_240, 12_288, 14_336, 16_384),
)
# Tokens of the longest pair, and tokens of the graph for each pair that it has room for. The kernel starts a block for
# every 128 tokens of the longest pair in every place for a pair, used or not: with these, as many for either.
_SHAPES = ((256, 32), (512, 64))
# A larger batch must be faster by this much to be worth its waiting time.
_WORTH_WAITING = 1.03

Encode = Callable[[PackedRows], torch.Tensor]

# torch.cuda.graph: "only one capture may be underway at a time in the process".
_capturing = threading.Lock()


class GraphedEncoder:
    """An encoder that runs batches as CUDA graphs where they fit, and as it is where they do not; for one thread.

    Args:
        encode: Runs the encoder on a packed row of any size.
        device: A CUDA device.
        types: Whether the encoder reads token types.

    Attributes:
        memory: Bytes that the graphs hold on the device.
    """

    def __init__(self, encode: Encode, device: torch.device, *, types: bool) -> None:
        self._encode, self._device, self._types = encode, device, types
        self._graphs: dict[tuple[int, int], _Graph | None] = {}
        # The larger ones are captured first where all are, and the others use their memory.
        self._pool = torch.cuda.graph_pool_handle()
        self._states: torch.Tensor | None = None
        self.memory = 0

    def __call__(self, rows: PackedRows) -> torch.Tensor:
        """Run the encoder; hidden states of shape (tokens, hidden size), valid until the next call."""
        shape = fitting(rows)
        graph = None if shape is None else self._graph(*shape)
        return self._encode(rows) if graph is None else graph.replay(rows)

    @torch.inference_mode()
    def capture(self) -> None:
        """Capture all graphs now, instead of each when it is first needed."""
        start = time.perf_counter()
        captured = [self._graph(size, longest) for size in reversed(SIZES) for longest, _ in _SHAPES]
        seconds, count = time.perf_counter() - start, sum(each is not None for each in captured)
        _LOGGER.info("Captured %d CUDA graphs in %.1f s; they hold %.0f MB.", count, seconds, self.memory / 1e6)

    @torch.inference_mode()
    def best_size(self, sizes: tuple[int, ...]) -> int:
        """Measure graphs, and return the smallest size that runs nearly as many tokens a second as the best.

        Args:
            sizes: The sizes to choose from, ascending; each one of `SIZES`.
        """
        graphs = {size: self._graph(size, _SHAPES[-1][0]) for size in sizes}
        speeds = {size: size / graph.seconds() for size, graph in graphs.items() if graph is not None}
        least = max(speeds.values(), default=0) / _WORTH_WAITING
        return next((size for size, speed in speeds.items() if speed >= least), sizes[-1])

    def _graph(self, size: int, longest: int) -> "_Graph | None":
        if (size, longest) not in self._graphs:
            before = self._reserved()
            self._graphs[size, longest] = self._attempt(size, longest)
            self.memory += self._reserved() - before
        return self._graphs[size, longest]

    def _reserved(self) -> int:
        torch.cuda.empty_cache()  # What is left belongs to tensors, and to graphs.
        return torch.cuda.memory_reserved(self._device)

    def _attempt(self, size: int, longest: int) -> "_Graph | None":
        try:
            with _capturing, torch.cuda.device(self._device):
                return self._capture(size, longest)
        except RuntimeError as error:  # torch.OutOfMemoryError is one, so is what cannot be captured
            _LOGGER.warning("No CUDA graph for %d tokens, which run without: %s", size, str(error).splitlines()[0])
            return None

    def _capture(self, size: int, longest: int) -> "_Graph":
        places = Places(size, longest, self._device, types=self._types)
        # Handles, workspaces and kernels that load late must be there before the capture.
        states = self._encode(places.rows())
        if self._states is None:
            self._states = states.new_empty((SIZES[-1], states.shape[1]))
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self._states[:size].copy_(self._encode(places.rows()))
        return _Graph(graph, places, self._states)


@dataclass(frozen=True, slots=True)
class _Graph:
    """A captured pass: what it reads, and what it writes."""

    graph: torch.cuda.CUDAGraph
    places: "Places"
    states: torch.Tensor

    def replay(self, rows: PackedRows) -> torch.Tensor:
        self.places.fill(rows)
        self.graph.replay()
        return self.states[: rows.tokens]

    def seconds(self) -> float:
        """Measure it: the best of three replays."""
        times = []
        for _ in range(4):
            torch.cuda.synchronize()
            start = time.perf_counter()
            self.graph.replay()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return min(times[1:])


class Places:
    """The memory that a graph reads a batch from.

    Args:
        size: Tokens of the row.
        longest: Tokens of the longest pair.
        device: Where it is.
        types: Whether there are token types.
    """

    def __init__(self, size: int, longest: int, device: torch.device | str, *, types: bool) -> None:
        self._longest = longest
        self._row = torch.zeros((3 if types else 2, size), dtype=torch.int64, device=device)
        pairs = size // dict(_SHAPES)[longest]
        self._offsets = torch.arange(pairs + 1, device=device) * (size // pairs)

    def fill(self, rows: PackedRows) -> None:
        """Put a batch there. Tokens behind it belong to no pair; places for pairs that are left are empty sequences."""
        tokens = rows.tokens
        given = [rows.input_ids, rows.position_ids, rows.token_type_ids]
        for place, row in zip(self._row, given, strict=False):
            if row is not None:
                place[:tokens].copy_(row[0])
        self._offsets.fill_(tokens)
        self._offsets[: rows.pairs + 1].copy_(rows.queries.offsets)

    def rows(self) -> PackedRows:
        """Return the packed row of what is there."""
        borders = Borders(self._offsets.int(), self._longest)
        return PackedRows(
            input_ids=self._row[:1],
            position_ids=self._row[1:2],
            token_type_ids=self._row[2:] if len(self._row) > 2 else None,
            queries=borders,
            keys=borders,
            key_places=None,
            last=borders.offsets[1:] - 1,
            places=self._row[:0],
            padded={},
        )


def fitting(rows: PackedRows) -> tuple[int, int] | None:
    """Choose the smallest graph that holds a batch: its tokens, and those of its longest pair; None if none does."""
    shapes = (
        (size, longest)
        for size in SIZES
        for longest, share in _SHAPES
        if rows.tokens <= size and rows.queries.longest <= longest and rows.pairs <= size // share
    )
    return next(shapes, None)
