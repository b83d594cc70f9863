"""What every scorer must do, as tests."""

import asyncio
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from rerank_plugins.errors import DeadlineExceededError, UnreadableTextWarning
from rerank_plugins.ranking.ranker import ScorerRanker
from rerank_plugins.scorers.base import Scorer
from rerank_plugins.scores import QueryDocuments, Scored, ScoreScale

# Texts that have broken scorers: nothing, white space, control tokens, emoji, other scripts, a very long one.
ODD_TEXTS = ["", " \n\t", "[SEP] </s> <|im_end|>", "🦜🔗", "苹果公司", "a\x00b", "long " * 5_000]


class ScorerContract:
    """Tests that every `Scorer` passes; subclass it and say how yours is made.

    A scorer whose documents influence each other, such as a listwise language model, sets `tolerance` to infinity.

    Attributes:
        query: A query that the scorer can answer.
        documents: Different documents for it.
        tolerance: By how much a raw score may differ between two calls.

    Examples:
        >>> class TestByLength(ScorerContract):
        ...     def make(self) -> Scorer:
        ...         return ByLength()
    """

    query: str = "who wrote hamlet"
    documents: Sequence[str] = ("Bread is baked.", "Shakespeare wrote Hamlet.", "Aspirin relieves headache.")
    tolerance: float = 1e-4

    def make(self) -> Scorer:
        """Make a scorer; called once a test, and twice where two are compared."""
        raise NotImplementedError("Return your scorer from make().")

    @pytest.fixture
    def scorer(self) -> Iterator[Scorer]:
        """A scorer that is closed after its test."""
        scorer = self.make()
        yield scorer
        scorer.close()

    def test_it_names_itself_and_its_scale(self, scorer: Scorer) -> None:
        """It has all members of the protocol, with values of the right types."""
        assert isinstance(scorer, Scorer)
        assert isinstance(scorer.name, str)
        assert scorer.name
        assert scorer.scale in set(ScoreScale)
        assert scorer.fingerprint is None or (isinstance(scorer.fingerprint, str) and scorer.fingerprint)
        assert isinstance(scorer.takes_instruction, bool)

    def test_the_fingerprint_does_not_change_by_itself(self, scorer: Scorer) -> None:
        """Two scorers that are made alike share a cache."""
        other = self.make()
        try:
            assert scorer.fingerprint == other.fingerprint
        finally:
            other.close()

    def test_every_document_gets_a_finite_number(self, scorer: Scorer) -> None:
        """One score a document, as a Python float that can be sorted."""
        (scored,) = scorer.score([self._asked()])
        assert len(scored.scores) == len(self.documents)
        for score in scored.scores:
            assert type(score.raw) is float
            assert math.isfinite(score.raw)
            if scorer.scale == ScoreScale.PROBABILITY:
                assert 0 <= score.raw <= 1

    def test_scores_are_in_the_order_of_the_documents(self, scorer: Scorer) -> None:
        """The document's place in the list changes nothing."""
        forwards = _raw(scorer.score([self._asked()]))[0]
        backwards = _raw(scorer.score([QueryDocuments(self.query, self.documents[::-1])]))[0]
        assert backwards[::-1] == self._like(forwards)

    def test_identical_documents_get_identical_scores(self, scorer: Scorer) -> None:
        """Equal texts tie exactly, so that their order stays the caller's."""
        (raw,) = _raw(scorer.score([QueryDocuments(self.query, [*self.documents, *self.documents])]))
        half = len(self.documents)
        assert raw[:half] == raw[half:]

    def test_several_lists_are_as_each_alone(self, scorer: Scorer) -> None:
        """One result a list, in their order; empty lists among them."""
        lists = [self._asked(), QueryDocuments("another query", self.documents[:2]), QueryDocuments(self.query, [])]
        together = _raw(scorer.score(lists))
        assert [len(each) for each in together] == [len(each.documents) for each in lists]
        for each, scores in zip(lists, together, strict=True):
            assert scores == self._like(_raw(scorer.score([each]))[0])

    def test_an_instruction_counts(self, scorer: Scorer) -> None:
        """Where one is taken it changes scores, and lists of one query with different ones keep their own scores."""
        if not scorer.takes_instruction:
            return
        given = (None, "Find a passage that answers the query.", "Find code.")
        lists = [QueryDocuments(self.query, self.documents, each) for each in given]
        together = _raw(scorer.score(lists))
        assert len({tuple(each) for each in together}) == len(given)
        for each, scores in zip(lists, together, strict=True):
            assert scores == self._like(_raw(scorer.score([each]))[0])

    def test_nothing_gives_nothing(self, scorer: Scorer) -> None:
        """No lists, and lists without documents, are answered without an error."""
        assert scorer.score([]) == []
        (scored,) = scorer.score([QueryDocuments(self.query, [])])
        assert list(scored.scores) == []
        assert scored.usage.scored == 0

    def test_it_counts_what_it_did(self, scorer: Scorer) -> None:
        """Neither more pairs than there are, nor less than nothing."""
        (scored,) = scorer.score([self._asked()])
        assert 0 <= scored.usage.scored + scored.usage.cached <= len(self.documents)
        assert min(scored.usage.windows, scored.usage.tokens, scored.usage.padding) >= 0
        assert min(scored.timing.queue, scored.timing.tokenize, scored.timing.forward) >= 0

    def test_odd_texts_are_scored(self, scorer: Scorer) -> None:
        """Whatever a corpus holds gets a score."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnreadableTextWarning)
            (raw,) = _raw(scorer.score([QueryDocuments(self.query, ODD_TEXTS)]))
        assert len(raw) == len(ODD_TEXTS)
        assert all(math.isfinite(each) for each in raw)

    def test_what_it_is_given_stays_as_it_is(self, scorer: Scorer) -> None:
        """The caller's lists are read, and not changed."""
        documents = list(self.documents)
        asked = [QueryDocuments(self.query, documents)]
        scorer.score(asked)
        assert documents == list(self.documents)
        assert asked == [QueryDocuments(self.query, list(self.documents))]

    def test_async_gives_the_scores_of_sync(self, scorer: Scorer) -> None:
        """On two event loops one after the other."""
        expected = _raw(scorer.score([self._asked()]))[0]
        for _ in range(2):
            assert _raw(asyncio.run(scorer.ascore([self._asked()])))[0] == self._like(expected)

    def test_threads_and_event_loops_share_it(self, scorer: Scorer) -> None:
        """Calls from many threads, and on several event loops, get their own scores."""
        lists = [QueryDocuments(self.query, [*self.documents][place % 2 :]) for place in range(8)]
        expected = [_raw(scorer.score([each]))[0] for each in lists]

        def ask(place: int) -> list[float]:
            if place % 4 < 2:
                return _raw(scorer.score([lists[place]]))[0]
            return _raw(asyncio.run(scorer.ascore([lists[place]])))[0]

        with ThreadPoolExecutor(len(lists)) as threads:
            for answer, own in zip(threads.map(ask, range(len(lists))), expected, strict=True):
                assert answer == self._like(own)

    def test_a_deadline_that_has_passed(self, scorer: Scorer) -> None:
        """It is a `DeadlineExceededError` or an answer, and the next call is served."""
        expected = _raw(scorer.score([self._asked()]))[0]
        with suppress(DeadlineExceededError):
            assert _raw(scorer.score([self._asked()], deadline=0.0))[0] == self._like(expected)
        with suppress(DeadlineExceededError):
            assert _raw(asyncio.run(scorer.ascore([self._asked()], deadline=0.0)))[0] == self._like(expected)
        assert _raw(scorer.score([self._asked()]))[0] == self._like(expected)

    def test_a_cancelled_call_leaves_the_next_one_alone(self, scorer: Scorer) -> None:
        """A caller that goes away breaks nothing."""
        expected = _raw(scorer.score([self._asked()]))[0]

        async def leave() -> list[Scored]:
            call = asyncio.ensure_future(scorer.ascore([self._asked()]))
            await asyncio.sleep(0)
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call
            return await scorer.ascore([self._asked()])

        assert _raw(asyncio.run(leave()))[0] == self._like(expected)

    def test_closing_twice_is_fine(self) -> None:
        """As the end of a `with` block and of a program may both close it."""
        scorer = self.make()
        scorer.close()
        scorer.close()

    def test_it_ranks(self, scorer: Scorer) -> None:
        """`ScorerRanker` makes a ranker of it, and its report says whose scores these are."""
        results = ScorerRanker(scorer).rank(self.query, self.documents)
        assert sorted(result.index for result in results) == list(range(len(self.documents)))
        assert results.report.model == scorer.name
        assert results.report.scale == scorer.scale

    def _asked(self) -> QueryDocuments:
        return QueryDocuments(self.query, self.documents)

    def _like(self, scores: Sequence[float]) -> object:
        return pytest.approx(scores, abs=self.tolerance)


def _raw(scored: Sequence[Scored]) -> list[list[float]]:
    return [[score.raw for score in each.scores] for each in scored]
