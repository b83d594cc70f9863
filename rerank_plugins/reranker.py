"""`Reranker`: order documents by what a model says of each (query, document) pair. Read this first."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from rerank_plugins.backends import backend_name
from rerank_plugins.caching import open_cache
from rerank_plugins.models.spec import resolve
from rerank_plugins.options import RerankConfig
from rerank_plugins.options.declaration import takes
from rerank_plugins.ranking.ranker import ScorerRanker
from rerank_plugins.scorers.base import Scorer
from rerank_plugins.scorers.cached import CachedScorer
from rerank_plugins.scorers.fallback import FallbackScorer
from rerank_plugins.scorers.local import LocalScorer


class Reranker(ScorerRanker):
    """A cross-encoder that reads a query together with each document.

    Safe to share between threads and event loops. Two Rerankers of the same model share it in memory; it is freed when
    the last of them is closed or collected. A deep copy is the same object; unpickling loads the model again.

    Takes the options of `RerankConfig` as keywords; the model may come first without its name.

    Raises:
        InvalidTypeError: If there is no option of a name, or its value has the wrong type.
        InvalidValueError: If an option has a wrong value, the device is not available, or the model has no place for
            the instruction.
        ModelNotFoundError: If the model is missing or the Hub cannot be reached.
        UnsupportedModelError: If it is not a cross-encoder with one label.
        MissingExtraError: If the backend's libraries are not installed.

    Attributes:
        config: The configuration as given.
        model: The model's name; "embedded" for the one in the package.
        backend: The name of the backend, such as `onnx`.
        device: Where it runs.
        dtype: What it computes in; `auto` for what an ONNX file holds.
        max_length: Tokens a pair may have, after the model's own limit.
        activation: `sigmoid` or `identity`.
        instruction: What relevant means in calls that do not say it themselves.

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
        spec = resolve(config)
        self._local = LocalScorer(spec, config)
        with ExitStack() as on_error:
            on_error.callback(self._local.close)
            super().__init__(
                _wrapped(self._local, config),
                activation=config.activation or spec.declared.activation,
                timeout=config.timeout,
                instruction=config.instruction,
            )
            on_error.pop_all()
        self.config = config
        self.backend = backend_name(spec.backend)
        self.device, self.dtype = self._local.placement.device, self._local.placement.dtype
        self.max_length = self._local.max_length

    def warmup(self) -> None:
        """Score pairs of full length on every thread: pay one-time startup costs up front.

        Raises:
            OutOfMemoryError: If the device cannot hold one pair of full length.
            ClosedError: If this Reranker was closed.
        """
        self._local.warm_up()

    @property
    def busy_seconds(self) -> float:
        """How long the model has been at the batch that it is scoring; 0 when it is idle, minutes when it hangs."""
        return self._local.busy_seconds

    def close(self) -> None:
        """Give the model back; the last Reranker that shares it frees it. Closing twice is fine."""
        self.scorer.close()

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

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[RerankConfig], dict[str, Any]]:
        own = {name: value for name, value in vars(self).items() if name not in _RESOLVED}
        return type(self).from_config, (self.config,), own

    def __repr__(self) -> str:
        return f"Reranker({self.model!r}, backend={self.backend!r}, device={self.device!r}, dtype={self.dtype!r})"


# Attributes that unpickling makes anew from the configuration; the others are a subclass's own, and travel along.
_RESOLVED = frozenset(
    {"scorer", "activation", "instruction", "observers", "max_length", "config", "backend", "device", "dtype"}
    | {"_activate", "_timeout", "_local"}
)


def _wrapped(local: LocalScorer, config: RerankConfig) -> Scorer:
    """Put a cache around a scorer, and a fallback around both."""
    scorer: Scorer = local if config.cache is None else CachedScorer(local, open_cache(config.cache))
    if config.fallback is None:
        return scorer
    # Without the cache: the CPU computes in another precision.
    on_cpu = replace(config, device="cpu", dtype="auto")
    return FallbackScorer(scorer, lambda: LocalScorer(resolve(on_cpu), on_cpu))
