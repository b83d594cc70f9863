"""One load a process: models in memory, shared by every Reranker that asks for the same weights and numbers."""

import os
import threading
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from rerank_plugins.backends import backend_class
from rerank_plugins.backends.base import Backend, Logits
from rerank_plugins.config import MIN_MAX_LENGTH, RerankConfig
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.loading.folder import ModelFolder
from rerank_plugins.scoring.batching import lay_out
from rerank_plugins.scoring.encoding import EncodedPair, PairEncoder, read_template
from rerank_plugins.scoring.tokenization import load_tokenizer


class LoadedModel:
    """A model in memory: its tokenizer, its pair template, its backend, and the threads that run it.

    Raises:
        UnsupportedModelError: If the model cannot score a first pair.
    """

    def __init__(self, folder: ModelFolder, backend: Backend) -> None:
        self.backend = backend
        self.tokenizer = load_tokenizer(folder.name, folder.path)
        self.template = read_template(self.tokenizer, folder.declared.pair_encoding)
        self.warned_of_unknown_text = False
        self._pad_token_id = folder.declared.pad_token_id
        self._score_a_first_pair(folder.name)
        self._threads = _start_threads(backend)
        self._process = os.getpid()

    def submit(self, pairs: Sequence[EncodedPair]) -> "Future[Logits]":
        """Queue a batch of pairs for the backend's threads."""
        if self._process != os.getpid():  # Threads do not survive a fork: start anew in the child.
            self._threads, self._process = _start_threads(self.backend), os.getpid()
        return self._threads.submit(self._run, pairs)

    def _score_a_first_pair(self, name: str) -> None:
        """Let what is wrong with a model's shapes show when it is loaded, and warm it up."""
        encoder = PairEncoder(self.tokenizer, self.template, max_length=MIN_MAX_LENGTH, max_positions=None)
        two_lengths = [encoder.encode([("a", text)]).pairs for text in ("b", "b c d")]
        try:
            for pairs in two_lengths:
                self._run(pairs)
        except Exception as error:  # each engine has its own for shapes that do not fit
            raise UnsupportedModelError(
                f"'{name}' is loaded and cannot score a pair: {error}. A file exported to ONNX needs dynamic axes for "
                "batch and sequence."
            ) from error

    def _run(self, pairs: Sequence[EncodedPair]) -> Logits:
        batch = lay_out(pairs, self.template, inputs=self.backend.inputs, pad_token_id=self._pad_token_id)
        return self.backend.forward(batch)

    def close(self) -> None:
        """Free threads and weights; what runs by now runs for a caller that was cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
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


def retain(key: Hashable) -> bool:
    """Count one more user of a model, such as a call that must not lose it; False if it is gone."""
    with _slots_lock:
        slot = _slots.get(key)
        if slot is not None:
            slot.users += 1
        return slot is not None


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
    """Tell one state of a model's files from another: weights that were trained on are other weights."""
    if folder.onnx_file is None:
        weights = folder.path.glob("*.safetensors")
    else:  # With its external data: model.onnx_data, model.onnx.data
        weights = folder.onnx_file.parent.glob(f"{folder.onnx_file.name}*")
    files = sorted([*weights, *(folder.path / name for name in ("config.json", "tokenizer.json"))])
    states = ((str(file), file.stat()) for file in files if file.is_file())
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states)


def _start_threads(backend: Backend) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(backend.workers, thread_name_prefix="rerank")
