"""A model is loaded once per process: who shares it, when it is loaded again, and when it is freed."""

import gc
import multiprocessing
import os
import shutil
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import RerankConfig, Reranker, UnsupportedModelError
from rerank_plugins.backends.base import Inputs, ModelFolder, Placement, RawScores
from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.backends.torch import TorchBackend
from rerank_plugins.models.registry import Registry
from rerank_plugins.models.spec import ModelSpec, resolve
from tests.fakes import controlled
from tests.models.folders import with_external_data
from tests.models.test_source import copy_of
from tests.texts import DOCUMENTS, QUERY
from tests.tiny_models import save_bert
from tests.waiting import SECONDS


def spec_of(folder: Path, **options: Any) -> ModelSpec:
    return resolve(RerankConfig(model=str(folder), **options))


class TestSharing:
    """The same files, on the same device, in the same precision."""

    def test_the_same_model_is_loaded_once(self, model_folder: Callable[[str], Path]) -> None:
        backend, controls = controlled()
        options: dict[str, Any] = {"backend": backend}
        folder = model_folder("bert-onnx")
        with (
            Reranker(folder, **options),
            Reranker(folder, max_length=64, activation="identity", max_batch_tokens=5, timeout=3.0, **options),
        ):
            assert controls.loads == 1
            with Reranker(folder, num_threads=1, **options), Reranker(folder, num_threads=3, **options):
                assert controls.loads == 3, "another number of threads is another load"
        assert controls.closes == 3

    def test_a_folders_other_names_are_the_same_model(
        self, model_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend, controls = controlled()
        folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
        (tmp_path / "link").symlink_to(folder)
        monkeypatch.chdir(tmp_path)
        names = [str(folder), "m", "./m", "link"]
        opened = [Reranker(name, backend=backend) for name in names]
        assert controls.loads == 1
        assert [each.model for each in opened] == names
        assert [each.rank(QUERY, DOCUMENTS).report.model for each in opened] == names
        for each in opened:
            assert controls.closes == 0
            each.close()
        controls.wait_for_a_close()

    def test_many_threads_load_a_model_once(self, model_folder: Callable[[str], Path]) -> None:
        backend, controls = controlled()
        with ThreadPoolExecutor(16) as threads:
            opened = list(threads.map(lambda _: Reranker(model_folder("bert-onnx"), backend=backend), range(16)))
        assert controls.loads == 1
        for each in opened:
            each.close()
        assert controls.closes == 1

    def test_different_models_load_side_by_side(self, model_folder: Callable[[str], Path]) -> None:
        """Each load waits until the other one has begun."""
        both = threading.Barrier(2)

        class Meeting(OnnxBackend):
            def __init__(self, folder: ModelFolder, placement: Placement) -> None:
                both.wait(SECONDS)
                super().__init__(folder, placement)

        with ThreadPoolExecutor(2) as threads:
            names = [model_folder("bert-onnx"), model_folder("xlm-roberta-onnx")]
            opened = list(threads.map(lambda name: Reranker(name, backend=Meeting), names))
        assert [each.model for each in opened] == [str(name) for name in names]
        for each in opened:
            each.close()

    def test_a_file_beside_the_weights_is_no_other_model(
        self, model_folder: Callable[[str], Path], tmp_path: Path
    ) -> None:
        backend, controls = controlled()
        folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
        with Reranker(folder, backend=backend):
            (folder / "README.md").write_text("new")
            with Reranker(folder, backend=backend):
                assert controls.loads == 1

    @pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json", "special_tokens_map.json"])
    def test_a_model_whose_files_change_is_loaded_again(
        self, model_folder: Callable[[str], Path], tmp_path: Path, name: str
    ) -> None:
        backend, controls = controlled()
        folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
        if name == "special_tokens_map.json":
            (folder / name).write_text("{}")
        with Reranker(folder, backend=backend):
            os.utime(folder / name, ns=(0, 0))
            with Reranker(folder, backend=backend):
                assert controls.loads == 2

    @pytest.mark.parametrize("name", ["onnx/model.onnx", "onnx/weights.bin", "tokenizer.json"])
    @pytest.mark.parametrize("way", ["in place", "by rename"])
    def test_a_file_that_is_replaced_is_loaded_again_whatever_its_size_and_date(
        self, model_folder: Callable[[str], Path], tmp_path: Path, name: str, way: str
    ) -> None:
        backend, controls = controlled()
        folder = with_external_data(model_folder("bert-onnx"), tmp_path / "m", name="onnx/model.onnx")
        with Reranker(folder, backend=backend):
            before = (folder / name).stat()
            target = folder / name if way == "in place" else tmp_path / "new"
            target.write_bytes((folder / name).read_bytes())
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
            target.rename(folder / name)
            with Reranker(folder, backend=backend):
                assert controls.loads == 2

    def test_a_model_saved_again_is_another_one(self, tmp_path: Path) -> None:
        with Reranker(save_bert(tmp_path / "m", seed=0)) as before:
            first = before.rank(QUERY, DOCUMENTS)
            with Reranker(save_bert(tmp_path / "m", seed=5)) as after:
                assert after.rank(QUERY, DOCUMENTS) != first
            assert before.rank(QUERY, DOCUMENTS) == first


class TestFreeing:
    """The last user of a model frees it."""

    def test_the_last_one_frees_it(self, model_folder: Callable[[str], Path]) -> None:
        backend, controls = controlled()
        one, other = (Reranker(model_folder("bert-onnx"), backend=backend) for _ in range(2))
        one.close()
        one.close()
        assert controls.closes == 0
        assert len(other.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)
        other.close()
        controls.wait_for_a_close()
        with Reranker(model_folder("bert-onnx"), backend=backend):
            assert controls.loads == 2

    def test_a_forgotten_reranker_gives_its_model_back(self, model_folder: Callable[[str], Path]) -> None:
        backend, controls = controlled()
        reranker = Reranker(model_folder("bert-onnx"), backend=backend)
        del reranker
        gc.collect()
        assert controls.closes == 1

    @pytest.mark.parametrize(("name", "base"), [("modernbert", TorchBackend), ("bert-onnx", OnnxBackend)])
    def test_nothing_of_it_stays_in_memory(self, model_folder: Callable[[str], Path], name: str, base: type) -> None:
        made: list[weakref.ref[Any]] = []
        threads: set[threading.Thread] = set()

        class Seen(base):  # type: ignore[misc,valid-type]
            def forward(self, inputs: Inputs) -> RawScores:
                threads.add(threading.current_thread())
                return super().forward(inputs)  # type: ignore[no-any-return]

            def __init__(self, folder: ModelFolder, placement: Placement) -> None:
                super().__init__(folder, placement)
                made.extend(weakref.ref(each) for each in (self, *vars(self).values()) if _can_be_watched(each))

        reranker = Reranker(model_folder(name), backend=Seen)
        reranker.rank(QUERY, DOCUMENTS)
        assert len(made) > 1
        scorer = weakref.ref(reranker.scorer)
        reranker.close()
        del reranker
        gc.collect()
        assert scorer() is None
        for thread in threads:
            thread.join(SECONDS)
        gc.collect()
        assert [each() for each in made if each() is not None] == []

    def test_a_failed_load_leaves_nothing_behind(self, model_folder: Callable[[str], Path]) -> None:
        class Failing(OnnxBackend):
            fail = True
            loads = 0

            def __init__(self, folder: ModelFolder, placement: Placement) -> None:
                Failing.loads += 1
                if Failing.fail:
                    raise UnsupportedModelError("not today")
                super().__init__(folder, placement)

        for _ in range(2):
            with pytest.raises(UnsupportedModelError, match="not today"):
                Reranker(model_folder("bert-onnx"), backend=Failing)
        Failing.fail = False
        with Reranker(model_folder("bert-onnx"), backend=Failing) as reranker:
            assert len(reranker.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)
        assert Failing.loads == 3

    def test_a_model_that_cannot_score_a_pair_is_refused(self, model_folder: Callable[[str], Path]) -> None:
        class Odd(OnnxBackend):
            def forward(self, inputs: Inputs) -> RawScores:
                raise RuntimeError(f"Got: {inputs['input_ids'].shape[1]} Expected: 8")

        with pytest.raises(UnsupportedModelError, match=r"a first pair: RuntimeError: Got: .*dynamic axes"):
            Reranker(model_folder("bert-onnx"), backend=Odd)


def _can_be_watched(each: object) -> bool:
    try:
        weakref.ref(each)
    except TypeError:
        return False
    return True


def test_what_loads_a_model_leaves_no_thread_behind(model_folder: Callable[[str], Path]) -> None:
    """A live thread that has used torch slows down the thread that scores."""
    backend, controls = controlled(TorchBackend)
    with Reranker(model_folder("modernbert"), backend=backend):
        assert controls.threads
        assert threading.main_thread() not in controls.threads
        assert not any(thread.is_alive() for thread in controls.threads)


def test_a_child_that_is_forked_while_another_thread_loads(
    model_folder: Callable[[str], Path],
) -> None:
    """No thread in the child finishes that load, so the child loads the model itself."""

    class Waiting(OnnxBackend):
        def __init__(self, folder: ModelFolder, placement: Placement) -> None:
            if os.getpid() == parent:
                begun.set()
                assert finish.wait(SECONDS)
            super().__init__(folder, placement)

    parent, begun, finish = os.getpid(), threading.Event(), threading.Event()
    registry, spec = Registry(), spec_of(model_folder("bert-onnx"), backend=Waiting)
    other = spec_of(model_folder("xlm-roberta-onnx"))
    loaded, release_other = registry.acquire(other)
    with ThreadPoolExecutor(1) as thread:
        load = thread.submit(registry.acquire, spec)
        assert begun.wait(SECONDS)

        def in_the_child() -> None:
            kept, release_kept = registry.acquire(other)
            _, release = registry.acquire(spec)
            release()
            release_kept()
            os._exit(7 if kept is loaded else 8)

        child = multiprocessing.get_context("fork").Process(target=in_the_child)
        child.start()
        child.join(SECONDS)
        hangs = child.is_alive()
        child.kill()
        finish.set()
        _, release = load.result(SECONDS)
        release()
        release_other()
    assert not hangs, "the child waits for a load that nobody finishes"
    child.join(SECONDS)
    assert child.exitcode == 7


def test_the_digest_of_a_loaded_model_is_that_of_its_copy(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    registry = Registry()
    copy = shutil.copytree(model_folder("bert-onnx"), tmp_path / "copy")
    (one, give_one), (other, give_other) = (registry.acquire(spec_of(f)) for f in (model_folder("bert-onnx"), copy))
    assert one is not other
    assert one.digest == other.digest
    give_one()
    give_other()
