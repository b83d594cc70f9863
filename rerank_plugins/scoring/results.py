"""From scored pairs to what a caller gets: sorted, activated, cut, and with a report."""

import time

from rerank_plugins.scoring.activations import Activation
from rerank_plugins.scoring.scorer import ScoredPairs
from rerank_plugins.types import RankResult, ReportedList, RerankReport


class ResultMaker:
    """Make results for one model.

    Args:
        model: The model's name, for the report.
        activate: From logit to score.
    """

    def __init__(self, model: str, activate: Activation) -> None:
        self._model = model
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
        return ReportedList(kept, self._report(scored, len(kept), start))

    def scores(self, scored: ScoredPairs, *, start: float) -> ReportedList[float]:
        """Return the activated scores in the caller's order."""
        scores = [self._activate(score.logit) for score in scored.scores]
        return ReportedList(scores, self._report(scored, len(scores), start))

    def _report(self, scored: ScoredPairs, kept: int, start: float) -> RerankReport:
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
            fallback=scored.fallback,
            seconds=time.perf_counter() - start,
            queue_seconds=scored.queue_seconds,
            tokenize_seconds=scored.tokenize_seconds,
            forward_seconds=scored.forward_seconds,
        )
