"""Score with a model in this process: pairs once each, encoded, batched with those of other callers, put back."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass

from rerank_plugins.backends.base import Placement
from rerank_plugins.errors import (
    ClosedError,
    DeadlineExceededError,
    ScoringError,
)
from rerank_plugins.models.registry import acquire_for
from rerank_plugins.models.spec import ModelSpec
from rerank_plugins.options import RerankConfig
from rerank_plugins.scheduling.request import Request
from rerank_plugins.scores import DocumentScore, QueryDocuments, Scored, ScoreScale, Timing, Usage
from rerank_plugins.text.encoders import reading_fingerprint
from rerank_plugins.text.pairs import EncodedPairs, Pair


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
        work = self._prepare(lists)
        self._submit(work.request)
        try:
            wait((work.request.answer.done,), _seconds_until(deadline))
            _check_done(work.request)
        finally:
            self._model.scheduler.withdraw(work.request)
        return work.finish()

    async def ascore(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """See `Scorer.ascore`."""
        work = await asyncio.to_thread(self._prepare, lists)
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # The loop may be closed by now.
                loop.call_soon_threadsafe(done.set)

        self._submit(work.request)
        try:
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

    def _check_open(self) -> None:
        if not self._release.alive:
            raise ClosedError(f"This Reranker of '{self.name}' was closed. Make a new one.")

    def _prepare(self, lists: Sequence[QueryDocuments]) -> "_Work":
        self._check_open()
        start = time.perf_counter()
        pairs = list(dict.fromkeys(pair for each in lists for pair in _pairs(each)))
        encoded = self._encoder.encode(pairs)
        texts = dict.fromkeys(text for pair in pairs for text in (pair.query, pair.document))
        unreadable = {text: language for text in texts if (language := self._model.languages.unreadable(text))}
        self._model.languages.warn(self.name, Counter(unreadable.values()))
        seconds = time.perf_counter() - start
        # Here, since it sorts the pairs, and `ascore` must not do that on the event loop's thread.
        request = Request(encoded.pairs, max_batch_tokens=self._batch_tokens)
        return _Work(lists, pairs, encoded, unreadable, request, seconds)

    def _submit(self, request: Request) -> None:
        self._model.scheduler.submit(request, max_queue=self._config.max_queue)


@dataclass(frozen=True, slots=True)
class _Work:
    """The pairs of one call, each of them once, and the way back to the caller's lists.

    Attributes:
        lists: The caller's lists.
        pairs: Their different pairs.
        encoded: The pairs for the model.
        unreadable: Texts that the model cannot read, with their languages.
        request: The encoded pairs on their way through the queue.
        tokenize_seconds: How long it took to make this.
    """

    lists: Sequence[QueryDocuments]
    pairs: list[Pair]
    encoded: EncodedPairs
    unreadable: dict[str, str]
    request: Request
    tokenize_seconds: float

    def finish(self) -> list[Scored]:
        """Put the scores back into the caller's lists."""
        found = self._best(self.request.answer.scores.tolist())
        queue = self.request.queue_seconds
        forward = time.perf_counter() - self.request.submitted_at - queue
        timing = Timing(queue=queue, tokenize=self.tokenize_seconds, forward=forward)
        return [
            Scored(
                scores=[found[pair] for pair in _pairs(each)],
                usage=usage,
                timing=timing,
                unreadable=self._languages(each),
            )
            for each, usage in zip(self.lists, self._usages(), strict=True)
        ]

    def _best(self, raw_scores: list[float]) -> dict[Pair, DocumentScore]:
        """Give each pair the score of its best window; the first of equals, as a reader would."""
        _check_finite(raw_scores)
        best: dict[Pair, DocumentScore] = {}
        for owner, window, raw in zip(self.encoded.owners, self.encoded.pairs, raw_scores, strict=True):
            pair = self.pairs[owner]
            if pair not in best or raw > best[pair].raw:
                best[pair] = DocumentScore(raw, window.query_truncated, window.document_truncated, window.span)
        return best

    def _usages(self) -> list[Usage]:
        """Count what each list took; a pair that several lists share counts for the first of them."""
        owned: dict[Pair, list[int]] = {pair: [] for pair in self.pairs}
        for place, owner in enumerate(self.encoded.owners):
            owned[self.pairs[owner]].append(place)
        usages = []
        for each in self.lists:
            windows = [owned.pop(pair, []) for pair in _pairs(each)]
            read = [place for places in windows for place in places]
            scored = sum(1 for places in windows if places)
            usages.append(
                Usage(
                    scored=scored,
                    windows=len(read) - scored,
                    tokens=sum(self.encoded.pairs[place].length for place in read),
                    padding=int(self.request.answer.padding[read].sum()) if read else 0,
                )
            )
        return usages

    def _languages(self, each: QueryDocuments) -> Counter[str]:
        if not self.unreadable:
            return Counter()
        texts = {each.query, *each.documents}
        return Counter(self.unreadable[text] for text in texts if text in self.unreadable)


def _pairs(asked: QueryDocuments) -> list[Pair]:
    return [Pair(asked.query, document, asked.instruction) for document in asked.documents]


def _seconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.perf_counter())


def _check_done(request: Request) -> None:
    if not request.answer.done.done():
        seconds = time.perf_counter() - request.submitted_at
        raise DeadlineExceededError(
            f"{len(request.pairs)} pairs were not scored in time: {seconds:.3g} s after they were queued, the call's "
            "timeout was over. Allow more time, send fewer documents, or shorten max_length."
        )
    request.answer.done.result()


def _check_finite(raw_scores: list[float]) -> None:
    if wrong := [raw for raw in raw_scores if not math.isfinite(raw)]:
        raise ScoringError(
            f"The model answered {wrong[0]} for {len(wrong)} of {len(raw_scores)} pairs, which cannot be sorted. In "
            "half precision this is an overflow: use dtype='fp32' or 'bf16'. In fp32 the weights are damaged."
        )
