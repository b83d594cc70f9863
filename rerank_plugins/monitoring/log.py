"""A line in the log for each rerank, without any text."""

import logging
from dataclasses import asdict

from rerank_plugins.results import RerankReport


class LogObserver:
    """Write each report to a logger: a sentence for people, and `record.rerank`, a dict, for machines.

    Args:
        logger: Where to; None for "rerank_plugins.reports".
        level: How important it is.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.INFO) -> None:
        self._logger = logger or logging.getLogger("rerank_plugins.reports")
        self._level = level

    def __call__(self, report: RerankReport) -> None:
        """Write a report."""
        level = self._level if report.error is None else logging.WARNING
        self._logger.log(level, "%s", sentence(report), extra={"rerank": asdict(report)})


def sentence(report: RerankReport) -> str:
    """Say what a call did.

    Examples:
        >>> sentence(RerankReport(model="embedded", candidates=50, kept=5, seconds=0.4, top_1_kept=False))
        'embedded kept 5 of 50 in 400 ms; the first one changed'
    """
    words = f"{report.model} kept {report.kept} of {report.candidates} in {report.seconds * 1000:.0f} ms"
    if report.error is not None:
        return f"{words}; reranking failed, the order is the retriever's"
    parts = (
        [] if report.top_1_kept is None else ["the first one stayed" if report.top_1_kept else "the first one changed"]
    )
    parts += [f"{report.truncated} cut"] if report.truncated else []
    parts += [f"{report.cached} from the cache"] if report.cached else []
    return "; ".join([words, *parts])
