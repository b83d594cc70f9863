"""From scored pairs to what a caller gets: sorted, activated, cut, and with a report."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

from rerank_plugins.ranking.activations import Activation
from rerank_plugins.ranking.displacement import kendall_tau
from rerank_plugins.results import RankResult, ReportedList, RerankReport, ScoreDistribution
from rerank_plugins.scorers.local import ScoredPairs


class ResultMaker:
    """Make results for one model.

    Args:
        model: The model's name, for the report.
        activate: From logit to score.
        max_length: Tokens that a pair may have, for the report.
    """

    def __init__(self, model: str, activate: Activation, *, max_length: int) -> None:
        self._model, self._max_length = model, max_length
        self._activate = activate

    def ranked(
        self, scored: ScoredPairs, *, top_n: int | None, score_threshold: float | None, start: float
    ) -> ReportedList[RankResult]:
        """Sort by logit, best first, and keep what is asked for.

        Args:
            scored: The pairs.
            top_n: How many to keep; None for all.
            score_threshold: Keep scores from it on; None for all.
            start: When the call began, on `time.perf_counter`.
        """
        # Python's sort is stable: ties keep the caller's order.
        order = sorted(range(len(scored.scores)), key=lambda index: -scored.scores[index].logit)
        results = [
            RankResult(
                index=index,
                score=self._activate(scored.scores[index].logit),
                logit=scored.scores[index].logit,
                truncated=scored.scores[index].query_truncated or scored.scores[index].document_truncated,
                span=scored.scores[index].span,
            )
            for index in order
        ]
        kept = [result for result in results if score_threshold is None or result.score >= score_threshold][:top_n]
        report = self._report(scored, [result.score for result in results], len(kept), start)
        return ReportedList(kept, _with_order(report, order))

    def scores(self, scored: ScoredPairs, *, start: float) -> ReportedList[float]:
        """Return the activated scores in the caller's order."""
        scores = [self._activate(score.logit) for score in scored.scores]
        return ReportedList(scores, self._report(scored, scores, len(scores), start))

    def _report(self, scored: ScoredPairs, scores: Sequence[float], kept: int, start: float) -> RerankReport:
        return RerankReport(
            model=self._model,
            candidates=len(scored.scores),
            kept=kept,
            scored=scored.scored,
            cached=scored.cached,
            windows=scored.windows,
            tokens=scored.tokens,
            padding=scored.padding,
            truncated=sum(score.document_truncated for score in scored.scores),
            truncated_queries=len(
                {query for (query, _), score in zip(scored.pairs, scored.scores, strict=True) if score.query_truncated}
            ),
            unknown=scored.unknown,
            max_length=self._max_length,
            scores=_distribution(scores),
            fallback=scored.fallback,
            seconds=time.perf_counter() - start,
            queue_seconds=scored.queue_seconds,
            tokenize_seconds=scored.tokenize_seconds,
            forward_seconds=scored.forward_seconds,
        )


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
