"""Score with a model in this process: pairs once each, encoded, batched with those of other callers, put back."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import wait
from contextlib import suppress

from rerank_plugins.backends.base import Placement
from rerank_plugins.errors import ClosedError, DeadlineExceededError
from rerank_plugins.models.registry import acquire_for
from rerank_plugins.models.spec import ModelSpec
from rerank_plugins.options import RerankConfig
from rerank_plugins.scheduling.request import Request
from rerank_plugins.scorers.work import Work, in_parts
from rerank_plugins.scores import QueryDocuments, Scored, ScoreScale
from rerank_plugins.text.encoders import reading_fingerprint
from rerank_plugins.text.pairs import Pair


class LocalScorer:
    """A `Scorer` over a model in this process, which it shares with others that ask for the same one.

    Args:
        spec: Which model, and how it is run; loaded here if nobody in this process has.
        config: How pairs are read, and how much may wait.

    Attributes:
        max_length: Tokens that a pair may have.

    Raises:
        ModelError: If the model cannot be loaded.
    """

    def __init__(self, spec: ModelSpec, config: RerankConfig) -> None:
        self._spec, self._config = spec, config
        self._model, self._release = acquire_for(self, spec)
        self._encoder = self._model.encoder(config)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._spec.folder.name

    @property
    def scale(self) -> ScoreScale:
        """What the raw scores are, by the model's head."""
        return self._spec.declared.scale

    @property
    def placement(self) -> Placement:
        """Where the model runs, and in which dtype."""
        return self._model.backend.placement

    @property
    def max_length(self) -> int:
        """Tokens that a pair may have, after the model's own limit."""
        return self._encoder.max_length

    @property
    def takes_instruction(self) -> bool:
        """Whether the model's prompt has a place for an instruction."""
        return self._encoder.takes_instruction

    @property
    def fingerprint(self) -> str:
        """The model's files, and all settings that decide a score."""
        spec, reading = self._spec, reading_fingerprint(self._config, self._encoder)
        # With its module: two users' backends may have one name.
        backend = f"{spec.backend.__module__}.{spec.backend.__qualname__}"
        return f"{self._model.digest} {spec.reading} {backend} {self.placement.dtype} {reading}"

    @property
    def busy_seconds(self) -> float:
        """How long the slowest batch has been running; 0 when none is."""
        return self._model.scheduler.busy_seconds

    def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """See `Scorer.score`."""
        work = self._work(lists)
        try:
            self._queue(work, deadline)
            wait((work.request.answer.done,), _seconds_until(deadline))
            _check_done(work.request)
        finally:
            self._model.scheduler.withdraw(work.request)
        return work.finish()

    async def ascore(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """See `Scorer.ascore`."""
        work = self._work(lists)
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # The loop may be closed by now.
                loop.call_soon_threadsafe(done.set)

        try:
            await asyncio.to_thread(self._queue, work, deadline)
            work.request.answer.done.add_done_callback(tell)
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _seconds_until(deadline))
            _check_done(work.request)
        finally:
            self._model.scheduler.withdraw(work.request)
        return await asyncio.to_thread(work.finish)

    def warm_up(self) -> None:
        """Have the backend prepare itself, and score one pair of full length on each of its threads.

        Raises:
            OutOfMemoryError: If the device cannot hold one pair of full length.
            ClosedError: If it was closed.
        """
        self._check_open()
        self._model.backend.warm_up()
        (pair,) = self._encoder.encode([Pair("a", "a " * self.max_length)]).pairs[:1]
        request = Request([pair] * self._model.backend.workers, max_batch_tokens=self._batch_tokens)
        self._submit(request)
        request.answer.done.result()

    def close(self) -> None:
        """Give the model back; the last one that shares it frees it. Closing twice is fine."""
        self._release()

    @property
    def _batch_tokens(self) -> int:
        return self._config.max_batch_tokens or self._model.backend.batch_tokens

    @property
    def _part_tokens(self) -> int | None:
        """About how many tokens are queued before the rest is tokenized; None: all."""
        backend = self._model.backend
        # A model on the CPU needs the cores that tokenize, and padding is least with all pairs to choose from.
        on_a_device = backend.pass_tokens > 0
        return self._batch_tokens if on_a_device and not backend.pads else None

    def _check_open(self) -> None:
        if not self._release.alive:
            raise ClosedError(f"This Reranker of '{self.name}' was closed. Make a new one.")

    def _work(self, lists: Sequence[QueryDocuments]) -> Work:
        return Work(lists, Request(max_batch_tokens=self._batch_tokens))

    def _queue(self, work: Work, deadline: float | None) -> None:
        """Tokenize and queue the pairs of a call, a long list in parts, unless nobody waits for it any more."""
        self._check_open()
        start = time.perf_counter()
        work.read_lists()
        if not work.pairs:
            self._submit(work.request)
        for part in in_parts(work.pairs, self._part_tokens):
            encoded = self._encoder.encode(work.pairs[part.start : part.stop])
            work.add(part, encoded)
            coming = len(work.pairs) - part.stop
            if part.start == 0:
                work.request.extend(encoded.pairs, coming=coming)
                work.tokenize_seconds = time.perf_counter() - start
                self._submit(work.request)
            elif not self._model.scheduler.extend(work.request, encoded.pairs, coming=coming):
                return
            if deadline is not None and time.perf_counter() > deadline:
                return
        # By now the model is at work.
        self._note_languages(work)

    def _note_languages(self, work: Work) -> None:
        languages = self._model.languages
        work.unreadable = {text: name for text in work.texts() if (name := languages.unreadable(text))}
        languages.warn(self.name, Counter(work.unreadable.values()))

    def _submit(self, request: Request) -> None:
        self._model.scheduler.submit(request, max_queue=self._config.max_queue)


def _seconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.perf_counter())


def _check_done(request: Request) -> None:
    if not request.answer.done.done():
        pairs, seconds = len(request.pairs) + request.coming, time.perf_counter() - request.submitted_at
        raise DeadlineExceededError(
            f"{pairs} pairs were not scored in time: {seconds:.3g} s after they were queued, the call's timeout was "
            "over. Allow more time, send fewer documents, or shorten max_length."
        )
    request.answer.done.result()
