"""Which of torch's attention kernels a forward pass uses on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rerank_plugins.forks import ForkSafeLock, reset_after_fork


class _CudnnAttention:
    """torch's setting for cuDNN attention, which the running forward passes of all models share."""

    def __init__(self) -> None:
        self.lock = ForkSafeLock()
        self.passes: set[object] = set()
        self.allowed = True
        reset_after_fork(self, _CudnnAttention.forget_passes)

    def start(self, running: object) -> None:
        if not self.passes:
            self.allowed = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
            torch.backends.cuda.enable_cudnn_sdp(enabled=False)
        self.passes.add(running)

    def end(self, running: object) -> None:
        self.passes.discard(running)
        if not self.passes:
            torch.backends.cuda.enable_cudnn_sdp(enabled=self.allowed)

    def forget_passes(self) -> None:
        """Restore the setting in a forked child, where the parent's passes never end."""
        if self.passes:
            self.passes.clear()
            torch.backends.cuda.enable_cudnn_sdp(enabled=self.allowed)


_attention = _CudnnAttention()


@contextmanager
def without_cudnn() -> Iterator[None]:
    """Disable cuDNN attention during a forward pass; the last of several concurrent passes enables it again.

    Torch prefers cuDNN on Hopper, where it builds a new plan for each new shape, for about 100 ms. Batches of documents
    keep having new shapes (benchmarks/README.md, "On a GPU"). Torch has one setting for the whole process, so passes of
    several models share it.
    """
    running = object()
    with _attention.lock:
        _attention.start(running)
    try:
        yield
    finally:
        with _attention.lock:
            _attention.end(running)
