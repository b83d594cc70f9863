"""A line in the log for each rerank, without any text."""

import logging
from dataclasses import asdict

from rerank_plugins.results import RerankReport


class LogObserver:
    """Write each report to a logger: a readable message, and the report as a dict in `record.rerank`.

    Args:
        logger: The logger. None: "rerank_plugins.reports".
        level: The level of successful calls; failures have WARNING.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.INFO) -> None:
        self._logger = logger or logging.getLogger("rerank_plugins.reports")
        self._level = level

    def __call__(self, report: RerankReport) -> None:
        """Log a report."""
        level = self._level if report.error is None else logging.WARNING
        self._logger.log(level, "%s", sentence(report), extra={"rerank": asdict(report)})


def sentence(report: RerankReport) -> str:
    """Summarize a call in one line.

    Examples:
        >>> sentence(RerankReport(model="embedded", candidates=50, kept=5, seconds=0.4, top_1_kept=False))
        'embedded kept 5 of 50 documents in 400 ms; top document changed'
    """
    words = f"{report.model} kept {report.kept} of {report.candidates} documents in {report.seconds * 1000:.0f} ms"
    if report.error is not None:
        return f"{words}; reranking failed, keeping the retriever's order"
    parts = [] if report.top_1_kept is None else ["top document " + ("unchanged" if report.top_1_kept else "changed")]
    parts += [f"{report.truncated} truncated"] if report.truncated else []
    parts += [f"{report.cached} from the cache"] if report.cached else []
    return "; ".join([words, *parts])
