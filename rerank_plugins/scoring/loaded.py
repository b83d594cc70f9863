"""One load a process: models in memory, shared by every Reranker that asks for the same weights and numbers."""

import os
import threading
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from rerank_plugins.backends import backend_class
from rerank_plugins.backends.base import Backend, Logits
from rerank_plugins.config import RerankConfig
from rerank_plugins.loading.folder import ModelFolder
from rerank_plugins.scoring.batching import lay_out
from rerank_plugins.scoring.encoding import EncodedPair, read_template
from rerank_plugins.scoring.tokenization import load_tokenizer

_THREAD_NAME = "rerank"


class LoadedModel:
    """A model in memory: its tokenizer, its pair template, its backend, and the threads that run it."""

    def __init__(self, folder: ModelFolder, backend: Backend) -> None:
        self.backend = backend
        self.tokenizer = load_tokenizer(folder.name, folder.path)
        self.template = read_template(self.tokenizer, folder.declared.pair_encoding)
        self._pad_token_id = folder.declared.pad_token_id
        self._threads = _start_threads(backend)
        self._process = os.getpid()

    def submit(self, pairs: Sequence[EncodedPair]) -> "Future[Logits]":
        """Queue a batch of pairs for the backend's threads."""
        if self._process != os.getpid():  # Threads do not survive a fork: start anew in the child.
            self._threads, self._process = _start_threads(self.backend), os.getpid()
        return self._threads.submit(self._run, pairs)

    def _run(self, pairs: Sequence[EncodedPair]) -> Logits:
        batch = lay_out(pairs, self.template, inputs=self.backend.inputs, pad_token_id=self._pad_token_id)
        return self.backend.forward(batch)

    def close(self) -> None:
        """Answer what is queued, then free threads and weights."""
        # The collector may come by in one of these threads, which cannot wait for itself.
        self._threads.shutdown(wait=not threading.current_thread().name.startswith(_THREAD_NAME))
        self.backend.close()


class _Slot:
    """The place of one model in the registry: a lock of its own, so that different models load side by side."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.model: LoadedModel | None = None


_slots: dict[Hashable, _Slot] = {}
# Reentrant, since the collector may release one model while this thread acquires another.
_slots_lock = threading.RLock()


def acquire(folder: ModelFolder, config: RerankConfig) -> tuple[Hashable, LoadedModel]:
    """Return a model and the key to give it back with, loading it if nobody in this process has."""
    backend = backend_class(folder.backend)
    device, dtype = backend.resolve(config)
    key = (folder.path, _fingerprint(folder), folder.backend, folder.onnx_file, device, dtype, folder.trust_remote_code)
    with _slots_lock:
        slot = _slots.setdefault(key, _Slot())
        slot.users += 1
    try:
        with slot.lock:
            if slot.model is None:
                loaded = backend(folder, device=device, dtype=dtype)
                slot.model = LoadedModel(folder, loaded)
            return key, slot.model
    except BaseException:
        release(key)
        raise


def release(key: Hashable) -> None:
    """Give a model back; the last user's release frees it."""
    with _slots_lock:
        slot = _slots[key]
        slot.users -= 1
        if slot.users:
            return
        del _slots[key]
    if slot.model is not None:
        slot.model.close()


def _fingerprint(folder: ModelFolder) -> tuple[tuple[str, int, int], ...]:
    """Tell one state of a folder from another: weights that were trained on and saved again are other weights."""
    places = {folder.path} if folder.onnx_file is None else {folder.path, folder.onnx_file.parent}
    files = sorted(file for place in places for file in place.iterdir() if file.is_file())
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _start_threads(backend: Backend) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(backend.workers, thread_name_prefix=_THREAD_NAME)
