"""One load a process: models in memory, shared by all Rerankers that ask for the same files on the same device."""

import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rerank_plugins.forks import ForkSafeLock, reset_after_fork
from rerank_plugins.models.loaded import LoadedModel
from rerank_plugins.models.spec import ModelSpec

T = TypeVar("T")


class _Slot:
    """The place of one model: a lock of its own, so different models load side by side."""

    def __init__(self) -> None:
        self.lock = ForkSafeLock()
        self.users = 0
        self.model: LoadedModel | None = None


class Registry:
    """The models of a process, each with the number of its users."""

    def __init__(self) -> None:
        self._slots: dict[Hashable, _Slot] = {}
        # Reentrant, since the collector may release one model while this thread acquires another.
        self._lock = ForkSafeLock()
        reset_after_fork(self, Registry._reset)

    def acquire(self, spec: ModelSpec) -> tuple[LoadedModel, Callable[[], None]]:
        """Return a model, loading it where nobody in this process has, and the function that gives it back.

        The last user's giving back frees the model, once what is queued for it is scored.
        """
        key = _key(spec)
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            slot.users += 1
        try:
            with slot.lock:
                if slot.model is None:
                    slot.model = _load(spec)
                return slot.model, lambda: self._release(key)
        except BaseException:
            self._release(key)
            raise

    def _release(self, key: Hashable) -> None:
        with self._lock:
            slot = self._slots[key]
            slot.users -= 1
            if slot.users:
                return
            del self._slots[key]
        if slot.model is not None:
            slot.model.close()

    def _reset(self) -> None:
        """Start anew in a forked child: what its parent's other threads were loading, nobody will finish here."""
        self._slots = {key: slot for key, slot in self._slots.items() if slot.model is not None}


REGISTRY = Registry()


def acquire_for(owner: T, spec: ModelSpec) -> "tuple[LoadedModel, weakref.finalize[[], T]]":
    """Acquire a model for as long as an object lives.

    Returns:
        The model, and what gives it back before that when it is called; calling it twice is fine.
    """
    model, release = REGISTRY.acquire(spec)
    return model, weakref.finalize(owner, release)


def _key(spec: ModelSpec) -> Hashable:
    """What decides weights and numbers; files by their states, since weights that were trained on are others.

    Not the name: a folder may be given as a relative path, as an absolute one, or as a link.
    """
    folder = spec.folder
    return (
        folder.path,
        folder.weights,
        folder.trust_remote_code,
        spec.reading,
        spec.backend,
        spec.placement,
        spec.states,
    )


def _load(spec: ModelSpec) -> LoadedModel:
    """Load a model in a thread that ends with it.

    OpenMP gives a team to each thread that computes with torch, and where the teams have more threads than there are
    cores, theirs no longer wait for work but sleep and are woken (GCC's libgomp, `GOMP_SPINCOUNT`). The team of a
    thread that has ended slows no forward pass (benchmarks/README.md, "What was tried").
    """
    with ThreadPoolExecutor(1, thread_name_prefix="rerank-load") as thread:
        return thread.submit(LoadedModel, spec).result()
