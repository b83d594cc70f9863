"""Fake backends and scorers: they wait, fail, count, or score by a simple rule."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from rerank_plugins import DocumentScore, QueryDocuments, Scored, ScoreScale
from rerank_plugins.backends.base import Inputs, ModelFolder, Placement, RawScores
from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.errors import OutOfMemoryError
from rerank_plugins.options import RerankConfig, RuntimeOptions
from rerank_plugins.scores import Usage
from tests.waiting import SECONDS


class Controls:
    """Controls and observes the forward passes of a backend.

    Attributes:
        loads: How often a model was loaded.
        closes: How often one was freed.
        shapes: The (pairs, tokens) of each pass since the model was loaded.
        threads: The threads of all passes, those of loading included.
        entered: Released at the start of each pass.
        closed: Released when a model was freed.
        gate: Passes wait while it is not set.
        instead: Called in the place of the pass, with the real one's answer at hand; None: the real one.
    """

    def __init__(self) -> None:
        self.loads = self.closes = 0
        self.shapes: list[tuple[int, ...]] = []
        self.threads: set[threading.Thread] = set()
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.closed = threading.Semaphore(0)
        self.instead: Callable[[Callable[[], RawScores]], RawScores] | None = None

    def hold(self) -> None:
        """Block all further passes, and reset the counts."""
        self.gate.clear()
        while self.entered.acquire(blocking=False):
            pass

    def wait_for_a_close(self) -> None:
        """Wait until a model is freed: its last thread does that, after its last pass."""
        assert self.closed.acquire(timeout=SECONDS)

    def wait_for_a_pass(self) -> None:
        """Wait until a pass waits at the gate."""
        assert self.entered.acquire(timeout=SECONDS)


def controlled(base: type = OnnxBackend) -> tuple[type, Controls]:
    """Create a backend class and its controller; a new class for each test, so that no model is shared."""
    controls = Controls()

    class Controlled(base):  # type: ignore[misc,valid-type]
        def __init__(self, folder: ModelFolder, placement: Placement) -> None:
            super().__init__(folder, placement)
            controls.loads += 1
            controls.shapes.clear()

        def forward(self, inputs: Inputs) -> RawScores:
            controls.shapes.append(inputs["input_ids"].shape)
            controls.threads.add(threading.current_thread())
            controls.entered.release()
            assert controls.gate.wait(SECONDS)
            if controls.instead is None:
                return super().forward(inputs)  # type: ignore[no-any-return]
            return controls.instead(lambda: super(Controlled, self).forward(inputs))

        def close(self) -> None:
            super().close()
            controls.closes += 1
            controls.closed.release()

    return Controlled, controls


class CountBackend:
    """Scores a pair by its number of tokens; written from the protocol alone, without any library."""

    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    workers = 2
    pads = True
    batch_tokens = 256
    pairs_per_batch: int | None = None
    pass_tokens = 0

    @classmethod
    def claim(cls, files: Collection[str], config: RerankConfig) -> int:
        return int(any(name.endswith(".count") for name in files))

    @classmethod
    def choose_weights(cls, files: Collection[str], config: RerankConfig) -> Sequence[str]:
        return sorted(name for name in files if name.endswith(".count"))

    @classmethod
    def place(cls, options: RuntimeOptions) -> Placement:
        return Placement("cpu", "fp32", None)

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        self.placement = placement

    def forward(self, inputs: Inputs) -> RawScores:
        return inputs["attention_mask"].sum(axis=1).astype(np.float32)

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass


class SmallDevice(OnnxBackend):
    """A device called `small` that holds no pair while `full` is set; the CPU beside it holds all."""

    full = False

    @classmethod
    def place(cls, options: RuntimeOptions) -> Placement:
        placement = super().place(options)
        return placement if options.device == "cpu" else Placement("small", "auto", 1)

    def forward(self, inputs: Inputs) -> RawScores:
        if self.placement.device == "small" and self.full:
            raise OutOfMemoryError("small out of memory. Tried to allocate 20.00 MiB")
        return super().forward(inputs)


class FakeScorer:
    """A `Scorer` that scores each document by a function of it, and remembers what it was asked.

    Args:
        raw: From document to raw score.
        takes_instruction: Whether it takes one. It adds the instruction's length, and 100 for each of its words that
            the document has.
        error: Raised at each call, if given.
        scored: Fields of each answer, such as its usage.
    """

    def __init__(
        self,
        raw: Callable[[str], float] | Mapping[str, float] = len,
        *,
        name: str = "fake",
        scale: ScoreScale = ScoreScale.LOGIT,
        fingerprint: str | None = "1",
        takes_instruction: bool = False,
        error: Exception | None = None,
        **scored: Any,
    ) -> None:
        self.name, self.scale, self.fingerprint = name, scale, fingerprint
        self.takes_instruction = takes_instruction
        self.asked: list[list[QueryDocuments]] = []
        self.deadlines: list[float | None] = []
        self.threads: list[threading.Thread] = []
        self.closed = 0
        self.error = error
        self._raw = raw.__getitem__ if isinstance(raw, Mapping) else raw
        self.scored = scored

    def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        self.asked.append(list(lists))
        self.deadlines.append(deadline)
        self.threads.append(threading.current_thread())
        if self.error is not None:
            raise self.error
        return [self._answer(each) for each in lists]

    async def ascore(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        return self.score(lists, deadline=deadline)

    def close(self) -> None:
        self.closed += 1

    def _answer(self, each: QueryDocuments) -> Scored:
        scores = [DocumentScore(float(self._raw(text)) + _meant(each.instruction, text)) for text in each.documents]
        usage = Usage(scored=len(set(each.documents)))
        return Scored(**{"scores": scores, "usage": usage, **self.scored})


def _meant(instruction: str | None, document: str) -> float:
    """Return what an instruction adds to a document's score."""
    if instruction is None:
        return 0.0
    return len(instruction) + 100.0 * len(set(instruction.split()) & set(document.split()))
