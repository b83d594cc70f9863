"""Observers: functions that receive the report of every rerank in this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rerank_plugins.forks import ForkSafeLock
from rerank_plugins.results import RerankReport

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Something that is called with each report, on the caller's thread, and so should be fast."""

    def __call__(self, report: RerankReport) -> None:
        """Receive a report."""


_observers: tuple[Observer, ...] = ()
_changing = ForkSafeLock()


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Call an observer with the report of every rerank in this process while the block runs.

    It covers `Reranker`, the adapters and the service. A long-running application enters the block once, in its
    lifespan or with an `ExitStack`.

    Args:
        observer: Called with each report. Its exceptions are logged and do not reach the caller of the rerank.

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
    """Call all observers. A failing observer is logged and affects neither the rerank nor other observers."""
    for observer in _observers:
        try:
            observer(report)
        except Exception as error:  # noqa: BLE001 - an observer may raise anything
            logger.warning("An observer of reranking failed: %s: %s", type(error).__name__, error)
