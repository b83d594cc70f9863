"""One load a process: models in memory, shared by every Reranker that asks for the same weights and numbers."""

import hashlib
import threading
import weakref
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from rerank_plugins.backends import backend_class
from rerank_plugins.backends.base import Backend, Logits, Placement
from rerank_plugins.backends.layout import lay_out
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.forks import reset_after_fork
from rerank_plugins.models.source import ModelFolder
from rerank_plugins.options import MIN_MAX_LENGTH, RerankConfig
from rerank_plugins.scheduling.scheduler import Scheduler
from rerank_plugins.text.pairs import EncodedPair, PairEncoder, read_template
from rerank_plugins.text.tokenizer import load_tokenizer


class LoadedModel:
    """A model in memory: its tokenizer, its pair template, its backend, and the scheduler in front of it.

    Raises:
        UnsupportedModelError: If the model cannot score a first pair.
    """

    def __init__(self, folder: ModelFolder, backend: Backend) -> None:
        self.backend = backend
        self.tokenizer = load_tokenizer(folder.name, folder.path)
        self.template = read_template(self.tokenizer, folder.declared.pair_encoding)
        self.warned_of_unknown_text = False
        self._folder = folder
        self._score_a_first_pair()
        self.scheduler = Scheduler(
            self._run,
            workers=backend.workers,
            pairs_per_batch=backend.pairs_per_batch,
            pass_tokens=backend.pass_tokens,
        )

    @cached_property
    def digest(self) -> str:
        """A digest over the contents of the model's files, which names the model wherever it lies."""
        digest = hashlib.blake2b(digest_size=32)
        for file in _files(self._folder):
            with file.open("rb") as contents:
                digest.update(hashlib.file_digest(contents, "blake2b").digest())
        return digest.hexdigest()

    def close(self) -> None:
        """Free threads and weights; what runs by now runs for a caller that was cancelled."""
        self.scheduler.close()
        self.backend.close()

    def _score_a_first_pair(self) -> None:
        """Let what is wrong with a model's shapes show when it is loaded."""
        encoder = PairEncoder(self.tokenizer, self.template, max_length=MIN_MAX_LENGTH, max_positions=None)
        short, long = (encoder.encode([("a", text)]).pairs for text in ("b", "b c d"))
        try:
            self._run(short)
            self._run(long)
            if self.backend.pairs_per_batch != 1:
                self._run([*long, *long])
        except Exception as error:  # each engine has its own for shapes that do not fit
            raise UnsupportedModelError(
                f"'{self._folder.name}' is loaded and cannot score a pair: {error}. A file exported to ONNX needs "
                "dynamic axes for batch and sequence."
            ) from error

    def _run(self, pairs: Sequence[EncodedPair]) -> Logits:
        padding = self._folder.declared.pad_token_id
        return self.backend.forward(lay_out(pairs, self.template, inputs=self.backend.inputs, pad_token_id=padding))


class _Slot:
    """The place of one model in the registry: a lock of its own, so that different models load side by side."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.model: LoadedModel | None = None


class _Registry:
    """The models of this process, each under what decides its weights and its numbers."""

    def __init__(self) -> None:
        self.slots: dict[Hashable, _Slot] = {}
        self.renew_locks()
        reset_after_fork(self, _Registry.renew_locks)

    def renew_locks(self) -> None:
        # Reentrant, since the collector may release one model while this thread acquires another.
        self.lock = threading.RLock()
        for slot in self.slots.values():
            slot.lock = threading.Lock()


_registry = _Registry()


def acquire(folder: ModelFolder, config: RerankConfig) -> tuple[Hashable, LoadedModel]:
    """Return a model and the key to give it back with, loading it if nobody in this process has."""
    backend = backend_class(folder.backend)
    placement = backend.place(config)
    key = (folder.path, _state(folder), folder.backend, folder.onnx_file, placement, folder.trust_remote_code)
    with _registry.lock:
        slot = _registry.slots.setdefault(key, _Slot())
        slot.users += 1
    try:
        with slot.lock:
            if slot.model is None:
                slot.model = _load(folder, backend, placement)
            return key, slot.model
    except BaseException:
        release(key)
        raise


def _load(folder: ModelFolder, backend: type[Backend], placement: Placement) -> LoadedModel:
    """Load a model in a thread that ends with it.

    OpenMP gives a team to each thread that computes with torch, and where the teams have more threads than there are
    cores, theirs no longer wait for work but sleep and are woken (GCC's libgomp, `GOMP_SPINCOUNT`). The team of a
    thread that has ended slows no forward pass (benchmarks/README.md, "What was tried").
    """
    with ThreadPoolExecutor(1, thread_name_prefix="rerank-load") as thread:
        return thread.submit(lambda: LoadedModel(folder, backend(folder, placement))).result()


def retain(key: Hashable) -> bool:
    """Count one more user of a model, such as a call that must not lose it; False if it is gone."""
    with _registry.lock:
        slot = _registry.slots.get(key)
        if slot is not None:
            slot.users += 1
        return slot is not None


def release(key: Hashable) -> None:
    """Give a model back; the last user's release frees it."""
    with _registry.lock:
        slot = _registry.slots[key]
        slot.users -= 1
        if slot.users:
            return
        del _registry.slots[key]
    if slot.model is not None:
        slot.model.close()


class CpuFallback:
    """The same model on the CPU, loaded when it is first needed, freed with this object."""

    def __init__(self, folder: ModelFolder, config: RerankConfig) -> None:
        self._folder = folder
        self._config = replace(config, device="cpu", dtype="auto")
        self._lock = threading.Lock()
        self._model: LoadedModel | None = None

    def __call__(self) -> LoadedModel:
        """Return the model."""
        with self._lock:
            if self._model is None:
                key, self._model = acquire(self._folder, self._config)
                weakref.finalize(self, release, key)
            return self._model


def _files(folder: ModelFolder) -> list[Path]:
    if folder.onnx_file is None:
        weights = folder.path.glob("*.safetensors")
    else:  # With its external data: model.onnx_data, model.onnx.data
        weights = folder.onnx_file.parent.glob(f"{folder.onnx_file.name}*")
    files = [*weights, *(folder.path / name for name in ("config.json", "tokenizer.json"))]
    return sorted(file for file in files if file.is_file())


def _state(folder: ModelFolder) -> tuple[tuple[str, int, int], ...]:
    """Tell one state of a model's files from another: weights that were trained on are other weights."""
    states = ((str(file), file.stat()) for file in _files(folder))
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states)
