"""Which of torch's attention kernels a forward pass takes on a GPU."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_passes = 0
_allowed = True


@contextmanager
def without_cudnn() -> Iterator[None]:
    """Leave cuDNN's attention out while a forward pass runs, and allow it again after the last one.

    Torch prefers it on Hopper, and it plans anew for each shape that it has not met, for some 100 ms; batches of
    documents have ever new shapes (benchmarks/README.md, "On a GPU"). Torch has one setting for the whole process, so
    that passes of several models share it.
    """
    global _passes, _allowed
    with _lock:
        if _passes == 0:
            _allowed = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
            torch.backends.cuda.enable_cudnn_sdp(enabled=False)
        _passes += 1
    try:
        yield
    finally:
        with _lock:
            _passes -= 1
            if _passes == 0:
                torch.backends.cuda.enable_cudnn_sdp(enabled=_allowed)
