"""Measure rankings with ir-measures, and test whether a difference is significant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.evaluation.qrels import Qrels
from rerank_plugins.evaluation.runs import Run
from rerank_plugins.extras import extra

with extra("evaluation", provides="ir_measures"):
    import ir_measures
    from ir_measures import RR, P, R, nDCG

if TYPE_CHECKING:
    from ir_measures.measures import Measure

Values = NDArray[np.float64]

# The measure for the significance test, and for wins and losses.
MAIN = nDCG @ 10
_RESAMPLES = 9999


def measures(top_n: int) -> "list[Measure]":
    """Return the reported measures: nDCG@10, RR@10 (its mean is MRR@10), recall and precision at `top_n`."""
    return [MAIN, RR @ 10, R @ top_n, P @ top_n]


def average(run: Run, qrels: Qrels, top_n: int) -> dict[str, float]:
    """Average each measure over all judged queries. A query that the run does not have counts as 0.

    Args:
        run: Document ids by query id, best first.
        qrels: The judgements.
        top_n: The cutoff of recall and precision.

    Returns:
        Averages by the measures' names in ir-measures.

    Examples:
        >>> average({"q": ["d2", "d1"]}, {"q": {"d1": 1}}, top_n=5)["RR@10"]
        0.5
    """
    values = ir_measures.calc_aggregate(measures(top_n), qrels, _scored(run))
    return {str(measure): float(values[measure]) for measure in measures(top_n)}


def per_question(run: Run, qrels: Qrels) -> dict[str, float]:
    """Return nDCG@10 of each judged query; 0 if nothing was retrieved."""
    found = {each.query_id: float(each.value) for each in ir_measures.iter_calc([MAIN], qrels, _scored(run))}
    return {query_id: found.get(query_id, 0.0) for query_id in qrels}


def p_value(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Return the probability of a mean difference this large by chance: paired randomization test, two-sided.

    It swaps the two systems' values query by query, as in Smucker et al., "A Comparison of Statistical Significance
    Tests for Information Retrieval Evaluation", CIKM 2007. The random seed is fixed.

    Args:
        before: One system's value for each query.
        after: The other system's values for the same queries.

    Returns:
        The p-value; None for fewer than two queries, which cannot be tested.
    """
    with extra("evaluation", provides="scipy"):
        from scipy.stats import permutation_test

    if len(before) < 2:
        return None
    if all(one == other for one, other in zip(before, after, strict=True)):
        return 1.0

    def mean_difference(one: Values, other: Values, axis: int = -1) -> Values:
        difference: Values = one.mean(axis=axis) - other.mean(axis=axis)
        return difference

    result = permutation_test(
        (before, after), mean_difference, permutation_type="samples", n_resamples=_RESAMPLES, vectorized=True, rng=0
    )
    return float(result.pvalue)


def _scored(run: Run) -> dict[str, dict[str, float]]:
    """Turn ranks into descending scores: trec_eval sorts by score, and equal scores by document id."""
    return {
        query_id: {document_id: float(-rank) for rank, document_id in enumerate(document_ids)}
        for query_id, document_ids in run.items()
    }


def recall(run: Run, qrels: Qrels, cutoffs: Sequence[int]) -> list[float]:
    """Return the average recall at each cutoff."""
    wanted = [R @ cutoff for cutoff in cutoffs]
    values = ir_measures.calc_aggregate(wanted, qrels, _scored(run))
    return [float(values[measure]) for measure in wanted]
