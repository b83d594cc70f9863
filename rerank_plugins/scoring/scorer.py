"""Score pairs: encode, batch, run, and put the logits back into the caller's order."""

import asyncio
import math
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from rerank_plugins.backends.base import Logits
from rerank_plugins.errors import ScoringError
from rerank_plugins.scoring.batching import plan_batches
from rerank_plugins.scoring.encoding import EncodedPair, EncodedPairs, PairEncoder
from rerank_plugins.scoring.loaded import LoadedModel

Pair = tuple[str, str]


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

    def score(self, pairs: Sequence[Pair]) -> ScoredPairs:
        """Score pairs, waiting for the answer.

        Raises:
            ScoringError: If a logit is NaN or infinite.
        """
        work = self._encode(pairs)
        futures = self._submit(work)
        try:
            return work.finish([future.result() for future in futures])
        finally:
            _cancel(futures)

    async def ascore(self, pairs: Sequence[Pair]) -> ScoredPairs:
        """Score pairs without blocking the event loop; a cancelled caller's waiting batches are dropped."""
        work = await asyncio.to_thread(self._encode, pairs)
        futures = self._submit(work)
        try:
            return work.finish(await asyncio.gather(*map(asyncio.wrap_future, futures)))
        finally:
            _cancel(futures)

    def _encode(self, pairs: Sequence[Pair]) -> "_Work":
        start = time.perf_counter()
        unique = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        encoded = self._encoder.encode(list(unique))
        batches = plan_batches(
            [pair.length for pair in encoded.pairs],
            max_batch_tokens=self._max_batch_tokens,
            pairs_per_batch=self._model.backend.pairs_per_batch,
        )
        return _Work([unique[pair] for pair in pairs], encoded, batches, time.perf_counter() - start)

    def _submit(self, work: "_Work") -> "list[Future[Logits]]":
        return [self._model.submit([work.encoded.pairs[place] for place in batch]) for batch in work.batches]


class _Work:
    """One call's pairs on their way: unique pairs in batches, and the way back to the caller's order."""

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


def _check_finite(logits: list[float]) -> None:
    if wrong := [logit for logit in logits if not math.isfinite(logit)]:
        raise ScoringError(
            f"The model answered {wrong[0]} for {len(wrong)} of {len(logits)} pairs, which cannot be sorted. In half "
            "precision this is an overflow: use dtype='fp32' or 'bf16'; in fp32 the weights are damaged."
        )


def _cancel(futures: "list[Future[Logits]]") -> None:
    """Take back the batches nobody waits for any more, after a failure or a cancellation; done ones stay done."""
    for future in futures:
        future.cancel()
