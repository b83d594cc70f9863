"""`Reranker`: order documents by what a cross-encoder says of each (query, document) pair. Read this first."""

import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from rerank_plugins.caching import open_cache
from rerank_plugins.caching.base import KeyMaker
from rerank_plugins.errors import ClosedError, UnknownTextWarning
from rerank_plugins.models import registry as loaded
from rerank_plugins.models.source import find_model
from rerank_plugins.monitoring.base import notify
from rerank_plugins.options import RerankConfig
from rerank_plugins.options.declaration import takes
from rerank_plugins.ranking.activations import choose_activation
from rerank_plugins.ranking.ranking import ResultMaker
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.scorers.local import CacheAccess, Pair, ScoredPairs, Scorer
from rerank_plugins.text.pairs import PairEncoder
from rerank_plugins.validation import (
    check_documents,
    check_pairs,
    check_query,
    check_score_threshold,
    check_top_n,
)

T = TypeVar("T")


class Reranker:
    """A cross-encoder that reads a query together with each document.

    Safe to share between threads and event loops. Two Rerankers that ask for the same model share it in memory; it
    is freed when the last of them is closed or collected. A deep copy is the same object, since there is nothing in
    it to change; unpickling loads the model again.

    Takes the options of `RerankConfig` as keywords; the model may come first without its name.

    Raises:
        InvalidTypeError: If there is no option of a name, or its value has the wrong type.
        InvalidValueError: If an option has a wrong value, or the device is not there.
        ModelNotFoundError: If the model is missing or the Hub cannot be reached.
        UnsupportedModelError: If it is no cross-encoder with one label.
        MissingExtraError: If the backend's libraries are not installed.

    Attributes:
        config: The configuration as given.
        model: The model's name; "embedded" for the one in the package.
        backend: `onnx` or `torch`.
        device: Where it runs.
        dtype: What it computes in; `auto` for what an ONNX file holds.
        max_length: Tokens a pair may have, after the model's own limit.
        activation: `sigmoid` or `identity`.

    Examples:
        >>> reranker = Reranker()
        >>> results = reranker.rank("who wrote hamlet", ["Bread is baked.", "Shakespeare wrote Hamlet."], top_n=1)
        >>> results[0].index
        1
    """

    @takes(RerankConfig)
    def __init__(self, config: RerankConfig) -> None:
        self._start(config)

    @classmethod
    def from_config(cls, config: RerankConfig) -> Self:
        """Make a Reranker from one value, such as `RerankConfig.from_env()`."""
        reranker = cls.__new__(cls)
        reranker._start(config)
        return reranker

    def _start(self, config: RerankConfig) -> None:
        folder = find_model(config)
        activation, activate = choose_activation(config.activation, folder.declared.activation)
        self._key, model = loaded.acquire(folder, config)
        self._release = weakref.finalize(self, loaded.release, self._key)
        self._loaded = model
        encoder = PairEncoder(
            model.tokenizer,
            model.template,
            max_length=config.max_length or folder.declared.max_length,
            max_positions=folder.declared.max_positions,
            long_documents=config.long_documents,
        )
        self._scorer = Scorer(
            model,
            encoder,
            max_batch_tokens=config.max_batch_tokens,
            max_queue=config.max_queue,
            timeout=config.timeout,
            cache=_cache_access(config, model, encoder.max_length),
            fallback=None if config.fallback is None else loaded.CpuFallback(folder, config),
        )
        self._results = ResultMaker(folder.name, activate, max_length=encoder.max_length)
        self.config = config
        self.model = folder.name
        self.backend = folder.backend
        self.device = model.backend.placement.device
        self.dtype = model.backend.placement.dtype
        self.max_length = encoder.max_length
        self.activation = activation

    def rank(
        self, query: str, documents: Sequence[str], *, top_n: int | None = None, score_threshold: float | None = None
    ) -> ReportedList[RankResult]:
        """Sort documents by relevance to the query, best first.

        Sorting is by the float32 logit; ties keep the caller's order; identical documents get identical scores.

        Args:
            query: What the user asks.
            documents: The candidates, in the retriever's order. An empty one is ranked, not dropped.
            top_n: How many to keep; None for all.
            score_threshold: Keep only scores at or above it; None for all.

        Returns:
            The kept documents as `RankResult`s, with the call's `.report`.

        Raises:
            InvalidTypeError: If the query or a document is no string, or the documents are no list.
            InvalidValueError: If the query is blank, or `top_n` or `score_threshold` is out of range.
            ScoringError: If the model answers NaN or infinity, or the device's memory cannot hold a single pair.
            OverloadedError: If more pairs than `max_queue` would wait.
            DeadlineExceededError: If it takes longer than `timeout`.
            ClosedError: If this Reranker was closed.

        Examples:
            >>> [result.index for result in reranker.rank("capital of France", ["Berlin.", "Paris, France's capital."])]
            [1, 0]
        """
        start = time.perf_counter()
        pairs = _pairs(query, documents)
        then = self._ranked(top_n, score_threshold, start)
        with self._in_use() as scorer:
            return self._told(scorer.score(pairs, then))

    async def arank(
        self, query: str, documents: Sequence[str], *, top_n: int | None = None, score_threshold: float | None = None
    ) -> ReportedList[RankResult]:
        """Do what `rank` does without blocking the event loop."""
        start = time.perf_counter()
        pairs = _pairs(query, documents)
        then = self._ranked(top_n, score_threshold, start)
        with self._in_use() as scorer:
            return self._told(await scorer.ascore(pairs, then))

    def score(self, pairs: Sequence[Pair]) -> ReportedList[float]:
        """Score (query, document) pairs, in the order given.

        Args:
            pairs: Tuples of a query and a document; queries may differ.

        Returns:
            One activated score a pair, with the call's `.report`.

        Raises:
            InvalidTypeError: If a pair is not two strings.
            InvalidValueError: If a query is blank.
            ScoringError: If the model answers NaN or infinity.
            ClosedError: If this Reranker was closed.
        """
        start = time.perf_counter()
        checked = check_pairs(pairs)
        with self._in_use() as scorer:
            return self._told(scorer.score(checked, lambda scored: self._results.scores(scored, start=start)))

    async def ascore(self, pairs: Sequence[Pair]) -> ReportedList[float]:
        """Do what `score` does without blocking the event loop."""
        start = time.perf_counter()
        checked = check_pairs(pairs)
        with self._in_use() as scorer:
            return self._told(await scorer.ascore(checked, lambda scored: self._results.scores(scored, start=start)))

    def warmup(self) -> None:
        """Score pairs of full length on every thread, so that the first caller does not pay for what happens once.

        Raises:
            OutOfMemoryError: If the device cannot hold one pair of full length.
            ClosedError: If this Reranker was closed.
        """
        with self._in_use() as scorer:
            scorer.warm_up()

    @property
    def busy_seconds(self) -> float:
        """How long the model has been at the batch that it is scoring; 0 when it is idle, minutes when it hangs."""
        return self._loaded.scheduler.busy_seconds

    def close(self) -> None:
        """Give the model back; the last Reranker that shares it frees it. Closing twice is fine."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> tuple[object, tuple[RerankConfig]]:
        return type(self).from_config, (self.config,)

    def __repr__(self) -> str:
        return f"Reranker({self.model!r}, backend={self.backend!r}, device={self.device!r}, dtype={self.dtype!r})"

    @contextmanager
    def _in_use(self) -> Iterator[Scorer]:
        """Keep the model for the time of a call, even if somebody closes this Reranker meanwhile."""
        if not self._release.alive or not loaded.retain(self._key):
            raise ClosedError(f"This Reranker of '{self.model}' was closed. Make a new one.")
        try:
            yield self._scorer
        finally:
            loaded.release(self._key)

    def _ranked(
        self, top_n: int | None, score_threshold: float | None, start: float
    ) -> Callable[[ScoredPairs], ReportedList[RankResult]]:
        return partial(
            self._results.ranked,
            top_n=check_top_n(top_n),
            score_threshold=check_score_threshold(score_threshold),
            start=start,
        )

    def _told(self, results: ReportedList[T]) -> ReportedList[T]:
        """Tell the observers; warn of text that the vocabulary does not know, the first time that there is some."""
        notify(results.report)
        if results.report.unknown and not self._loaded.warned_of_unknown_text:
            self._loaded.warned_of_unknown_text = True
            warnings.warn(
                f"The vocabulary of '{self.model}' hardly knows {results.report.unknown} of these texts: most of their "
                "tokens are unknown, so their scores mean little. For other languages choose a multilingual model, "
                "such as BAAI/bge-reranker-v2-m3.",
                UnknownTextWarning,
                stacklevel=3,
            )
        return results


def _cache_access(config: RerankConfig, model: loaded.LoadedModel, max_length: int) -> CacheAccess | None:
    if config.cache is None:
        return None
    placement = model.backend.placement
    parts = (model.digest, str(config.revision), type(model.backend).__name__, placement.dtype, str(max_length))
    return CacheAccess(open_cache(config.cache), KeyMaker(*parts, config.long_documents))


def _pairs(query: str, documents: Sequence[str]) -> list[Pair]:
    query = check_query(query)
    return [(query, document) for document in check_documents(documents)]
