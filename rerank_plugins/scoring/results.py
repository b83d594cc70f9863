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
        order = sorted(range(len(scored.logits)), key=lambda index: -scored.logits[index])
        results = [
            RankResult(
                index=index,
                score=self._activate(scored.logits[index]),
                logit=scored.logits[index],
                truncated=scored.pairs[index].truncated,
            )
            for index in order
        ]
        kept = [result for result in results if score_threshold is None or result.score >= score_threshold][:top_n]
        return ReportedList(kept, self._report(scored, len(kept), start))

    def scores(self, scored: ScoredPairs, *, start: float) -> ReportedList[float]:
        """Return the activated scores in the caller's order."""
        scores = [self._activate(logit) for logit in scored.logits]
        return ReportedList(scores, self._report(scored, len(scores), start))

    def _report(self, scored: ScoredPairs, kept: int, start: float) -> RerankReport:
        return RerankReport(
            model=self._model,
            candidates=len(scored.logits),
            kept=kept,
            scored=scored.scored,
            tokens=scored.tokens,
            truncated=sum(pair.document_truncated for pair in scored.pairs),
            truncated_queries=scored.truncated_queries,
            unknown=scored.unknown,
            seconds=time.perf_counter() - start,
            tokenize_seconds=scored.tokenize_seconds,
            forward_seconds=scored.forward_seconds,
        )
