"""The ranker behind the routes: loaded in the background, asked within a deadline, and watched for failures."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any, Protocol

import structlog

from rerank_plugins.errors import ClosedError, DeadlineExceededError, ModelError, RerankError
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.service.log import traceback_of

_log = structlog.get_logger("rerank_plugins.service")
# Consecutive unexpected failures after which the engine counts as failed.
MAX_FAILURES = 3


class Ranker(Protocol):
    """What the engine needs of a `Reranker`, or of anything else that ranks: a cascade, a remote service."""

    @property
    def busy_seconds(self) -> float:
        """How long the current batch has been running; 0 when idle."""
        ...

    async def arank(
        self, query: str, documents: Sequence[str], *, top_n: int | None = None, instruction: str | None = None
    ) -> ReportedList[RankResult]:
        """Rank documents without blocking the event loop."""
        ...

    def warmup(self) -> None:
        """Pay one-time startup costs; called once, off the event loop."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class State(StrEnum):
    """What a service, or the engine in it, can do."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STALLED = "stalled"
    FAILED = "failed"


class Engine:
    """Hosts one ranker.

    Args:
        load: Makes the ranker; called once, in a thread of its own.
        timeout: Seconds that a call may take, including the wait for loading.
        stalled_seconds: A batch that runs longer is considered stuck. The default is far more than a full batch takes
            on a slow machine.

    Examples:
        >>> engine = Engine(Reranker, timeout=60.0)
        >>> async with engine.running():
        ...     results = await engine.rank("who wrote hamlet", ["Bread is baked.", "Shakespeare."], top_n=1)
    """

    def __init__(self, load: Callable[[], Ranker], *, timeout: float, stalled_seconds: float = 120.0) -> None:
        self._load = load
        self._timeout = timeout
        self._stalled_seconds = stalled_seconds
        self._loaded: asyncio.Future[Ranker] | None = None
        self._failures = 0  # consecutive

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the ranker in the background, and close it at the end of the block."""
        loop = asyncio.get_running_loop()
        self._loaded = loop.create_future()
        # A daemon, so that a service can end while a model is still being downloaded.
        threading.Thread(target=self._load_into, args=(loop, self._loaded), daemon=True).start()
        try:
            yield
        finally:
            if (ranker := self.ranker) is not None:
                ranker.close()

    @property
    def ranker(self) -> Ranker | None:
        """The ranker, once it is loaded."""
        loaded = self._loaded
        return loaded.result() if loaded is not None and loaded.done() and self.failure is None else None

    @property
    def failure(self) -> BaseException | None:
        """The error that loading failed with."""
        loaded = self._loaded
        return loaded.exception() if loaded is not None and loaded.done() and not loaded.cancelled() else None

    @property
    def state(self) -> State:
        """What it can do now; it does not know of draining, which concerns the whole service."""
        if self.failure is not None or self._failures >= MAX_FAILURES:
            return State.FAILED
        if self.ranker is None:
            return State.LOADING
        return State.STALLED if self.ranker.busy_seconds > self._stalled_seconds else State.READY

    async def rank(
        self, query: str, documents: Sequence[str], *, top_n: int | None, instruction: str | None = None
    ) -> ReportedList[RankResult]:
        """Rank documents within the deadline, as `Reranker.arank` does.

        Raises:
            DeadlineExceededError: If it takes longer than `timeout`.
            ModelError: If the model could not be loaded.
            ClosedError: If the engine is not running.
        """
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                ranker = self.ranker or await self._loading()
                results = await ranker.arank(query, documents, top_n=top_n, instruction=instruction)
        except TimeoutError:
            phase = "waiting for the model to load" if self.ranker is None else "ranking"
            raise DeadlineExceededError(
                f"{len(documents)} documents were not ranked within {self._timeout:g} s: {phase} took "
                f"{time.perf_counter() - started:.1f} s. Send fewer documents, or raise the service's timeout."
            ) from None
        except RerankError:
            raise
        except Exception:
            self._failures += 1  # such as a lost GPU, after which every batch fails
            raise
        self._failures = 0
        return results

    async def _loading(self) -> Ranker:
        if self._loaded is None:
            raise ClosedError("The engine is not running. Enter running() first.")
        # Shielded: one caller's deadline must not cancel the loading for all.
        return await asyncio.shield(self._loaded)

    def _load_into(self, loop: asyncio.AbstractEventLoop, loaded: "asyncio.Future[Ranker]") -> None:
        started = time.perf_counter()
        try:
            ranker = self._load()
            ranker.warmup()
        except RerankError as error:
            _log.error("model failed to load", error=f"{type(error).__name__}: {error}")
            # A wrong setting is the service's fault, not the caller's.
            unusable = error if isinstance(error, ModelError) else ModelError(str(error))
            _settle(loop, loaded, loaded.set_exception, unusable)
        except Exception as error:  # noqa: BLE001 - logged here, and reported to every caller
            _log.error("model failed to load", error=type(error).__name__, exception=traceback_of(error))
            unusable = ModelError("The model could not be loaded; see the server log.")
            _settle(loop, loaded, loaded.set_exception, unusable)
        else:
            seconds = round(time.perf_counter() - started, 3)
            _log.info("model ready", **facts_of(ranker, "model", "device", "dtype"), seconds=seconds)
            _settle(loop, loaded, loaded.set_result, ranker)


def facts_of(ranker: Ranker | None, *names: str) -> dict[str, Any]:
    """Return what a ranker tells about itself; None for what it does not have, such as the device of a remote one."""
    return {name: getattr(ranker, name, None) for name in names}


def _settle(
    loop: asyncio.AbstractEventLoop, loaded: "asyncio.Future[Ranker]", settle: Callable[[Any], None], value: object
) -> None:
    """Pass a thread's result to the event loop, unless the loop has ended."""

    def set_once() -> None:
        if not loaded.done():
            settle(value)

    with suppress(RuntimeError):  # a closed loop
        loop.call_soon_threadsafe(set_once)
