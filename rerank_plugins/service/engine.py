"""The reranker behind the routes: loaded while the service already answers, asked within a deadline, drained last."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import StrEnum
from typing import Any

import structlog

from rerank_plugins.errors import ClosedError, DeadlineExceededError, ModelError, OverloadedError, RerankError
from rerank_plugins.options import RerankConfig
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.service.errors import DrainingError

_log = structlog.get_logger("rerank_plugins.service")
# A forward pass of a full batch takes seconds on a slow machine, never minutes.
STALLED_SECONDS = 120.0
# Calls that failed one after another with what nobody expected: the engine is dead, and health says so.
MANY_FAILURES = 3


class State(StrEnum):
    """What the engine can do."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STALLED = "stalled"
    FAILED = "failed"


class Engine:
    """One `Reranker`, and who is waiting for it.

    Args:
        config: How to load it.
        timeout: Seconds that a call may take, the wait for the model included.
    """

    def __init__(self, config: RerankConfig, *, timeout: float) -> None:
        self.config = config
        self._timeout = timeout
        self._loaded: asyncio.Future[Reranker] | None = None
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0
        self._documents = 0  # of all calls that are under way
        self._failures = 0  # one after another

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the model meanwhile, and free it at the end."""
        self._loaded = asyncio.get_running_loop().create_future()
        # A daemon: a service that is told to end while a model downloads must not wait for it.
        threading.Thread(target=self._load, args=(asyncio.get_running_loop(), self._loaded), daemon=True).start()
        try:
            yield
        finally:
            self._draining = True
            if (reranker := self.reranker) is not None:
                reranker.close()

    @property
    def reranker(self) -> Reranker | None:
        """The reranker, once it is ready."""
        loaded = self._loaded
        return loaded.result() if loaded is not None and loaded.done() and self.failure is None else None

    @property
    def failure(self) -> BaseException | None:
        """What loading failed with."""
        loaded = self._loaded
        return loaded.exception() if loaded is not None and loaded.done() and not loaded.cancelled() else None

    @property
    def state(self) -> State:
        """What it can do now."""
        if self.failure is not None or self._failures >= MANY_FAILURES:
            return State.FAILED
        if self._draining:
            return State.DRAINING
        if self.reranker is None:
            return State.LOADING
        return State.STALLED if self.reranker.busy_seconds > STALLED_SECONDS else State.READY

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""
        return self._in_flight

    async def rank(self, query: str, documents: Sequence[str], *, top_n: int | None) -> ReportedList[RankResult]:
        """Do what `Reranker.arank` does, within the deadline.

        Raises:
            DeadlineExceededError: If it takes longer than `timeout`.
            OverloadedError: If more documents than `max_queue` would be under way, counted before any work is done.
            ModelError: If the model could not be loaded.
        """
        if self._documents and self._documents + len(documents) > self.config.max_queue:
            raise OverloadedError(
                f"{self._documents} documents are waiting or being ranked, and {len(documents)} more are over "
                f"max_queue={self.config.max_queue}. Try again later."
            )
        started = time.perf_counter()
        self._documents += len(documents)
        try:
            async with asyncio.timeout(self._timeout):
                reranker = self.reranker or await self._loading()
                results = await reranker.arank(query, documents, top_n=top_n)
        except TimeoutError:
            state = "waiting for the model to load" if self.reranker is None else "ranking"
            raise DeadlineExceededError(
                f"{len(documents)} documents were not ranked within {self._timeout:g} s: {state} took "
                f"{time.perf_counter() - started:.1f} s. Send fewer, or raise the service's timeout."
            ) from None
        except RerankError:
            raise
        except Exception:
            self._failures += 1  # such as a GPU that is lost: every pass fails from then on, and at once
            raise
        finally:
            self._documents -= len(documents)
        self._failures = 0
        return results

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request as in flight, so that draining waits for it.

        Raises:
            DrainingError: If the service is ending.
        """
        if self._draining:
            raise DrainingError("The service is ending and takes no more requests. Ask another one, or try again.")
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def drain(self) -> None:
        """Take no more requests, and wait until those in flight are answered."""
        self._draining = True
        await self._idle.wait()

    async def _loading(self) -> Reranker:
        if self._loaded is None:
            raise ClosedError("The engine is not running.")
        # Shielded: one caller's deadline must not end the loading for all.
        return await asyncio.shield(self._loaded)

    def _load(self, loop: asyncio.AbstractEventLoop, loaded: "asyncio.Future[Reranker]") -> None:
        started = time.perf_counter()
        try:
            reranker = Reranker.from_config(self.config)
            reranker.warmup()
        except RerankError as error:
            _log.error("model failed", error=f"{type(error).__name__}: {error}")
            # A setting that is wrong is the service's fault, and not that of who calls.
            unusable = error if isinstance(error, ModelError) else ModelError(str(error))
            _settle(loop, loaded, loaded.set_exception, unusable)
        except Exception as error:  # noqa: BLE001 - every caller is told of it, and the log
            _log.exception("model failed", error=type(error).__name__)
            unusable = ModelError("The model could not be loaded, and the service's log says why.")
            _settle(loop, loaded, loaded.set_exception, unusable)
        else:
            seconds = round(time.perf_counter() - started, 3)
            _log.info(
                "model ready", model=reranker.model, device=reranker.device, dtype=reranker.dtype, seconds=seconds
            )
            _settle(loop, loaded, loaded.set_result, reranker)


def _settle(
    loop: asyncio.AbstractEventLoop, loaded: "asyncio.Future[Reranker]", settle: Callable[[Any], None], value: object
) -> None:
    """Hand a thread's result to the loop, unless that has ended meanwhile."""

    def set_once() -> None:
        if not loaded.done():
            settle(value)

    with suppress(RuntimeError):  # a closed loop
        loop.call_soon_threadsafe(set_once)
