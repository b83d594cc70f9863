"""Summarize recent reports and advise what to change."""

import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rerank_plugins.forks import ForkSafeLock
from rerank_plugins.results import RerankReport

# Fewer calls are too few for advice.
MIN_CALLS = 30
# Thresholds of the rules: shares of calls or documents, and Kendall's tau.
_SAME_ORDER, _SAME_FIRST = 0.95, 0.95
_MANY_CUT, _MANY_EMPTY, _MANY_UNREADABLE, _MANY_FAILED = 0.1, 0.2, 0.05, 0.01


@dataclass(frozen=True, slots=True)
class Advice:
    """A finding about recent calls.

    Attributes:
        rule: The rule's name.
        text: The finding with its numbers, and what to do.
        numbers: The same numbers by name.
    """

    rule: str
    text: str
    numbers: dict[str, float]


class RollingWindow:
    """An observer that keeps the most recent reports.

    Args:
        size: How many reports to keep.

    Examples:
        >>> window = RollingWindow(size=200)
        >>> with observe(window):
        ...     answer_questions()
        >>> for advice in window.advice():
        ...     print(advice.text)
        Reranking changes almost nothing (mean tau 0.97, top document unchanged in 98% of calls): retrieve fewer ...
    """

    def __init__(self, size: int = 1_000) -> None:
        self._reports: deque[RerankReport] = deque(maxlen=size)
        self._lock = ForkSafeLock()

    def __call__(self, report: RerankReport) -> None:
        """Keep a report, and drop the oldest one if the window is full."""
        with self._lock:
            self._reports.append(report)

    @property
    def reports(self) -> list[RerankReport]:
        """The kept reports, oldest first."""
        with self._lock:
            return list(self._reports)

    def summary(self) -> dict[str, float]:
        """Summarize the window. Numbers that no report has are omitted.

        Returns:
            `calls`, `failed` (share), `candidates` (mean), `seconds_median`, `seconds_p95`, `queue_seconds_median`,
            `top_1_kept` (share), `kendall_tau` (mean), `top_n_overlap` (mean), `truncated` (share of the documents),
            `unreadable` (share), `cached` (share of the pairs), `empty` (share of calls that kept nothing),
            `top_score_median`, `gap_median`.
        """
        reports = self.reports
        ranked = [report for report in reports if report.error is None and report.candidates]
        candidates = sum(report.candidates for report in ranked)
        pairs = sum(report.scored + report.cached for report in ranked)
        found: dict[str, float | None] = {
            "calls": len(reports),
            "failed": _share([report.error is not None for report in reports]),
            "candidates": _mean([report.candidates for report in ranked]),
            "seconds_median": _median([report.seconds for report in ranked]),
            "seconds_p95": _p95([report.seconds for report in ranked]),
            "queue_seconds_median": _median([report.queue_seconds for report in ranked]),
            "top_1_kept": _share([report.top_1_kept for report in ranked if report.top_1_kept is not None]),
            "kendall_tau": _mean([report.kendall_tau for report in ranked if report.kendall_tau is not None]),
            "top_n_overlap": _mean([report.top_n_overlap for report in ranked if report.top_n_overlap is not None]),
            "truncated": sum(report.truncated for report in ranked) / candidates if candidates else None,
            "unreadable": sum(report.unreadable for report in ranked) / candidates if candidates else None,
            "cached": sum(report.cached for report in ranked) / pairs if pairs else None,
            "empty": _share([report.kept == 0 for report in ranked]),
            "top_score_median": _median([report.scores.highest for report in ranked if report.scores]),
            "gap_median": _median(
                [report.scores.gap for report in ranked if report.scores and report.scores.gap is not None]
            ),
        }
        return {name: value for name, value in found.items() if value is not None}

    def advice(self) -> list[Advice]:
        """Advise what to change. Empty if there are fewer than MIN_CALLS calls, or nothing to change."""
        numbers = self.summary()
        if numbers["calls"] < MIN_CALLS:
            return []
        found = (rule(numbers, self.reports) for rule in _RULES)
        return [advice for advice in found if advice is not None]


Rule = Callable[[dict[str, float], Sequence[RerankReport]], Advice | None]


def _changes_nothing(numbers: dict[str, float], _: Sequence[RerankReport]) -> Advice | None:
    tau, first = numbers.get("kendall_tau", 0.0), numbers.get("top_1_kept", 0.0)
    if tau < _SAME_ORDER or first < _SAME_FIRST:
        return None
    candidates = numbers["candidates"]
    text = (
        f"Reranking changes almost nothing (mean tau {tau:.2f}, top document unchanged in {first:.0%} of calls): "
        f"retrieve fewer candidates, such as {candidates / 2:.0f} instead of {candidates:.0f}, or remove the reranker."
    )
    return Advice("changes_nothing", text, {"kendall_tau": tau, "top_1_kept": first, "candidates": candidates})


def _cuts_documents(numbers: dict[str, float], reports: Sequence[RerankReport]) -> Advice | None:
    share = numbers.get("truncated", 0.0)
    if share < _MANY_CUT:
        return None
    limit = max(report.max_length for report in reports)
    text = (
        f"{share:.0%} of documents are truncated at {limit} tokens: use long_documents='windows', or a larger "
        "max_length."
    )
    return Advice("cuts_documents", text, {"truncated": share, "max_length": limit})


def _keeps_nothing(numbers: dict[str, float], _: Sequence[RerankReport]) -> Advice | None:
    share, top = numbers.get("empty", 0.0), numbers.get("top_score_median", 0.0)
    if share < _MANY_EMPTY:
        return None
    text = (
        f"The score threshold drops all documents in {share:.0%} of calls; the median of the best scores is {top:.2f}: "
        "lower or remove the threshold."
    )
    return Advice("keeps_nothing", text, {"empty": share, "top_score_median": top})


def _cannot_read(numbers: dict[str, float], _: Sequence[RerankReport]) -> Advice | None:
    share = numbers.get("unreadable", 0.0)
    if share < _MANY_UNREADABLE:
        return None
    text = f"{share:.0%} of texts are in a language that the model cannot read: use a multilingual model."
    return Advice("cannot_read", text, {"unreadable": share})


def _waits_long(numbers: dict[str, float], _: Sequence[RerankReport]) -> Advice | None:
    waiting, whole = numbers.get("queue_seconds_median", 0.0), numbers.get("seconds_median", 0.0)
    if waiting <= whole / 2:
        return None
    text = (
        f"Calls spend most of their time waiting (median {waiting:.2f} s of {whole:.2f} s): add machines, a GPU or a "
        "cache, or retrieve fewer candidates."
    )
    return Advice("waits_long", text, {"queue_seconds_median": waiting, "seconds_median": whole})


def _fails(numbers: dict[str, float], reports: Sequence[RerankReport]) -> Advice | None:
    share = numbers["failed"]
    if share < _MANY_FAILED:
        return None
    kinds = {report.error.partition(":")[0] for report in reports if report.error is not None}
    text = f"{share:.1%} of calls failed and kept the retriever's order: {', '.join(sorted(kinds))}."
    return Advice("fails", text, {"failed": share})


_RULES: tuple[Rule, ...] = (_fails, _changes_nothing, _cuts_documents, _keeps_nothing, _cannot_read, _waits_long)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _p95(values: Sequence[float]) -> float | None:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))] if values else None
