"""A forked child works whichever lock a parent's thread held; a signal handler may interrupt a lock's holder."""

import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from transformers.utils import logging as transformers_logging

from rerank_plugins.backends.attention import without_cudnn
from rerank_plugins.backends.quiet_loading import alone_and_quiet
from rerank_plugins.caching.memory import BYTES_A_SCORE, MemoryCache
from rerank_plugins.forks import ForkSafeLock
from rerank_plugins.monitoring import RollingWindow, notify, observe
from rerank_plugins.results import RerankReport
from rerank_plugins.scores import DocumentScore

REPORT = RerankReport(model="m", candidates=2, kept=1)
SCORE = DocumentScore(1.5, query_truncated=False, document_truncated=False, span=None)
# Seconds after which a child or a thread counts as hanging, so that a failure ends.
PATIENCE = 20


def in_a_child(work: Callable[[], Any]) -> Any:
    """Return what some work returns in a forked child."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(work()))
    child.start()
    try:
        assert receiver.poll(PATIENCE), "the child hangs"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


@contextmanager
def held_by_a_thread(hold: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Run `hold(wait)` in a thread, which is inside `wait()` for the time of the block."""
    inside, leave = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        leave.wait(PATIENCE * 2)

    thread = threading.Thread(target=hold, args=(wait,))
    thread.start()
    assert inside.wait(PATIENCE)
    try:
        yield
    finally:
        leave.set()
        thread.join(PATIENCE)


def within(block: AbstractContextManager[None]) -> Callable[[Callable[[], None]], None]:
    def hold(wait: Callable[[], None]) -> None:
        with block:
            wait()

    return hold


class During(Mapping[bytes, DocumentScore]):
    """Scores that run code while a cache stores them."""

    def __init__(self, scores: dict[bytes, DocumentScore], act: Callable[[], object]) -> None:
        self._scores, self._act = scores, act

    def __getitem__(self, key: bytes) -> DocumentScore:
        return self._scores[key]

    def __iter__(self) -> Iterator[bytes]:
        for key in self._scores:
            yield key
            self._act()

    def __len__(self) -> int:
        return len(self._scores)


def test_a_lock_is_free_in_a_child() -> None:
    lock = ForkSafeLock()

    def enter_twice() -> str:
        with lock, lock:
            return "entered"

    with held_by_a_thread(within(lock)):
        assert in_a_child(enter_twice) == "entered"
    assert enter_twice() == "entered"


def test_a_lock_that_the_forking_thread_holds_can_be_left_in_the_child() -> None:
    lock = ForkSafeLock()

    def leave_and_enter() -> str:
        lock.__exit__()
        with lock:
            return "entered"

    with lock:
        assert in_a_child(leave_and_enter) == "entered"


def test_a_lock_still_excludes_other_threads() -> None:
    lock, entered = ForkSafeLock(), threading.Event()

    def enter() -> None:
        with lock:
            entered.set()

    with lock:
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(PATIENCE)
    thread.join()


def test_observers_come_and_go_in_a_child() -> None:
    class Slow:
        """Takes its time to be told from the observer that leaves."""

        def __init__(self) -> None:
            self.compare: Callable[[], None] = lambda: None

        def __call__(self, report: RerankReport) -> None:
            """Receive a report."""

        def __eq__(self, other: object) -> bool:
            self.compare()
            return self is other

        __hash__ = None  # type: ignore[assignment]

    slow = Slow()

    def ignore(report: RerankReport) -> None:
        """Receive a report."""

    def leave(wait: Callable[[], None]) -> None:
        with observe(ignore):
            slow.compare = wait

    def observe_once() -> int:
        slow.compare = lambda: None
        reports: list[RerankReport] = []
        with observe(reports.append):
            notify(REPORT)
        return len(reports)

    with observe(slow), held_by_a_thread(leave):
        assert in_a_child(observe_once) == 1


def test_a_window_goes_on_in_a_child() -> None:
    window = RollingWindow()
    window(REPORT)

    def count() -> float:
        window(REPORT)
        return window.summary()["calls"]

    with held_by_a_thread(within(window._lock)):
        assert in_a_child(count) == 2


def test_a_cache_that_another_thread_was_changing_is_empty_in_a_child() -> None:
    cache = MemoryCache(max_bytes=2 * BYTES_A_SCORE)

    def use() -> tuple[list[DocumentScore | None], int]:
        found = cache.get_many([b"a"])
        cache.set_many(dict.fromkeys([b"b", b"c", b"d"], SCORE))
        return found, len(cache)

    with held_by_a_thread(lambda wait: cache.set_many(During({b"a": SCORE}, wait))):
        assert in_a_child(use) == ([None], 2)
    assert in_a_child(lambda: cache.get_many([b"a"])) == [SCORE]


def test_a_cache_that_is_interrupted_by_its_own_thread_is_left_alone() -> None:
    """As when a signal handler ranks: its scores are computed again, and there is no deadlock."""
    cache = MemoryCache(max_bytes=2 * BYTES_A_SCORE)
    found: list[list[DocumentScore | None]] = []

    def rank_in_a_handler() -> None:
        cache.set_many(dict.fromkeys([b"x", b"y", b"z"], SCORE))
        found.append(cache.get_many([b"a", b"x"]))

    interrupted = threading.Thread(
        target=lambda: cache.set_many(During({b"a": SCORE, b"b": SCORE}, rank_in_a_handler)), daemon=True
    )
    interrupted.start()
    interrupted.join(PATIENCE)
    assert not interrupted.is_alive()
    assert found == [[None, None]] * 2
    assert cache.get_many([b"a", b"b"]) == [SCORE, SCORE]


@pytest.fixture
def _progress_bars() -> Iterator[None]:
    before = transformers_logging.is_progress_bar_enabled()
    transformers_logging.enable_progress_bar()
    yield
    if not before:
        transformers_logging.disable_progress_bar()


def _loading_settings() -> tuple[bool, int, str]:
    bars = transformers_logging.is_progress_bar_enabled()
    return bars, transformers_logging.get_verbosity(), str(torch.get_default_dtype())


@pytest.mark.usefixtures("_progress_bars")
def test_a_model_loads_in_a_child_and_transformers_speaks_again() -> None:
    before = _loading_settings()

    def load_in_half_precision(wait: Callable[[], None]) -> None:
        with alone_and_quiet():
            torch.set_default_dtype(torch.float16)
            wait()
            torch.set_default_dtype(torch.float32)

    def load() -> tuple[Any, Any]:
        settings = _loading_settings()
        with alone_and_quiet():
            return settings, _loading_settings()[:2]

    with held_by_a_thread(load_in_half_precision):
        assert _loading_settings() == (False, logging.ERROR, "torch.float16")
        assert in_a_child(load) == (before, (False, logging.ERROR))
    assert _loading_settings() == before


@pytest.mark.usefixtures("_progress_bars")
def test_a_load_may_interrupt_a_load() -> None:
    before = _loading_settings()
    with alone_and_quiet():
        with alone_and_quiet():
            pass
        assert _loading_settings()[:2] == (False, logging.ERROR)
        assert in_a_child(_loading_settings) == before
    assert _loading_settings() == before


def test_a_child_does_not_count_its_parents_forward_passes() -> None:
    enabled = torch.backends.cuda.cudnn_sdp_enabled

    def run() -> tuple[bool, bool, bool]:
        before = enabled()
        with without_cudnn():
            during = enabled()
        return before, during, enabled()

    before = enabled()
    torch.backends.cuda.enable_cudnn_sdp(enabled=True)
    try:
        with held_by_a_thread(within(without_cudnn())):
            assert in_a_child(run) == (True, False, True)
            assert not enabled()
        assert enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(enabled=before)
