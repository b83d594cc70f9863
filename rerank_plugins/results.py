"""The frozen values that reranking returns."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RankResult:
    """One document's place in the ranking.

    Attributes:
        index: The document's place in the caller's list, from 0.
        score: The raw score after the activation: 0 to 1 with a sigmoid.
        raw_score: What the model said, in float32, on the scale that `report.scale` names: a logit for a
            cross-encoder. Sorting is by this.
        truncated: Whether the model read only a part of the pair, because it was longer than `max_length`.
        span: The characters `[start, end)` of the document that won the score; None where it was not read in windows.
    """

    index: int
    score: float
    raw_score: float
    truncated: bool = False
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDistribution:
    """The scores of all candidates of a call, after the activation.

    Attributes:
        mean: Their mean.
        lowest: The least.
        highest: The greatest.
        spread: Their standard deviation.
        gap: The distance of the best two; None for a single one.
    """

    mean: float
    lowest: float
    highest: float
    spread: float
    gap: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankReport:
    """What one call did, in numbers.

    Flat on purpose: its fields are columns of a log line, a metric and a table.

    Attributes:
        model: The model's name.
        candidates: Documents, or pairs, that came in.
        kept: Documents that went out, after `score_threshold` and `top_n`.
        scale: What the raw scores are: "logit", "log-odds", "probability", ...; see `ScoreScale`.
        scored: Pairs that the model read: identical pairs are read once.
        cached: Different pairs that came from the cache.
        windows: Windows that were read beyond one a pair, with `long_documents="windows"`.
        tokens: Tokens that the model read, special tokens included, padding not.
        padding: Tokens that were added to make the pairs of a batch equally long.
        truncated: Documents that were truncated to fit `max_length`.
        truncated_queries: Queries that were truncated, since they took over three quarters of `max_length`.
        unreadable: Different texts in a language that the model cannot read.
        replaced: Texts with broken characters (lone surrogates), which were replaced by U+FFFD.
        max_length: Tokens that a pair may have.
        scores: The scores of all candidates; None where there are none.
        top_1_kept: Whether the retriever's first document stayed the first (top-1 retention).
        kendall_tau: How much of the retriever's order is left: 1 for all, -1 for the reverse order. The measures of
            the order are None where there is none: pairs that were scored, or a single document (for tau).
        top_n_overlap: The share of the kept documents that the retriever had among its first so many.
        fallback: Why the fallback scored the pairs; None where it did not.
        seconds: Time of the whole call, waiting included.
        queue_seconds: How long the first pair waited behind other callers.
        tokenize_seconds: Time spent on the cache and on turning texts into token ids until the first were queued: a
            GPU scores those of a long list while the others are tokenized.
        forward_seconds: From the first batch's start to the last score.
        error: Why the retriever's order was kept instead of a ranking; None for a ranking.
    """

    model: str
    candidates: int
    kept: int
    scale: str = "logit"
    scored: int = 0
    cached: int = 0
    windows: int = 0
    tokens: int = 0
    padding: int = 0
    truncated: int = 0
    truncated_queries: int = 0
    unreadable: int = 0
    replaced: int = 0
    max_length: int = 0
    scores: ScoreDistribution | None = None
    top_1_kept: bool | None = None
    kendall_tau: float | None = None
    top_n_overlap: float | None = None
    fallback: str | None = None
    seconds: float = 0.0
    queue_seconds: float = 0.0
    tokenize_seconds: float = 0.0
    forward_seconds: float = 0.0
    error: str | None = None


class ReportedList(list[T]):
    """A plain list, best first or in the caller's order, that also carries the report of the call that made it.

    Examples:
        >>> results = Reranker().rank("who wrote hamlet", ["Shakespeare wrote Hamlet.", "Bread is baked."])
        >>> results.report.candidates
        2
    """

    report: RerankReport

    def __init__(self, items: Iterable[T], report: RerankReport) -> None:
        super().__init__(items)
        self.report = report
