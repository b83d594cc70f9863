"""From the scores of a list to what a caller gets: sorted, activated, the best kept, with a report."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rerank_plugins.ranking.activations import Activation
from rerank_plugins.results import RankResult, ReportedList, RerankReport, ScoreDistribution
from rerank_plugins.scores import QueryDocuments, Scored, ScoreScale


@dataclass(frozen=True, slots=True)
class Keep:
    """Which results a caller wants.

    Attributes:
        top_n: How many; None: all.
        score_threshold: Minimum score; None: no minimum.
    """

    top_n: int | None = None
    score_threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What a report says beside the scores.

    Attributes:
        model: Who scored.
        scale: What the raw scores are.
        max_length: Tokens that a pair may have; 0 where nobody knows.
        replaced: Texts in which broken characters were replaced.
        started_at: When the call began, on `time.perf_counter`.
    """

    model: str
    scale: ScoreScale
    max_length: int
    replaced: int
    started_at: float


def rank_scored(
    scored: Scored, asked: QueryDocuments, keep: Keep, activate: Activation, call: Call
) -> ReportedList[RankResult]:
    """Sort by raw score, best first, and keep what is asked for; ties keep the caller's order."""
    # Python's sort is stable.
    order = sorted(range(len(scored.scores)), key=lambda index: -scored.scores[index].raw)
    results = [
        RankResult(
            index=index,
            score=activate(scored.scores[index].raw),
            raw_score=scored.scores[index].raw,
            truncated=scored.scores[index].query_truncated or scored.scores[index].document_truncated,
            span=scored.scores[index].span,
        )
        for index in order
    ]
    minimum = keep.score_threshold
    kept = [result for result in results if minimum is None or result.score >= minimum][: keep.top_n]
    report = make_report([scored], [asked], [result.score for result in results], call)
    return ReportedList(kept, _with_order(replace(report, kept=len(kept)), order))


def make_report(
    scored: Sequence[Scored], asked: Sequence[QueryDocuments], scores: Sequence[float], call: Call
) -> RerankReport:
    """Sum up one list, or several that were scored in one call."""
    documents = [score for each in scored for score in each.scores]
    timing = scored[0].timing if scored else None
    return RerankReport(
        model=call.model,
        scale=str(call.scale),
        candidates=len(documents),
        kept=len(documents),
        scored=sum(each.usage.scored for each in scored),
        cached=sum(each.usage.cached for each in scored),
        windows=sum(each.usage.windows for each in scored),
        tokens=sum(each.usage.tokens for each in scored),
        padding=sum(each.usage.padding for each in scored),
        truncated=sum(score.document_truncated for score in documents),
        truncated_queries=len(_truncated_queries(scored, asked)),
        unreadable=sum(each.unreadable.total() for each in scored),
        replaced=call.replaced,
        max_length=call.max_length,
        scores=_distribution(scores),
        fallback=next((each.fallback for each in scored if each.fallback is not None), None),
        seconds=time.perf_counter() - call.started_at,
        queue_seconds=timing.queue if timing else 0.0,
        tokenize_seconds=timing.tokenize if timing else 0.0,
        forward_seconds=timing.forward if timing else 0.0,
    )


def _truncated_queries(scored: Sequence[Scored], asked: Sequence[QueryDocuments]) -> set[str]:
    return {
        own.query
        for each, own in zip(scored, asked, strict=True)
        if any(score.query_truncated for score in each.scores)
    }


def _distribution(scores: Sequence[float]) -> ScoreDistribution | None:
    if not scores:
        return None
    best, mean = sorted(scores, reverse=True)[:2], statistics.fmean(scores)
    return ScoreDistribution(
        mean=mean,
        lowest=min(scores),
        highest=best[0],
        # Not `pstdev`, which computes in fractions and takes ten times as long.
        spread=math.sqrt(statistics.fmean((score - mean) ** 2 for score in scores)),
        gap=best[0] - best[1] if len(best) > 1 else None,
    )


def _with_order(report: RerankReport, order: Sequence[int]) -> RerankReport:
    """Add how far an order is from the one received."""
    if not order:
        return report
    among_first = sum(place < report.kept for place in order[: report.kept])
    return replace(
        report,
        top_1_kept=order[0] == 0,
        kendall_tau=kendall_tau(order),
        top_n_overlap=among_first / report.kept if report.kept else None,
    )


def kendall_tau(order: Sequence[int]) -> float | None:
    """Compare an order with the one it was made from (Kendall, "A new measure of rank correlation", 1938).

    Args:
        order: Places in the order received, in the order given: a permutation of 0, 1, 2, ...

    Returns:
        1 for the same order, -1 for the reverse one; None for fewer than two.

    Examples:
        >>> kendall_tau([0, 2, 1])
        0.3333333333333333
    """
    size = len(order)
    if size < 2:
        return None
    exchanged, _ = _inversions(order)
    return 1.0 - 4.0 * exchanged / (size * (size - 1))


def _inversions(order: Sequence[int]) -> tuple[int, list[int]]:
    """Count the pairs in the wrong order while merging; the sorted places come along."""
    if len(order) < 2:
        return 0, list(order)
    half = len(order) // 2
    (before, left), (behind, right) = _inversions(order[:half]), _inversions(order[half:])
    merged: list[int] = []
    exchanged, place = before + behind, 0
    for value in right:
        while place < len(left) and left[place] < value:
            merged.append(left[place])
            place += 1
        exchanged += len(left) - place
        merged.append(value)
    return exchanged, merged + left[place:]
