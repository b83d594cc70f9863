"""Measure how far two models agree on the same lists: order, first places, raw scores."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.reading.files import read_lines
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult

with extra("export", provides="scipy"):
    from scipy.stats import kendalltau

_FIRST = 5


@dataclass(frozen=True, slots=True)
class Candidates:
    """A question and the documents to rank for it."""

    query: str
    documents: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far one model's results are from another's.

    Attributes:
        lists: Lists that both ranked.
        pairs: Pairs in these lists.
        kendall_tau: The mean over the lists of Kendall's tau-b: 1 for the same order, -1 for the reverse one.
        top_5_overlap: The mean share of the first five that both have among theirs.
        same_first: The share of the lists in which both rank the same document first.
        largest_difference: The largest difference of a pair's two raw scores.
        mean_difference: The mean absolute difference of a pair's two raw scores.
    """

    lists: int
    pairs: int
    kendall_tau: float
    top_5_overlap: float
    same_first: float
    largest_difference: float
    mean_difference: float


def read_candidates(file: Path) -> list[Candidates]:
    """Read lists, one `{"query": ..., "documents": [...]}` a line, plain or gzip.

    Raises:
        InvalidValueError: If the file is missing, empty, or a line is something else.
    """
    lists = [
        _parse(line, f"Line {number} of {file}") for number, line in enumerate(read_lines(file), 1) if line.strip()
    ]
    if not lists:
        raise InvalidValueError(f'{file} holds no lists. It needs one {{"query": ..., "documents": [...]}} a line.')
    return lists


def compare(one: Reranker, other: Reranker, lists: Iterable[Candidates]) -> Agreement:
    """Rank the same lists with both.

    Examples:
        >>> compare(reranker, reranker, [Candidates("who", ["a", "b"])]).top_5_overlap
        1.0
    """
    return agreement([(one.rank(each.query, each.documents), other.rank(each.query, each.documents)) for each in lists])


def agreement(rankings: Sequence[tuple[Sequence[RankResult], Sequence[RankResult]]]) -> Agreement:
    """Compare pairs of rankings of the same lists."""
    logits = [(_by_index(one), _by_index(other)) for one, other in rankings]
    differences = [abs(a - b) for one, other in logits for a, b in zip(one, other, strict=True)]
    return Agreement(
        lists=len(rankings),
        pairs=len(differences),
        kendall_tau=fmean(_tau(one, other) for one, other in logits),
        top_5_overlap=fmean(_overlap(one, other) for one, other in rankings),
        same_first=fmean(one[0].index == other[0].index for one, other in rankings),
        largest_difference=max(differences),
        mean_difference=fmean(differences),
    )


def _by_index(results: Sequence[RankResult]) -> list[float]:
    return [result.raw_score for result in sorted(results, key=lambda each: each.index)]


def _tau(one: list[float], other: list[float]) -> float:
    single = len(set(one)) == 1, len(set(other)) == 1
    # Tau is undefined where one side has a single value: both agree if the other has one too.
    return float(all(single)) if any(single) else float(kendalltau(one, other).statistic)


def _overlap(one: Sequence[RankResult], other: Sequence[RankResult]) -> float:
    first, second = ({result.index for result in results[:_FIRST]} for results in (one, other))
    return len(first & second) / len(first)


def _parse(line: str, where: str) -> Candidates:
    try:
        row = json.loads(line)
        query, documents = row["query"], row["documents"]
    except (ValueError, KeyError, TypeError):
        raise InvalidValueError(f'{where} is not an object with "query" and "documents".') from None
    if not isinstance(documents, list) or not documents:
        raise InvalidValueError(f'{where} has no documents. It needs "documents": [...] with at least one string.')
    return Candidates(query, documents)
