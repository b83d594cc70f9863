"""Rank with any scorer: check what comes in, have it scored, sort it, report it."""

import asyncio
import time
from collections.abc import Sequence
from typing import TypeVar

from rerank_plugins.caching import ScoreCache, open_cache
from rerank_plugins.monitoring.base import Observers, notify
from rerank_plugins.ranking.activations import choose_activation
from rerank_plugins.ranking.checks import check_keep, check_loop
from rerank_plugins.ranking.report import Call, Keep, make_report, rank_scored
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.scorers.answers import check_scored
from rerank_plugins.scorers.base import Scorer, check_takes_instruction
from rerank_plugins.scorers.cached import CachedScorer
from rerank_plugins.scores import QueryDocuments, Scored, ScoreScale
from rerank_plugins.validation import Checked, check_instruction, check_list, check_lists, check_pairs

T = TypeVar("T")
Pair = tuple[str, str]


class ScorerRanker:
    """A `Ranker` over any `Scorer`. `Reranker` is one over a model; use this class for a scorer of your own.

    Args:
        scorer: What scores.
        activation: From raw score to score; None: a sigmoid for logits and log-odds, nothing for other scales.
        timeout: Seconds that a call may take; None: no limit.
        instruction: What relevant means in calls that do not say it themselves; None: what the scorer takes it to mean.
        cache: Where scores are kept from one call to the next: `memory`, a Redis URL, a `ScoreCache`; None: nowhere.

    Attributes:
        scorer: What scores, behind its cache.
        activation: `sigmoid` or `identity`.
        instruction: What relevant means in calls that do not say it themselves.
        observers: Who is told of its reports, beside the observers of the process.
        max_length: Tokens that a pair may have; None where the scorer does not say.

    Raises:
        InvalidValueError: If a cache is given and the scorer has no fingerprint, or an instruction and it takes none.

    Examples:
        >>> ranker = ScorerRanker(ByLength())  # see `Scorer`
        >>> [result.index for result in ranker.rank("which is longest", ["short", "a longer one"])]
        [1, 0]
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        activation: str | None = None,
        timeout: float | None = None,
        instruction: str | None = None,
        cache: str | ScoreCache | None = None,
    ) -> None:
        self.scorer = scorer if cache is None else CachedScorer(scorer, open_cache(cache))
        self.activation, self._activate = choose_activation(activation, scorer.scale)
        self.observers = Observers()
        self.max_length: int | None = None
        self._timeout = timeout
        self.instruction = check_takes_instruction(scorer, check_instruction("instruction", instruction))

    @property
    def model(self) -> str:
        """The scorer's name."""
        return self.scorer.name

    @property
    def scale(self) -> ScoreScale:
        """What the raw scores are."""
        return self.scorer.scale

    @property
    def takes_instruction(self) -> bool:
        """Whether the scorer has a place for an instruction."""
        return self.scorer.takes_instruction

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        instruction: str | None = None,
    ) -> ReportedList[RankResult]:
        """Sort documents by relevance to the query, best first.

        Sorting is by raw score; ties keep the caller's order; identical documents get identical scores.

        Args:
            query: What the user asks.
            documents: The candidates, in the retriever's order. An empty one is ranked, not dropped.
            top_n: How many to keep; None: all.
            score_threshold: Minimum score to keep; None: no minimum.
            instruction: What relevant means, for models whose prompt has a place for it; None: the ranker's own.

        Returns:
            The kept documents as `RankResult`s, with the call's `.report`.

        Raises:
            InvalidTypeError: If the query or a document is not a string, or the documents are not a list.
            InvalidValueError: If the query or the instruction is blank, `top_n` or `score_threshold` is out of range,
                or an instruction is given to a model that takes none.
            ScoringError: If the model answers NaN or infinity, or the device's memory cannot hold a single pair.
            OverloadedError: If more pairs than `max_queue` would wait.
            DeadlineExceededError: If it takes longer than `timeout`.
            ClosedError: If it was closed.

        Examples:
            >>> [result.index for result in reranker.rank("capital of France", ["Berlin.", "Paris, France's capital."])]
            [1, 0]
        """
        started, keep = time.perf_counter(), check_keep(top_n, score_threshold)
        return self._rank([check_list(query, documents, self._meant(instruction))], keep, started)[0]

    async def arank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        instruction: str | None = None,
    ) -> ReportedList[RankResult]:
        """Do what `rank` does without blocking the event loop."""
        started, keep = time.perf_counter(), check_keep(top_n, score_threshold)
        check_loop("arank")
        checked = await asyncio.to_thread(check_list, query, documents, self._meant(instruction))
        return (await self._arank([checked], keep, started))[0]

    def rank_many(
        self,
        queries: Sequence[str],
        documents: Sequence[Sequence[str]],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        instruction: str | None = None,
    ) -> list[ReportedList[RankResult]]:
        """Rank a list of documents for each of several queries, in one call that fills its batches across lists.

        Args:
            queries: What the users ask.
            documents: The candidates of each query.
            top_n: As in `rank`, for each list.
            score_threshold: As in `rank`.
            instruction: As in `rank`.

        Returns:
            One ranking a query, in their order, each with its own report; their times are those of the whole call.

        Raises:
            RerankError: As `rank`, or if there are not as many lists as queries; one wrong text fails the call.

        Examples:
            >>> hamlet, france = reranker.rank_many(
            ...     ["who wrote hamlet", "capital of France"],
            ...     [["Bread is baked.", "Shakespeare wrote Hamlet."], ["Berlin.", "Paris, France's capital."]],
            ... )
            >>> hamlet[0].index, france[0].index
            (1, 1)
        """
        started, keep = time.perf_counter(), check_keep(top_n, score_threshold)
        return self._rank(check_lists(queries, documents, self._meant(instruction)), keep, started)

    async def arank_many(
        self,
        queries: Sequence[str],
        documents: Sequence[Sequence[str]],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        instruction: str | None = None,
    ) -> list[ReportedList[RankResult]]:
        """Do what `rank_many` does without blocking the event loop."""
        started, keep = time.perf_counter(), check_keep(top_n, score_threshold)
        check_loop("arank_many")
        checked = await asyncio.to_thread(check_lists, queries, documents, self._meant(instruction))
        return await self._arank(checked, keep, started)

    def score(self, pairs: Sequence[Pair], *, instruction: str | None = None) -> ReportedList[float]:
        """Score (query, document) pairs, in the order given.

        Args:
            pairs: Tuples of a query and a document; queries may differ.
            instruction: As in `rank`, for all pairs.

        Returns:
            One activated score a pair, with the call's `.report`.

        Raises:
            RerankError: As `rank`, or if a pair is not two strings.
        """
        started = time.perf_counter()
        lists, replaced = check_pairs(pairs, self._meant(instruction))
        scored = self.scorer.score(lists, deadline=self._deadline(started))
        return self._told(self._scores(lists, scored, replaced, started))

    async def ascore(self, pairs: Sequence[Pair], *, instruction: str | None = None) -> ReportedList[float]:
        """Do what `score` does without blocking the event loop."""
        started = time.perf_counter()
        check_loop("ascore")
        lists, replaced = await asyncio.to_thread(check_pairs, pairs, self._meant(instruction))
        scored = await self.scorer.ascore(lists, deadline=self._deadline(started))
        return self._told(await asyncio.to_thread(self._scores, lists, scored, replaced, started))

    def _rank(self, checked: Sequence[Checked], keep: Keep, started: float) -> list[ReportedList[RankResult]]:
        asked = [each for each, _ in checked]
        scored = self.scorer.score(asked, deadline=self._deadline(started))
        return [self._told(results) for results in self._results(checked, scored, keep, started)]

    async def _arank(self, checked: Sequence[Checked], keep: Keep, started: float) -> list[ReportedList[RankResult]]:
        asked = [each for each, _ in checked]
        scored = await self.scorer.ascore(asked, deadline=self._deadline(started))
        ranked = await asyncio.to_thread(self._results, checked, scored, keep, started)
        return [self._told(results) for results in ranked]

    def _results(
        self, checked: Sequence[Checked], scored: Sequence[Scored], keep: Keep, started: float
    ) -> list[ReportedList[RankResult]]:
        check_scored(self.model, scored, [asked for asked, _ in checked])
        return [
            rank_scored(each, asked, keep, self._activate, self._call(replaced, started))
            for each, (asked, replaced) in zip(scored, checked, strict=True)
        ]

    def _scores(
        self, lists: Sequence[QueryDocuments], scored: Sequence[Scored], replaced: int, started: float
    ) -> ReportedList[float]:
        check_scored(self.model, scored, lists)
        scores = [self._activate(score.raw) for each in scored for score in each.scores]
        return ReportedList(scores, make_report(scored, lists, scores, self._call(replaced, started)))

    def _call(self, replaced: int, started: float) -> Call:
        return Call(self.model, self.scale, self.max_length or 0, replaced, started)

    def _meant(self, instruction: str | None) -> str | None:
        """Return what relevant means in a call: what the call says, else the ranker."""
        return check_takes_instruction(self.scorer, self.instruction if instruction is None else instruction)

    def _deadline(self, started: float) -> float | None:
        return None if self._timeout is None else started + self._timeout

    def _told(self, results: ReportedList[T]) -> ReportedList[T]:
        notify(results.report, self)
        return results
