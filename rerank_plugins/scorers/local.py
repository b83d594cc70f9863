"""Score pairs: look them up, encode the others, have them scored, and put all back into the caller's order."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from rerank_plugins.caching.base import KeyMaker, PairScore, ScoreCache
from rerank_plugins.errors import DeadlineExceededError, OutOfMemoryError, ScoringError
from rerank_plugins.models.registry import LoadedModel
from rerank_plugins.scheduling.scheduler import Request
from rerank_plugins.text.pairs import EncodedPairs, PairEncoder

Pair = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """What was said of each pair, with what it took.

    Attributes:
        pairs: The pairs.
        scores: One a pair.
        scored: How many pairs the model read; identical ones are read once.
        cached: How many came from the cache.
        windows: How many windows the pairs were read in, beyond one each.
        tokens: How many tokens the model read.
        padding: How many more it was given, to make neighbours in a batch equally long.
        unknown: How many texts the vocabulary hardly knows.
        queue_seconds: How long the first pair waited for its turn.
        tokenize_seconds: Time until the pairs were ready to be scored, looking them up included.
        forward_seconds: Time from there to the last logit, waiting excluded.
        fallback: Why the pairs were scored on the CPU; None where they were not.
    """

    pairs: Sequence[Pair]
    scores: list[PairScore]
    scored: int
    cached: int
    windows: int
    tokens: int
    padding: int
    unknown: int
    queue_seconds: float
    tokenize_seconds: float
    forward_seconds: float
    fallback: str | None


@dataclass(frozen=True, slots=True)
class CacheAccess:
    """A cache, and how one model's pairs are named in it."""

    cache: ScoreCache
    keys: KeyMaker


class Scorer:
    """Score pairs with a loaded model, from any number of threads and event loops.

    Args:
        model: The model.
        encoder: How pairs are encoded for it.
        max_batch_tokens: Tokens a batch may have, padding included; None for what suits the model's device.
        max_queue: Pairs of all callers that may wait.
        timeout: Seconds that a call may take; None for any.
        cache: Where scores are kept; None for nowhere.
        fallback: Loads the same model on the CPU, for what the device's memory cannot hold; None to give up.
    """

    def __init__(
        self,
        model: LoadedModel,
        encoder: PairEncoder,
        *,
        max_batch_tokens: int | None,
        max_queue: int,
        timeout: float | None,
        cache: CacheAccess | None,
        fallback: Callable[[], LoadedModel] | None,
    ) -> None:
        self._model = model
        self._encoder = encoder
        self._max_batch_tokens = max_batch_tokens
        self._max_queue = max_queue
        self._timeout = timeout
        self._cache = cache
        self._fallback = fallback

    def score(self, pairs: Sequence[Pair], then: Callable[[ScoredPairs], T]) -> T:
        """Score pairs, waiting for the answer.

        Args:
            pairs: The pairs.
            then: What makes the answer of the scores.

        Raises:
            ScoringError: If a logit is NaN or infinite.
            OutOfMemoryError: If the device's memory cannot hold a single pair, and there is no fallback.
            OverloadedError: If too many pairs wait already.
            DeadlineExceededError: If it takes longer than the timeout.
        """
        deadline = self._deadline()
        work = self._begin(pairs)
        try:
            self._have_scored(work, self._model, deadline)
        except OutOfMemoryError as error:
            self._have_scored(work, self._other_model(work, error), deadline)
        return then(work.finish())

    async def ascore(self, pairs: Sequence[Pair], then: Callable[[ScoredPairs], T]) -> T:
        """Do what `score` does without blocking the event loop; a cancelled caller's waiting pairs are dropped."""
        deadline = self._deadline()
        work = await asyncio.to_thread(self._begin, pairs)
        try:
            await self._ahave_scored(work, self._model, deadline)
        except OutOfMemoryError as error:
            model = await asyncio.to_thread(self._other_model, work, error)
            await self._ahave_scored(work, model, deadline)
        return await asyncio.to_thread(lambda: then(work.finish()))

    def warm_up(self) -> None:
        """Score one pair of full length on each of the backend's threads."""
        (pair,) = self._encoder.encode([("a", "a " * self._encoder.max_length)]).pairs[:1]
        request = Request([pair] * self._model.backend.workers, max_batch_tokens=self._batch_tokens(self._model))
        self._model.scheduler.submit(request, max_queue=self._max_queue)
        request.done.result()

    def _begin(self, pairs: Sequence[Pair]) -> "_Work":
        return _Work(pairs, self._encoder, self._cache)

    def _other_model(self, work: "_Work", error: OutOfMemoryError) -> LoadedModel:
        if self._fallback is None:
            raise error
        work.fallback = str(error)
        return self._fallback()

    def _batch_tokens(self, model: LoadedModel) -> int:
        return self._max_batch_tokens or model.backend.batch_tokens

    def _have_scored(self, work: "_Work", model: LoadedModel, deadline: float | None) -> None:
        request = work.request(self._batch_tokens(model))
        model.scheduler.submit(request, max_queue=self._max_queue)
        try:
            wait((request.done,), _seconds_until(deadline))
            self._check_deadline(request)
        finally:
            model.scheduler.withdraw(request)

    async def _ahave_scored(self, work: "_Work", model: LoadedModel, deadline: float | None) -> None:
        request, loop, done = work.request(self._batch_tokens(model)), asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # The loop may be closed by now.
                loop.call_soon_threadsafe(done.set)

        model.scheduler.submit(request, max_queue=self._max_queue)
        try:
            request.done.add_done_callback(tell)
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _seconds_until(deadline))
            self._check_deadline(request)
        finally:
            model.scheduler.withdraw(request)

    def _check_deadline(self, request: Request) -> None:
        if not request.done.done():
            raise DeadlineExceededError(
                f"{len(request.pairs)} pairs were not scored within timeout={self._timeout:g} seconds. Allow more, "
                "send fewer documents, or shorten max_length."
            )
        request.done.result()

    def _deadline(self) -> float | None:
        return None if self._timeout is None else time.perf_counter() + self._timeout


class _Work:
    """One call's pairs: identical ones once, those that the cache knows left out, and the way back."""

    def __init__(self, pairs: Sequence[Pair], encoder: PairEncoder, cache: CacheAccess | None) -> None:
        start = time.perf_counter()
        self.fallback: str | None = None
        self._pairs, self._cache = pairs, cache
        unique = list(dict.fromkeys(pairs))
        self._keys = {} if cache is None else {pair: cache.keys.key(*pair) for pair in unique}
        known = [None] * len(unique) if cache is None else cache.cache.get_many(list(self._keys.values()))
        self._scores: dict[Pair, PairScore | None] = dict(zip(unique, known, strict=True))
        self._missing = [pair for pair, score in self._scores.items() if score is None]
        self._encoded = encoder.encode(self._missing)
        self._tokenize_seconds = time.perf_counter() - start

    def request(self, max_batch_tokens: int) -> Request:
        """Make what is handed to the scheduler."""
        self._request = Request(self._encoded.pairs, max_batch_tokens=max_batch_tokens)
        return self._request

    def finish(self) -> ScoredPairs:
        """Keep the new scores, and put all into the caller's order."""
        request, encoded = self._request, self._encoded
        forward_seconds = time.perf_counter() - request.submitted - request.queue_seconds
        logits = request.logits.tolist()
        _check_finite(logits)
        new = dict(zip(self._missing, _best(encoded, logits), strict=True))
        if self._cache is not None and self.fallback is None:  # The CPU computes in another precision.
            self._cache.cache.set_many({self._keys[pair]: score for pair, score in new.items()})
        found = {pair: score for pair, score in self._scores.items() if score is not None} | new
        return ScoredPairs(
            pairs=self._pairs,
            scores=[found[pair] for pair in self._pairs],
            scored=len(self._missing),
            cached=len(self._scores) - len(self._missing),
            windows=len(encoded.pairs) - len(self._missing),
            tokens=sum(pair.length for pair in encoded.pairs),
            padding=request.padding,
            unknown=encoded.unknown,
            queue_seconds=request.queue_seconds,
            tokenize_seconds=self._tokenize_seconds,
            forward_seconds=forward_seconds,
            fallback=self.fallback,
        )


def _seconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.perf_counter()


def _best(encoded: EncodedPairs, logits: list[float]) -> list[PairScore]:
    """Give each pair the score of its best window; the first of equals, as a reader would."""
    best: dict[int, PairScore] = {}
    for owner, pair, logit in zip(encoded.owners, encoded.pairs, logits, strict=True):
        if owner not in best or logit > best[owner].logit:
            best[owner] = PairScore(logit, pair.query_truncated, pair.document_truncated, pair.span)
    return list(best.values())


def _check_finite(logits: list[float]) -> None:
    if wrong := [logit for logit in logits if not math.isfinite(logit)]:
        raise ScoringError(
            f"The model answered {wrong[0]} for {len(wrong)} of {len(logits)} pairs, which cannot be sorted. In half "
            "precision this is an overflow: use dtype='fp32' or 'bf16'; in fp32 the weights are damaged."
        )
