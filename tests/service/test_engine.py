"""The host of a ranker: loading, deadlines and failures, without a model and without a socket."""

import asyncio
from collections.abc import Callable

import pytest

from rerank_plugins.errors import (
    ClosedError,
    DeadlineExceededError,
    InvalidValueError,
    ModelError,
    ModelNotFoundError,
    RerankError,
)
from rerank_plugins.service.engine import MAX_FAILURES, Engine, Ranker, State, facts_of
from tests.service.fakes import FakeRanker


@pytest.fixture
async def ranker() -> FakeRanker:
    return FakeRanker()


def engine_of(ranker: FakeRanker, *, timeout: float = 60.0) -> Engine:
    return Engine(lambda: ranker, timeout=timeout)


def failing(error: Exception) -> Callable[[], Ranker]:
    def load() -> Ranker:
        raise error

    return load


async def ask(engine: Engine) -> list[int]:
    return [each.index for each in await engine.rank("who", ["a", "b", "c"], top_n=2)]


async def test_calls_wait_for_loading(ranker: FakeRanker) -> None:
    ranker.loading.clear()
    engine = engine_of(ranker)
    async with engine.running():
        assert (engine.state, engine.ranker) == (State.LOADING, None)
        asking = asyncio.create_task(ask(engine))
        await asyncio.sleep(0)
        ranker.loading.set()
        assert await asking == [0, 1]
        assert (engine.state, engine.ranker) == (State.READY, ranker)
        assert not ranker.closed
    assert ranker.closed


async def test_a_deadline_says_what_it_waited_for(ranker: FakeRanker) -> None:
    ranker.loading.clear()
    engine = engine_of(ranker, timeout=0.01)
    async with engine.running():
        with pytest.raises(DeadlineExceededError, match=r"3 documents .* within 0.01 s: waiting for the model to load"):
            await ask(engine)
        ranker.loading.set()


async def test_a_deadline_of_one_caller_does_not_end_loading(ranker: FakeRanker) -> None:
    ranker.loading.clear()
    engine = engine_of(ranker, timeout=0.01)
    async with engine.running():
        with pytest.raises(DeadlineExceededError, match="waiting for the model"):
            await ask(engine)
        ranker.loading.set()
        while engine.state is State.LOADING:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.001)
        assert engine.state is State.READY


async def test_a_slow_ranker_meets_the_deadline(ranker: FakeRanker) -> None:
    engine = engine_of(ranker, timeout=0.05)
    async with engine.running():
        await ask(engine)
        ranker.answering.clear()
        with pytest.raises(DeadlineExceededError, match="ranking took"):
            await ask(engine)
        ranker.answering.set()
        assert await ask(engine) == [0, 1]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ModelNotFoundError("no folder 'x'"), ModelNotFoundError, "no folder 'x'"),
        (InvalidValueError("device 'cuda:9' is not there"), ModelError, "cuda:9"),  # not the caller's fault: no 422
        (OSError("redis://:secret@host"), ModelError, "could not be loaded; see the server log"),
    ],
)
async def test_callers_are_told_why_loading_failed(error: Exception, kind: type[RerankError], message: str) -> None:
    engine = Engine(failing(error), timeout=60.0)
    async with engine.running():
        for _ in range(2):
            with pytest.raises(kind, match=message) as caught:
                await ask(engine)
        assert "secret" not in str(caught.value)
        assert (engine.state, engine.ranker) == (State.FAILED, None)


async def test_a_warmup_that_fails_is_a_failed_load(ranker: FakeRanker) -> None:
    ranker.warmup_error = RuntimeError("CUDA error")
    engine = engine_of(ranker)
    async with engine.running():
        with pytest.raises(ModelError, match="could not be loaded"):
            await ask(engine)
        assert engine.state is State.FAILED


async def test_consecutive_unexpected_failures_mean_failed_until_one_succeeds(ranker: FakeRanker) -> None:
    engine = engine_of(ranker)
    async with engine.running():
        await ask(engine)
        ranker.error = RuntimeError("CUDA error: device-side assert triggered")
        for count in range(MAX_FAILURES):
            assert engine.state is State.READY, count
            with pytest.raises(RuntimeError, match="device-side assert"):
                await ask(engine)
        assert engine.state is State.FAILED
        ranker.error = None
        await ask(engine)
        assert engine.state is State.READY


async def test_expected_errors_do_not_count_as_failures(ranker: FakeRanker) -> None:
    engine = engine_of(ranker)
    async with engine.running():
        ranker.error = InvalidValueError("query is blank")
        for _ in range(MAX_FAILURES + 1):
            with pytest.raises(InvalidValueError, match="blank"):
                await ask(engine)
        assert engine.state is State.READY


async def test_a_batch_that_takes_too_long_is_a_stall(ranker: FakeRanker) -> None:
    engine = Engine(lambda: ranker, timeout=60.0, stalled_seconds=120.0)
    async with engine.running():
        await ask(engine)
        ranker.busy_seconds = 120.0
        assert engine.state is State.READY
        ranker.busy_seconds = 121.0
        assert engine.state is State.STALLED


async def test_an_engine_that_does_not_run_says_so(ranker: FakeRanker) -> None:
    with pytest.raises(ClosedError, match="not running"):
        await ask(engine_of(ranker))


async def test_a_service_can_end_while_the_model_loads(ranker: FakeRanker) -> None:
    ranker.loading.clear()
    engine = engine_of(ranker)
    async with engine.running():
        pass
    assert engine.state is State.LOADING
    ranker.loading.set()


def test_facts_that_a_ranker_does_not_know_are_none() -> None:
    class Remote(FakeRanker):
        model = "remote"

    assert facts_of(Remote(), "model", "device") == {"model": "remote", "device": None}
    assert facts_of(None, "device") == {"device": None}
