"""The reranker behind the routes: loaded while the service already answers, asked within a deadline, drained last."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import StrEnum

import structlog

from rerank_plugins.config import RerankConfig
from rerank_plugins.errors import ClosedError, DeadlineExceededError, OverloadedError
from rerank_plugins.reranker import Reranker
from rerank_plugins.service.errors import DrainingError
from rerank_plugins.types import RankResult, ReportedList

_log = structlog.get_logger("rerank_plugins.service")
# A forward pass of a full batch takes seconds on a slow machine, never minutes.
STALLED_SECONDS = 120.0


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
        self._loaded: asyncio.Task[Reranker] | None = None
        self._waiting = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the model meanwhile, and free it at the end."""
        self._loaded = asyncio.create_task(asyncio.to_thread(self._load))
        try:
            yield
        finally:
            self._draining = True
            with suppress(Exception):  # What loading failed with, every caller was told.
                (await self._loaded).close()

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
        if self.failure is not None:
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
            OverloadedError: If more documents than `max_queue` wait for the model to load, or to be scored.
            ModelError: If the model could not be loaded.
        """
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                reranker = self.reranker or await self._loading(len(documents))
                return await reranker.arank(query, documents, top_n=top_n)
        except TimeoutError:
            state = "waiting for the model to load" if self.reranker is None else "ranking"
            raise DeadlineExceededError(
                f"{len(documents)} documents were not ranked within {self._timeout:g} s: {state} took "
                f"{time.perf_counter() - started:.1f} s. Send fewer, or raise the service's timeout."
            ) from None

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

    def _load(self) -> Reranker:
        started = time.perf_counter()
        try:
            reranker = Reranker.from_config(self.config)
            reranker.warmup()
        except Exception as error:
            _log.error("model failed", error=f"{type(error).__name__}: {error}")
            raise
        seconds = round(time.perf_counter() - started, 3)
        _log.info("model ready", model=reranker.model, device=reranker.device, dtype=reranker.dtype, seconds=seconds)
        return reranker

    async def _loading(self, documents: int) -> Reranker:
        if self._waiting and self._waiting + documents > self.config.max_queue:
            raise OverloadedError(
                f"{self._waiting} documents wait for the model to load, and {documents} more are over max_queue="
                f"{self.config.max_queue}. Try again later."
            )
        if self._loaded is None:
            raise ClosedError("The engine is not running.")
        self._waiting += documents
        try:
            # Shielded: one caller's deadline must not end the loading for all.
            return await asyncio.shield(self._loaded)
        finally:
            self._waiting -= documents
