"""Who is told of every rerank of this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rerank_plugins.forks import ForkSafeLock
from rerank_plugins.results import RerankReport

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Something that is called with each report, on the caller's own thread: it should be quick."""

    def __call__(self, report: RerankReport) -> None:
        """Take a report in."""


_observers: tuple[Observer, ...] = ()
_changing = ForkSafeLock()


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Tell an observer of every rerank of this process, as long as the block lasts.

    Whatever ranks is seen: `Reranker`, the adapters, the service. An application that never ends enters it once, with
    an `ExitStack` or in its lifespan.

    Args:
        observer: Called with each report. What it raises is logged and goes no further.

    Examples:
        >>> with observe(print):
        ...     results = reranker.rank("who", ["a"])
        RerankReport(model='embedded', candidates=1, ...
    """
    global _observers
    with _changing:
        _observers = (*_observers, observer)
    try:
        yield
    finally:
        with _changing:
            remaining = list(_observers)
            remaining.remove(observer)
            _observers = tuple(remaining)


def notify(report: RerankReport) -> None:
    """Tell all observers; one that fails is logged, and breaks neither the rerank nor the others."""
    for observer in _observers:
        try:
            observer(report)
        except Exception as error:  # noqa: BLE001 - an observer may raise what it likes
            logger.warning("An observer of reranking failed: %s: %s", type(error).__name__, error)
