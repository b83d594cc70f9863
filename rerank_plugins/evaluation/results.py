"""The values that an evaluation returns."""

from dataclasses import dataclass
from typing import Any

from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.runs import Run


@dataclass(frozen=True, slots=True)
class Scored:
    """One candidate of one query, with what the reranker returned for it."""

    document_id: str
    raw_score: float
    score: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """Another order of the candidates, and the name of what produced it."""

    name: str
    run: Run


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a ranking is.

    Attributes:
        averages: Averages over all queries, by the measures' names in ir-measures.
        per_question: nDCG@10 of each query.
    """

    averages: dict[str, float]
    per_question: dict[str, float]


@dataclass(frozen=True, slots=True)
class Comparison(Quality):
    """The quality of another ranking of the same candidates, compared with the reranked one.

    Attributes:
        name: What produced the ranking.
        wins: Queries for which reranking is better than this ranking.
        losses: Queries for which it is worse.
        p_value: The probability of a difference in nDCG@10 this large by chance; None for a single query.
    """

    name: str
    wins: int
    losses: int
    p_value: float | None

    @property
    def verdict(self) -> str:
        """Wins, losses and significance in words."""
        p_value = "n/a" if self.p_value is None else f"{self.p_value:.4f}"
        return f"{_queries(self.wins)} better, {self.losses:,} worse than {self.name}, p = {p_value}"


@dataclass(frozen=True, slots=True)
class Workload:
    """The work that reranking did.

    Attributes:
        pairs: Number of candidates of all queries.
        truncated: Number of candidates that were longer than the reranker's `max_length`.
        seconds: Time spent in the reranker.
    """

    pairs: int
    truncated: int
    seconds: float

    @property
    def pairs_per_second(self) -> float:
        """Pairs scored per second."""
        return self.pairs / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The effect of reranking on one dataset.

    Attributes:
        dataset: The judged queries.
        model: The reranker's model.
        instruction: The instruction that it was given, if any.
        scored: Each query's candidates, in the first stage's order.
        after: The quality after reranking.
        before: The quality of the first stage's order.
        baseline: The quality of the same candidates in an embedding model's order, if that was requested.
        workload: The work that reranking did.
    """

    dataset: Dataset
    model: str
    instruction: str | None
    scored: dict[str, list[Scored]]
    after: Quality
    before: Comparison
    baseline: Comparison | None
    workload: Workload

    @property
    def without_candidates(self) -> int:
        """Number of queries for which the first stage found nothing; their measures are 0."""
        return sum(not candidates for candidates in self.scored.values())

    @property
    def summary(self) -> str:
        """The evaluation in words: queries, time, speed and, if any, what was left out and the instruction."""
        work, without = self.workload, self.without_candidates
        parts = [
            _queries(len(self.dataset.queries)),
            f"{work.seconds:.1f} s",
            f"{work.pairs_per_second:,.0f} pairs per second",
            f"{work.truncated:,} of {work.pairs:,} documents truncated" if work.truncated else "",
            f"{_queries(without)} without candidates (measured as 0)" if without else "",
            f"instruction {self.instruction!r}" if self.instruction else "",
        ]
        return ", ".join(filter(None, parts))

    def as_json(self) -> dict[str, Any]:
        """Return what `rerank-plugins evaluate --json` prints for a dataset."""
        baseline = self.baseline
        return {
            "name": self.dataset.name,
            "model": self.model,
            "instruction": self.instruction,
            "queries": len(self.dataset.queries),
            "queries_without_candidates": self.without_candidates,
            "before": self.before.averages,
            "after": self.after.averages,
            "truncated": self.workload.truncated,
            "seconds": self.workload.seconds,
            "pairs_per_second": self.workload.pairs_per_second,
            "wins": self.before.wins,
            "losses": self.before.losses,
            "p_value": self.before.p_value,
            "baseline": None
            if baseline is None
            else {"name": baseline.name, **baseline.averages, "p_value": baseline.p_value},
        }


def _queries(count: int) -> str:
    return "1 query" if count == 1 else f"{count:,} queries"
