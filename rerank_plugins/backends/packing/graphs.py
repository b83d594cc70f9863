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

from rerank_plugins.backends.packing.places import SIZES, Places, Room, rooms
from rerank_plugins.backends.packing.rows import PackedRows

_LOGGER = logging.getLogger(__name__)

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
        shares: Whether it reads beginnings that pairs share once.

    Attributes:
        memory: Bytes that the graphs hold on the device.
    """

    def __init__(self, encode: Encode, device: torch.device, *, types: bool, shares: bool) -> None:
        self._encode, self._device, self._types = encode, device, types
        self._rooms = rooms(shares=shares)
        self._graphs: dict[Room, _Graph | None] = {}
        # The larger ones are captured first where all are, and the others use their memory.
        self._pool = torch.cuda.graph_pool_handle()
        self._states: torch.Tensor | None = None
        self.memory = 0

    def __call__(self, rows: PackedRows) -> torch.Tensor:
        """Run the encoder; hidden states of shape (tokens, hidden size), valid until the next call."""
        room = next((room for room in self._rooms if room.holds(rows)), None)
        graph = None if room is None else self._graph(room)
        return self._encode(rows) if graph is None else graph.replay(rows)

    @torch.inference_mode()
    def capture(self) -> None:
        """Capture all graphs now, instead of each when it is first needed."""
        start = time.perf_counter()
        captured = [self._graph(room) for room in reversed(self._rooms)]
        seconds, count = time.perf_counter() - start, sum(each is not None for each in captured)
        _LOGGER.info("Captured %d CUDA graphs in %.1f s; they hold %.0f MB.", count, seconds, self.memory / 1e6)

    @torch.inference_mode()
    def best_size(self, sizes: tuple[int, ...]) -> int:
        """Measure graphs, and return the smallest size that runs nearly as many tokens a second as the best.

        Args:
            sizes: The sizes to choose from, ascending; each one of `SIZES`.
        """
        graphs = {room.tokens: self._graph(room) for room in reversed(self._rooms) if room.tokens in sizes}
        speeds = {size: size / graph.seconds() for size in sizes if (graph := graphs[size]) is not None}
        least = max(speeds.values(), default=0) / _WORTH_WAITING
        return next((size for size, speed in speeds.items() if speed >= least), sizes[-1])

    def _graph(self, room: Room) -> "_Graph | None":
        if room not in self._graphs:
            before = self._reserved()
            self._graphs[room] = self._attempt(room)
            self.memory += self._reserved() - before
        return self._graphs[room]

    def _reserved(self) -> int:
        torch.cuda.empty_cache()  # What is left belongs to tensors, and to graphs.
        return torch.cuda.memory_reserved(self._device)

    def _attempt(self, room: Room) -> "_Graph | None":
        try:
            with _capturing, torch.cuda.device(self._device):
                return self._capture(room)
        except RuntimeError as error:  # torch.OutOfMemoryError is one, so is what cannot be captured
            reason = str(error).splitlines()[0]
            _LOGGER.warning("No CUDA graph for %d tokens, which run without: %s", room.tokens, reason)
            return None

    def _capture(self, room: Room) -> "_Graph":
        places = Places(room, self._device, types=self._types)
        # Handles, workspaces and kernels that load late must be there before the capture.
        states = self._encode(places.rows())
        if self._states is None:
            self._states = states.new_empty((SIZES[-1], states.shape[1]))
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self._states[: room.tokens].copy_(self._encode(places.rows()))
        return _Graph(graph, places, self._states)


@dataclass(frozen=True, slots=True)
class _Graph:
    """A captured pass: what it reads, and what it writes."""

    graph: torch.cuda.CUDAGraph
    places: Places
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
