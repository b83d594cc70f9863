"""Rerank the lists of judged questions, and compare before with after."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rerank_plugins.evaluation.dataset import Dataset, Run
from rerank_plugins.evaluation.first_stage import OnProgress
from rerank_plugins.evaluation.measures import average, p_value, per_question
from rerank_plugins.reranker import Reranker

if TYPE_CHECKING:
    from rerank_plugins.retrieval.embedding import BiEncoder


@dataclass(frozen=True, slots=True)
class Scored:
    """One candidate of one question: its document, and what the reranker gave it."""

    document_id: str
    logit: float
    score: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """Another order of the lists that are reranked, and what made it."""

    name: str
    run: Run


@dataclass(frozen=True, slots=True)
class Comparison:
    """A ranking measured, and compared with another one of the same lists.

    Attributes:
        name: What made it.
        measured: Averages, keyed as ir-measures prints them.
        per_question: nDCG@10 of each question.
        wins: Questions on which reranking did better than this ranking.
        losses: Questions on which it did worse.
        p_value: How likely a difference of nDCG@10 this large is by chance.
    """

    name: str
    measured: dict[str, float]
    per_question: dict[str, float]
    wins: int
    losses: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What reranking did to the lists of one dataset.

    Attributes:
        dataset: The judged questions.
        model: The reranker's model.
        top_n: Where recall and precision are cut.
        scored: Each question's candidates in the first stage's order.
        after: Averages after reranking.
        per_question: nDCG@10 of each question after reranking.
        before: The first stage's own order.
        baseline: The same lists by the cosine of an embedding model; None where none was asked for.
        truncated: How many candidates were cut to fit the reranker's `max_length`.
        seconds: Time spent on reranking.
    """

    dataset: Dataset
    model: str
    top_n: int
    scored: dict[str, list[Scored]]
    after: dict[str, float]
    per_question: dict[str, float]
    before: Comparison
    baseline: Comparison | None
    truncated: int
    seconds: float

    @property
    def pairs(self) -> int:
        """How many pairs were scored."""
        return sum(len(candidates) for candidates in self.scored.values())

    @property
    def pairs_per_second(self) -> float:
        """How many pairs were scored in a second."""
        return self.pairs / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "name": self.dataset.name,
            "model": self.model,
            "queries": len(self.dataset.queries),
            "before": self.before.measured,
            "after": self.after,
            "truncated": self.truncated,
            "seconds": self.seconds,
            "pairs_per_second": self.pairs_per_second,
            "wins": self.before.wins,
            "losses": self.before.losses,
            "p_value": self.before.p_value,
            "baseline": None
            if self.baseline is None
            else {"name": self.baseline.name, **self.baseline.measured, "p_value": self.baseline.p_value},
        }


def evaluate(
    dataset: Dataset,
    candidates: Run,
    reranker: Reranker,
    *,
    top_n: int = 5,
    baseline: "Baseline | None" = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Rerank each question's candidates and measure the whole lists before and after.

    Args:
        dataset: The judged questions.
        candidates: The first stage's lists, best first.
        reranker: What reranks them.
        top_n: Where recall and precision are cut.
        baseline: Another order of the same lists, for comparison; see `by_cosine`.
        on_progress: Called with the number of questions that were just done.

    Examples:
        >>> evaluate(dataset, retrieve_with_bm25(dataset, 50), Reranker()).after["nDCG@10"]
        0.93
    """
    scored: dict[str, list[Scored]] = {}
    truncated, seconds = 0, 0.0
    for query_id, query in dataset.queries.items():
        texts = [dataset.passages[document_id].full_text for document_id in candidates[query_id]]
        start = time.perf_counter()
        results = reranker.rank(query, texts)
        seconds += time.perf_counter() - start
        truncated += results.report.truncated
        as_given = sorted(results, key=lambda result: result.index)
        scored[query_id] = [
            Scored(document_id, result.raw_score, result.score)
            for document_id, result in zip(candidates[query_id], as_given, strict=True)
        ]
        if on_progress is not None:
            on_progress(1)
    reranked = rerank_first(scored, k=None)
    after = per_question(reranked, dataset.qrels)
    return Evaluation(
        dataset=dataset,
        model=reranker.model,
        top_n=top_n,
        scored=scored,
        after=average(reranked, dataset.qrels, top_n),
        per_question=after,
        before=_compare("first stage", candidates, dataset, after, top_n),
        baseline=None if baseline is None else _compare(baseline.name, baseline.run, dataset, after, top_n),
        truncated=truncated,
        seconds=seconds,
    )


def rerank_first(scored: dict[str, list[Scored]], k: int | None) -> Run:
    """Order the first `k` candidates by logit and leave the rest behind them as they were; all for None."""
    run: Run = {}
    for query_id, candidates in scored.items():
        head = candidates if k is None else candidates[:k]
        best_first = sorted(head, key=lambda candidate: -candidate.logit)
        run[query_id] = [candidate.document_id for candidate in best_first + candidates[len(head) :]]
    return run


def _compare(name: str, run: Run, dataset: Dataset, after: dict[str, float], top_n: int) -> Comparison:
    own = per_question(run, dataset.qrels)
    return Comparison(
        name=name,
        measured=average(run, dataset.qrels, top_n),
        per_question=own,
        wins=sum(after[query_id] > own[query_id] for query_id in own),
        losses=sum(after[query_id] < own[query_id] for query_id in own),
        p_value=p_value(list(own.values()), [after[query_id] for query_id in own]),
    )


def by_cosine(dataset: Dataset, candidates: Run, encoder: "BiEncoder") -> Baseline:
    """Order each question's candidates by the cosine of an embedding model."""
    needed = list(dict.fromkeys(document_id for document_ids in candidates.values() for document_id in document_ids))
    vectors = encoder.encode([dataset.passages[document_id].full_text for document_id in needed])
    places = {document_id: place for place, document_id in enumerate(needed)}
    queries = encoder.encode(list(dataset.queries.values()))
    run: Run = {}
    for query_id, query in zip(dataset.queries, queries, strict=True):
        document_ids = candidates[query_id]
        cosines = vectors[[places[document_id] for document_id in document_ids]] @ query
        run[query_id] = [document_ids[place] for place in np.argsort(-cosines, kind="stable")]
    return Baseline(f"{encoder.name} by cosine", run)
