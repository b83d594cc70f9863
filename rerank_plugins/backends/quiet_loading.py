"""Load models with transformers one at a time, without its progress bars and tables on stderr."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rerank_plugins.extras import extra
from rerank_plugins.forks import ForkSafeLock, reset_after_fork

with extra("torch", provides="transformers"):
    import torch
    from transformers.utils import logging as progress

# Its level is what transformers calls verbosity. Unlike transformers' own function, it takes no lock in a forked child.
_logger = logging.getLogger("transformers")


class _Settings(NamedTuple):
    """What a load changes for the whole process."""

    bars: bool
    level: int
    dtype: torch.dtype

    @classmethod
    def current(cls) -> "_Settings":
        return cls(progress.is_progress_bar_enabled(), _logger.level, torch.get_default_dtype())

    def restore(self) -> None:
        torch.set_default_dtype(self.dtype)
        _logger.setLevel(self.level)
        if self.bars:
            progress.enable_progress_bar()  # type: ignore[no-untyped-call]


class _Loading:
    """The running load, if any; it may be interrupted by a signal handler that loads another model."""

    def __init__(self) -> None:
        self.lock = ForkSafeLock()
        self.before: list[_Settings] = []
        reset_after_fork(self, _Loading.end_all)

    def begin(self) -> None:
        self.before.append(_Settings.current())
        progress.disable_progress_bar()  # type: ignore[no-untyped-call]
        _logger.setLevel(logging.ERROR)

    def end(self) -> None:
        if self.before:  # Empty where a load itself forked: its child has restored the settings.
            self.before.pop().restore()

    def end_all(self) -> None:
        """Restore the settings in a forked child, where the parent's load never ends."""
        while self.before:
            self.end()


_loading = _Loading()


@contextmanager
def alone_and_quiet() -> Iterator[None]:
    """Exclude other loads, and silence transformers, while a model loads.

    `from_pretrained` changes the default dtype and the initialisers of the whole process while it runs. Two concurrent
    loads would each restore what the other had set.
    """
    with _loading.lock:
        _loading.begin()
        try:
            yield
        finally:
            _loading.end()
