"""Reset state in a forked child: threads do not survive a fork, but the locks that they held stay locked."""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_to_reset: "weakref.WeakKeyDictionary[Any, Callable[[Any], object]]" = weakref.WeakKeyDictionary()


def reset_after_fork(thing: T, reset: Callable[[T], object]) -> None:
    """Call `reset(thing)` in every forked child, as long as the thing is alive."""
    _to_reset[thing] = reset


class ForkSafeLock:
    """A reentrant lock that is free in a forked child, even if another thread of the parent holds it.

    It protects the state only: what another thread was changing when the process forked may be half changed in the
    child, and needs a `reset_after_fork` of its own.

    Examples:
        >>> lock = ForkSafeLock()
        >>> with lock:
        ...     counter += 1
    """

    def __init__(self) -> None:
        self._renew()
        self._held = self._lock
        reset_after_fork(self, ForkSafeLock._renew)

    def __enter__(self) -> None:
        lock = self._lock
        lock.acquire()
        self._held = lock

    def __exit__(self, *_: object) -> None:
        # Not self._lock: the holder itself may have forked inside the block.
        self._held.release()

    def _renew(self) -> None:
        self._lock = threading.RLock()


def _reset_all() -> None:
    for thing, reset in list(_to_reset.items()):
        reset(thing)


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_reset_all)
