"""Score pairs: encode, batch, run, and put the logits back into the caller's order."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from rerank_plugins.backends.base import Logits
from rerank_plugins.errors import ScoringError
from rerank_plugins.scoring.batching import plan_batches
from rerank_plugins.scoring.encoding import EncodedPair, EncodedPairs, PairEncoder
from rerank_plugins.scoring.loaded import LoadedModel

Pair = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Logits in the caller's order, with what it took to get them.

    Attributes:
        logits: One a pair.
        pairs: What the model read of each pair.
        scored: How many pairs the model read; identical ones are read once.
        tokens: How many tokens it read.
        truncated_queries: How many different queries were cut.
        unknown: How many texts the vocabulary hardly knows.
        tokenize_seconds: Time until the first batch was ready.
        forward_seconds: Time from there to the last logit.
    """

    logits: list[float]
    pairs: list[EncodedPair]
    scored: int
    tokens: int
    truncated_queries: int
    unknown: int
    tokenize_seconds: float
    forward_seconds: float


class Scorer:
    """Score pairs with a loaded model, from any number of threads and event loops.

    Args:
        model: The model.
        encoder: How pairs are encoded for it.
        max_batch_tokens: Tokens a batch may have, padding included.
    """

    def __init__(self, model: LoadedModel, encoder: PairEncoder, *, max_batch_tokens: int) -> None:
        self._model = model
        self._encoder = encoder
        self._max_batch_tokens = max_batch_tokens

    def score(self, pairs: Sequence[Pair], then: Callable[[ScoredPairs], T]) -> T:
        """Score pairs, waiting for the answer.

        Args:
            pairs: The pairs.
            then: What makes the answer of the scores; it runs on one of the model's threads.

        Raises:
            ScoringError: If a logit is NaN or infinite.
        """
        call = _Call(then)
        try:
            self._start(pairs, call)
            return call.answer.result()
        finally:
            call.answer.cancel()

    async def ascore(self, pairs: Sequence[Pair], then: Callable[[ScoredPairs], T]) -> T:
        """Do what `score` does without blocking the event loop; a cancelled caller's waiting batches are dropped."""
        call = _Call(then)
        try:
            await asyncio.to_thread(self._start, pairs, call)
            return await asyncio.wrap_future(call.answer)
        finally:
            call.answer.cancel()

    def _start(self, pairs: Sequence[Pair], call: "_Call[T]") -> None:
        start = time.perf_counter()
        unique = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        encoded = self._encoder.encode(list(unique))
        batches = plan_batches(
            [pair.length for pair in encoded.pairs],
            max_batch_tokens=self._max_batch_tokens,
            pairs_per_batch=self._model.backend.pairs_per_batch,
        )
        work = _Work([unique[pair] for pair in pairs], encoded, batches, time.perf_counter() - start)
        if not call.answer.cancelled():
            call.run(work, self._model)


class _Work:
    """One call's pairs: unique ones in batches, and the way back to the caller's order."""

    def __init__(
        self, places: list[int], encoded: EncodedPairs, batches: list[list[int]], tokenize_seconds: float
    ) -> None:
        self.places = places
        self.encoded = encoded
        self.batches = batches
        self._tokenize_seconds = tokenize_seconds
        self._submitted = time.perf_counter()

    def finish(self, outputs: Sequence[Logits]) -> ScoredPairs:
        """Undo the batching and the merging of identical pairs."""
        forward_seconds = time.perf_counter() - self._submitted
        pairs = self.encoded.pairs
        logits = [math.nan] * len(pairs)
        for batch, output in zip(self.batches, outputs, strict=True):
            for place, logit in zip(batch, output.tolist(), strict=True):
                logits[place] = logit
        _check_finite(logits)
        return ScoredPairs(
            logits=[logits[place] for place in self.places],
            pairs=[pairs[place] for place in self.places],
            scored=len(pairs),
            tokens=sum(pair.length for pair in pairs),
            truncated_queries=self.encoded.truncated_queries,
            unknown=self.encoded.unknown,
            tokenize_seconds=self._tokenize_seconds,
            forward_seconds=forward_seconds,
        )


class _Call(Generic[T]):
    """One call on its way: its batches, and the one future that answers when the last of them is done.

    One future however many batches there are, so that an event loop is woken once. Cancelling it takes back the
    batches that nobody has begun.
    """

    def __init__(self, then: Callable[[ScoredPairs], T]) -> None:
        self.answer: Future[T] = Future()
        self._then = then
        self._lock = threading.Lock()
        self._settled = False

    def run(self, work: _Work, model: LoadedModel) -> None:
        """Queue all batches."""
        self._work = work
        self._batches = [model.submit([work.encoded.pairs[place] for place in batch]) for batch in work.batches]
        self._waiting = len(self._batches)
        if not self._batches:
            self._settle(self._finish)
        for batch in self._batches:
            batch.add_done_callback(self._one_is_done)
        self.answer.add_done_callback(self._take_back)

    def _one_is_done(self, batch: "Future[Logits]") -> None:
        if batch.cancelled():
            return
        with self._lock:
            self._waiting -= 1
            last = self._waiting == 0
        if last or batch.exception() is not None:
            self._settle(self._finish if batch.exception() is None else batch.result)

    def _finish(self) -> T:
        return self._then(self._work.finish([batch.result() for batch in self._batches]))

    def _settle(self, make: Callable[[], object]) -> None:
        """Answer with what is made, or with what it raises; only the first time, and not if it was cancelled."""
        with self._lock:
            if self._settled:
                return
            self._settled = True
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            made = make()
        except BaseException as error:  # noqa: BLE001  (the caller gets it, whatever it is)
            self.answer.set_exception(error)
        else:
            self.answer.set_result(made)  # type: ignore[arg-type]  # `batch.result` is used for what it raises

    def _take_back(self, _: object) -> None:
        for batch in self._batches:
            batch.cancel()


def _check_finite(logits: list[float]) -> None:
    if wrong := [logit for logit in logits if not math.isfinite(logit)]:
        raise ScoringError(
            f"The model answered {wrong[0]} for {len(wrong)} of {len(logits)} pairs, which cannot be sorted. In half "
            "precision this is an overflow: use dtype='fp32' or 'bf16'; in fp32 the weights are damaged."
        )
