"""Who is told of a rerank: observers of one ranker, and observers of the whole process."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rerank_plugins.forks import reset_after_fork
from rerank_plugins.results import RerankReport

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Something that is called with each report, on the caller's own thread: it should be quick."""

    def __call__(self, report: RerankReport) -> None:
        """Take a report in."""


class Observers:
    """Observers of the same reports; safe to change while others notify."""

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()
        self._renew_lock()
        reset_after_fork(self, Observers._renew_lock)

    @contextmanager
    def adding(self, observer: Observer) -> Iterator[None]:
        """Notify one more observer for the length of a block."""
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
        """Call all observers; one that fails is logged, and breaks neither the rerank nor the others."""
        for observer in self._observers:
            try:
                observer(report)
            except Exception as error:  # noqa: BLE001 - an observer may raise what it likes
                logger.warning("An observer of reranking failed: %s: %s", type(error).__name__, error)

    def _renew_lock(self) -> None:
        self._changing = threading.Lock()


class Observed(Protocol):
    """A ranker with observers of its own."""

    @property
    def observers(self) -> Observers:
        """Who is told of its reports."""
        ...


_of_the_process = Observers()


@contextmanager
def observe(observer: Observer, ranker: Observed | None = None) -> Iterator[None]:
    """Tell an observer of every rerank, as long as the block lasts.

    Whatever ranks is seen: `Reranker`, the adapters, the service. An application that never ends enters it once, with
    an `ExitStack` or in its lifespan.

    Args:
        observer: Called with each report. What it raises is logged and goes no further.
        ranker: Whose reranks; None: those of the whole process.

    Examples:
        >>> with observe(print):
        ...     results = reranker.rank("who", ["a"])
        RerankReport(model='embedded', candidates=1, ...
    """
    with (_of_the_process if ranker is None else ranker.observers).adding(observer):
        yield


def notify(report: RerankReport, ranker: object = None) -> None:
    """Tell the observers of a ranker that has some, and those of the process."""
    own = getattr(ranker, "observers", None)
    if isinstance(own, Observers):
        own.notify(report)
    _of_the_process.notify(report)
