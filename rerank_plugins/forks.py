"""Start anew in a forked child: threads do not survive a fork, and a lock may be held by one of them."""

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_to_reset: "weakref.WeakKeyDictionary[Any, Callable[[Any], object]]" = weakref.WeakKeyDictionary()


def reset_after_fork(thing: T, reset: Callable[[T], object]) -> None:
    """Call `reset(thing)` in every child that is forked while the thing lives."""
    _to_reset[thing] = reset


def _reset_all() -> None:
    for thing, reset in list(_to_reset.items()):
        reset(thing)


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_reset_all)
