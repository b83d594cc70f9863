"""`FallbackScorer`: the second scorer runs when the first one fails, after the first one's memory is freed."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import (
    DeadlineExceededError,
    InvalidValueError,
    OutOfMemoryError,
    OverloadedError,
    QueryDocuments,
    Reranker,
    Scored,
    ScoreScale,
    ScoringError,
)
from rerank_plugins.scorers.base import Scorer
from rerank_plugins.scorers.fallback import FallbackScorer
from tests.fakes import FakeScorer, SmallDevice
from tests.texts import DOCUMENTS, QUERY

Ask = Callable[[Scorer, Sequence[QueryDocuments]], list[Scored]]
LISTS = [QueryDocuments("q", ["aaa", "a"]), QueryDocuments("r", ["aa"])]
FULL = OutOfMemoryError("Tried to allocate 20.00 MiB")


@pytest.fixture(params=["score", "ascore"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "score":
        return lambda scorer, lists: scorer.score(lists)
    return lambda scorer, lists: asyncio.run(scorer.ascore(lists))


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Memory must be freed without the garbage collector, which may run too late."""
    gc.disable()
    yield
    gc.enable()


def test_it_passes_for_the_first_one_and_has_no_fingerprint() -> None:
    first = FakeScorer(name="mine", scale=ScoreScale.PROVIDER, takes_instruction=True)
    scorer = FallbackScorer(first, FakeScorer)
    assert (scorer.name, scorer.scale, scorer.fingerprint) == ("mine", ScoreScale.PROVIDER, None)
    assert scorer.takes_instruction
    assert not FallbackScorer(FakeScorer(), FakeScorer).takes_instruction


def test_as_long_as_the_first_one_answers_there_is_no_second_one(ask: Ask) -> None:
    def make() -> Scorer:
        raise AssertionError("nobody needs it")

    first = FakeScorer()
    assert [each.fallback for each in ask(FallbackScorer(first, make), LISTS)] == [None, None]
    assert first.asked == [LISTS]


def test_the_second_one_is_made_once_and_asked_for_all_of_it(ask: Ask) -> None:
    made: list[FakeScorer] = []

    def make() -> Scorer:
        made.append(FakeScorer(lambda text: 10.0 * len(text)))
        return made[-1]

    first = FakeScorer(error=FULL)
    scorer = FallbackScorer(first, make)
    for _ in range(2):
        scored = ask(scorer, LISTS)
        assert [[score.raw for score in each.scores] for each in scored] == [[30.0, 10.0], [20.0]]
        assert [each.fallback for each in scored] == ["Tried to allocate 20.00 MiB"] * 2
    (second,) = made
    assert second.asked == first.asked == [LISTS, LISTS]
    first.error = None
    assert [each.fallback for each in ask(scorer, LISTS)] == [None, None], "the first one is asked first each time"


@pytest.mark.parametrize(
    "error", [ScoringError("NaN"), OverloadedError("full"), DeadlineExceededError("late"), RuntimeError("CUDA")]
)
def test_other_errors_go_to_the_caller(ask: Ask, error: Exception) -> None:
    second = FakeScorer()
    with pytest.raises(type(error), match=str(error)):
        ask(FallbackScorer(FakeScorer(error=error), lambda: second), LISTS)
    assert second.asked == []


def test_which_errors_count_is_for_the_caller_to_say(ask: Ask) -> None:
    scorer = FallbackScorer(FakeScorer(error=OverloadedError("full")), FakeScorer, on=(OverloadedError,))
    assert ask(scorer, LISTS)[0].fallback == "full"
    with pytest.raises(OutOfMemoryError, match="Tried to allocate"):
        ask(FallbackScorer(FakeScorer(error=FULL), FakeScorer, on=(OverloadedError,)), LISTS)


def test_an_error_of_the_second_one_goes_to_the_caller(ask: Ask) -> None:
    def make() -> Scorer:
        raise ScoringError("there is no second one")

    with pytest.raises(ScoringError, match="NaN"):
        ask(FallbackScorer(FakeScorer(error=FULL), lambda: FakeScorer(error=ScoringError("NaN"))), LISTS)
    with pytest.raises(ScoringError, match="there is no second one"):
        ask(FallbackScorer(FakeScorer(error=FULL), make), LISTS)


def test_an_instruction_is_passed_on_to_both_and_ignored_by_neither(ask: Ask) -> None:
    lists = [QueryDocuments("q", ["a"]), QueryDocuments("q", ["a"], "cite")]
    first, second = FakeScorer(error=FULL, takes_instruction=True), FakeScorer(takes_instruction=True)
    ask(FallbackScorer(first, lambda: second), lists)
    assert first.asked == second.asked == [lists]
    without = FakeScorer(name="second")
    scorer = FallbackScorer(first, lambda: without)
    with pytest.raises(InvalidValueError, match="instruction has no place in what 'second' reads"):
        ask(scorer, lists)
    assert without.asked == []
    assert ask(scorer, lists[:1])[0].fallback == "Tried to allocate 20.00 MiB"


def test_the_deadline_is_passed_on_to_both() -> None:
    first, second = FakeScorer(error=FULL), FakeScorer()
    scorer = FallbackScorer(first, lambda: second)
    scorer.score(LISTS, deadline=5.0)
    asyncio.run(scorer.ascore(LISTS, deadline=6.0))
    assert first.deadlines == second.deadlines == [5.0, 6.0]


def test_both_are_closed() -> None:
    first, second = FakeScorer(error=FULL), FakeScorer()
    scorer = FallbackScorer(first, lambda: second)
    scorer.close()
    assert (first.closed, second.closed) == (1, 0)
    scorer.score(LISTS)
    scorer.close()
    assert (first.closed, second.closed) == (2, 1)


def allocate() -> None:
    raise MemoryError("Tried to allocate")


class Tensor:
    """What a failed pass holds in its frame."""


@pytest.mark.usefixtures("_no_collector")
def test_what_the_failed_pass_held_is_free_before_the_second_one_is_asked(ask: Ask) -> None:
    class Failing(FakeScorer):
        def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
            tensor = Tensor()
            held.append(weakref.ref(tensor))
            try:
                allocate()
            except MemoryError as error:
                raise OutOfMemoryError("full") from error

    class Looking(FakeScorer):
        def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
            alive.append(held[-1]() is not None)
            return super().score(lists, deadline=deadline)

    def make() -> Scorer:
        alive.append(held[-1]() is not None)  # loading needs memory too
        return Looking()

    held: list[weakref.ref[Tensor]] = []
    alive: list[bool] = []
    ask(FallbackScorer(Failing(), make), LISTS)
    assert alive == [False, False]


async def test_a_reranker_finishes_on_the_cpu_what_the_device_cannot_hold(
    model_folder: Callable[[str], Path],
) -> None:
    class Small(SmallDevice):
        pass

    folder = model_folder("bert-onnx")
    options: dict[str, Any] = {"backend": Small}
    with Reranker(folder, **options) as alone:
        Small.full = True
        with pytest.raises(OutOfMemoryError, match="Tried to allocate"):
            alone.rank(QUERY, DOCUMENTS)
        Small.full = False
    with (
        Reranker(folder, fallback="cpu", cache="memory", **options) as reranker,
        Reranker(folder, device="cpu", **options) as cpu,
    ):
        assert reranker.device == "small"
        Small.full = True
        expected, results = cpu.rank(QUERY, DOCUMENTS), reranker.rank(QUERY, DOCUMENTS)
        assert results == expected
        assert await reranker.arank(QUERY, DOCUMENTS) == expected
        assert results.report.model == str(folder)
        assert "Tried to allocate" in str(results.report.fallback)
        Small.full = False
        again = reranker.rank(QUERY, DOCUMENTS)
        assert (again.report.fallback, again.report.cached) == (None, 0), "the CPU's scores are not kept"
