"""Rerank the candidates of judged queries, and compare the order before with the order after."""

import time
import warnings
from typing import TYPE_CHECKING

import numpy as np

from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.first_stage import OnProgress
from rerank_plugins.evaluation.measures import average, p_value, per_question
from rerank_plugins.evaluation.results import Baseline, Comparison, Evaluation, Quality, Scored, Workload
from rerank_plugins.evaluation.runs import Run, check_run
from rerank_plugins.ranking.base import Ranker

if TYPE_CHECKING:
    from rerank_plugins.retrieval.embedding import BiEncoder


def evaluate(
    dataset: Dataset,
    candidates: Run,
    reranker: Ranker,
    *,
    top_n: int = 5,
    instruction: str | None = None,
    baseline: Baseline | None = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Rerank each query's candidates and measure the whole lists before and after.

    Args:
        dataset: The judged queries.
        candidates: The first stage's lists, best first. A query without a list counts as 0 in every measure.
        reranker: The reranker.
        top_n: The cutoff of recall and precision.
        instruction: What relevant means, for rerankers that take an instruction; None: the reranker's own.
        baseline: Another order of the same candidates to compare with; see `by_cosine`.
        on_progress: Called with the number of queries just finished.

    Raises:
        InvalidValueError: If a list names an unknown document or one twice, if all lists are empty, or if the reranker
            takes no instruction.

    Examples:
        >>> evaluate(dataset, retrieve_with_bm25(dataset, 50), Reranker()).after.averages["nDCG@10"]
        0.93
    """
    check_run(candidates, dataset.queries, dataset.passages, "The first stage")
    if baseline is not None:
        check_run(baseline.run, dataset.queries, dataset.passages, f"The baseline {baseline.name!r}")
    lists = {query_id: candidates.get(query_id, []) for query_id in dataset.queries}
    scored, workload = _score(dataset, lists, reranker, instruction, on_progress)
    after = _measure(rerank_first(scored, k=None), dataset, top_n)
    if not any(_is_relevant(dataset, query_id, each) for query_id, row in lists.items() for each in row):
        warnings.warn(
            f"No candidate in '{dataset.name}' is judged relevant, so every measure is 0 before and after reranking.",
            stacklevel=2,
        )
    return Evaluation(
        dataset=dataset,
        model=reranker.model,
        instruction=getattr(reranker, "instruction", None) if instruction is None else instruction,
        scored=scored,
        after=after,
        before=_compare(Baseline("first stage", lists), dataset, after, top_n),
        baseline=None if baseline is None else _compare(baseline, dataset, after, top_n),
        workload=workload,
    )


def _score(
    dataset: Dataset, candidates: Run, reranker: Ranker, instruction: str | None, on_progress: OnProgress | None
) -> tuple[dict[str, list[Scored]], Workload]:
    scored: dict[str, list[Scored]] = {}
    truncated, seconds = 0, 0.0
    for query_id, document_ids in candidates.items():
        texts = [dataset.passages[document_id].full_text for document_id in document_ids]
        start = time.perf_counter()
        results = reranker.rank(dataset.queries[query_id], texts, instruction=instruction)
        seconds += time.perf_counter() - start
        truncated += results.report.truncated
        in_given_order = sorted(results, key=lambda result: result.index)
        scored[query_id] = [
            Scored(document_id, result.raw_score, result.score)
            for document_id, result in zip(document_ids, in_given_order, strict=True)
        ]
        if on_progress is not None:
            on_progress(1)
    return scored, Workload(sum(map(len, candidates.values())), truncated, seconds)


def rerank_first(scored: dict[str, list[Scored]], k: int | None) -> Run:
    """Order the first `k` candidates by raw score and keep the rest below them in their order.

    Args:
        scored: The candidates of each query, in the first stage's order.
        k: How many to reorder; None for all.

    Examples:
        >>> rerank_first({"q": [Scored("a", 0.1, 0.5), Scored("b", 2.0, 0.9)]}, k=2)
        {'q': ['b', 'a']}
    """
    run: Run = {}
    for query_id, candidates in scored.items():
        head = candidates if k is None else candidates[:k]
        best_first = sorted(head, key=lambda candidate: -candidate.raw_score)
        run[query_id] = [candidate.document_id for candidate in best_first + candidates[len(head) :]]
    return run


def _is_relevant(dataset: Dataset, query_id: str, document_id: str) -> bool:
    return dataset.qrels[query_id].get(document_id, 0) > 0


def _measure(run: Run, dataset: Dataset, top_n: int) -> Quality:
    return Quality(average(run, dataset.qrels, top_n), per_question(run, dataset.qrels))


def _compare(other: Baseline, dataset: Dataset, after: Quality, top_n: int) -> Comparison:
    quality = _measure(other.run, dataset, top_n)
    own = quality.per_question
    return Comparison(
        averages=quality.averages,
        per_question=own,
        name=other.name,
        wins=sum(after.per_question[query_id] > own[query_id] for query_id in own),
        losses=sum(after.per_question[query_id] < own[query_id] for query_id in own),
        p_value=p_value(list(own.values()), [after.per_question[query_id] for query_id in own]),
    )


def by_cosine(dataset: Dataset, candidates: Run, encoder: "BiEncoder") -> Baseline:
    """Order each query's candidates by the cosine similarity of an embedding model.

    Args:
        dataset: The judged queries.
        candidates: The first stage's lists.
        encoder: The embedding model.

    Raises:
        InvalidValueError: If a list names an unknown document or one twice, or if all lists are empty.
    """
    check_run(candidates, dataset.queries, dataset.passages, "The first stage")
    needed = list(dict.fromkeys(document_id for document_ids in candidates.values() for document_id in document_ids))
    vectors = encoder.encode([dataset.passages[document_id].full_text for document_id in needed])
    places = {document_id: place for place, document_id in enumerate(needed)}
    queries = encoder.encode(list(dataset.queries.values()))
    run: Run = {}
    for query_id, query in zip(dataset.queries, queries, strict=True):
        document_ids = candidates.get(query_id, [])
        cosines = vectors[[places[document_id] for document_id in document_ids]] @ query
        run[query_id] = [document_ids[place] for place in np.argsort(-cosines, kind="stable")]
    return Baseline(f"{encoder.name} by cosine", run)
