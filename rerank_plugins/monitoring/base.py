"""Observers: functions that receive the report of every rerank, of one ranker or of the whole process."""

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


class Observers:
    """Observers of the same reports; safe to change while others notify."""

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()
        self._changing = ForkSafeLock()

    @contextmanager
    def adding(self, observer: Observer) -> Iterator[None]:
        """Notify one more observer while the block runs."""
        with self._changing:
            self._observers = (*self._observers, observer)
        try:
            yield
        finally:
            with self._changing:
                remaining = list(self._observers)
                remaining.remove(observer)
                self._observers = tuple(remaining)

    def notify(self, report: RerankReport) -> None:
        """Call all observers. A failing observer is logged and affects neither the rerank nor other observers."""
        for observer in self._observers:
            try:
                observer(report)
            except Exception as error:  # noqa: BLE001 - an observer may raise anything
                logger.warning("An observer of reranking failed: %s: %s", type(error).__name__, error)


class Observed(Protocol):
    """A ranker with observers of its own."""

    @property
    def observers(self) -> Observers:
        """The observers of its reports."""
        ...


_of_the_process = Observers()


@contextmanager
def observe(observer: Observer, ranker: Observed | None = None) -> Iterator[None]:
    """Call an observer with the report of every rerank while the block runs.

    It covers `Reranker`, the adapters and the service. A long-running application enters the block once, in its
    lifespan or with an `ExitStack`.

    Args:
        observer: Called with each report. Its exceptions are logged and do not reach the caller of the rerank.
        ranker: The ranker to observe; None: all of this process.

    Examples:
        >>> with observe(print):
        ...     results = reranker.rank("who", ["a"])
        RerankReport(model='embedded', candidates=1, ...
    """
    with (_of_the_process if ranker is None else ranker.observers).adding(observer):
        yield


def notify(report: RerankReport, ranker: object = None) -> None:
    """Call the observers of a ranker, if it has some, and those of the process."""
    own = getattr(ranker, "observers", None)
    if isinstance(own, Observers):
        own.notify(report)
    _of_the_process.notify(report)
