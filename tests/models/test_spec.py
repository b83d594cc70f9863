"""What a model is and how it is run, resolved once: backend, files, placement, and what names its contents."""

import re
import shutil
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import InvalidTypeError, InvalidValueError, ModelError, ModelNotFoundError, RerankConfig, Reranker
from rerank_plugins.backends import backend_name, choose_backend, requested_backend
from rerank_plugins.backends.base import Placement
from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.backends.torch import TorchBackend
from rerank_plugins.models.loaded import LoadedModel
from rerank_plugins.models.source import EMBEDDED_FOLDER
from rerank_plugins.models.spec import CONFIGURATION, ModelSpec, resolve
from tests.fakes import CountBackend, controlled
from tests.models.folders import sharded, with_external_data
from tests.models.test_source import copy_of

TOP, SUB, TENSORS = "model.onnx", "onnx/model.onnx", "model.safetensors"


@pytest.fixture
def _without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as if torch were not installed."""

    class Hiding:
        def __init__(self, finder: Any) -> None:
            self._finder = finder

        def find_spec(self, name: str, *rest: Any) -> Any:
            return None if name == "torch" else self._finder.find_spec(name, *rest)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._finder, name)

    finders: list[MetaPathFinder] = [Hiding(finder) for finder in sys.meta_path]  # type: ignore[misc]
    monkeypatch.setattr(sys, "meta_path", finders)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


CHOICES: list[tuple[list[str], dict[str, Any], str | None, str | None]] = [
    # files, options, backend with torch, backend without it
    ([TOP], {}, "onnx", "onnx"),
    ([TOP, TENSORS], {}, "onnx", "onnx"),
    ([TOP, TENSORS], {"device": "cpu"}, "onnx", "onnx"),
    ([TOP, TENSORS], {"device": "cuda"}, "torch", "onnx"),
    ([TENSORS], {}, "torch", "torch"),
    ([TENSORS], {"device": "cuda:1"}, "torch", "torch"),
    ([SUB], {}, "onnx", "onnx"),
    ([SUB, TENSORS], {}, "torch", "onnx"),
    ([SUB, TENSORS], {"device": "cuda"}, "torch", "onnx"),
    ([SUB, TENSORS], {"onnx_file": SUB}, "onnx", "onnx"),
    ([TENSORS, "openvino/model.onnx"], {}, "torch", "onnx"),
    (["other/model.safetensors", SUB], {}, "onnx", "onnx"),
    (["pytorch_model.bin", "config.json"], {}, None, None),
    ([], {}, None, None),
    ([SUB, TENSORS], {"backend": "onnx"}, "onnx", "onnx"),
    ([TOP, TENSORS], {"backend": "torch"}, "torch", "torch"),
]


def chosen(files: list[str], options: dict[str, Any]) -> str | None:
    config = RerankConfig(**options)
    backend = requested_backend(config) or choose_backend(files, config)
    return None if backend is None else backend_name(backend)


class TestBackend:
    """Files, device and what is installed decide, unless the user does."""

    @pytest.mark.parametrize(("files", "options", "expected", "_"), CHOICES)
    def test_with_torch(self, files: list[str], options: dict[str, Any], expected: str | None, _: object) -> None:
        assert chosen(files, options) == expected

    @pytest.mark.usefixtures("_without_torch")
    @pytest.mark.parametrize(("files", "options", "_", "expected"), CHOICES)
    def test_without_torch(self, files: list[str], options: dict[str, Any], _: object, expected: str | None) -> None:
        assert chosen(files, options) == expected

    def test_a_class_of_ones_own(self) -> None:
        assert requested_backend(RerankConfig(backend=CountBackend)) is CountBackend
        assert backend_name(CountBackend) == "CountBackend"
        assert [backend_name(each) for each in (OnnxBackend, TorchBackend)] == ["onnx", "torch"]

    def test_a_subclass_is_not_taken_for_what_it_inherits_from(self) -> None:
        backend, _ = controlled()
        assert backend_name(backend) not in ("onnx", "torch")

    def test_a_class_that_is_not_a_backend(self) -> None:
        with pytest.raises(InvalidTypeError, match=r"backend=.*dict.* lacks choose_weights, place"):
            Reranker(backend=dict)

    @pytest.mark.parametrize("model", [None, "owner/name"])
    def test_a_name_that_there_is_not_is_refused_before_a_download(self, model: str | None) -> None:
        with pytest.raises(InvalidValueError, match=r"backend must be one of 'auto', 'onnx', 'torch'.*got 'jax'"):
            resolve(RerankConfig(model=model, backend="jax"))


class TestWeights:
    """Which files are loaded."""

    def weights(self, folder: Path, **options: Any) -> tuple[str, ...]:
        return resolve(RerankConfig(model=str(folder), **options)).folder.weights

    def test_the_embedded_model(self) -> None:
        spec = resolve(RerankConfig())
        assert (spec.folder.name, spec.folder.path, spec.backend) == ("embedded", EMBEDDED_FOLDER, OnnxBackend)
        assert spec.folder.weights == ("model.onnx",)
        assert (spec.declared.pair_encoding, spec.declared.max_length) == ("segments", 256)

    def test_the_only_onnx_file_is_taken_whatever_its_name(
        self, model_folder: Callable[[str], Path], tmp_path: Path
    ) -> None:
        folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
        (folder / "model.onnx").rename(folder / "other.onnx")
        assert self.weights(folder) == ("other.onnx",)

    def test_several_onnx_files_ask_for_a_choice(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
        (folder / "model.onnx").rename(folder / "a.onnx")
        shutil.copyfile(folder / "a.onnx", folder / "b.onnx")
        with pytest.raises(ModelNotFoundError, match=r"has 2 .onnx files.*onnx_file=: a.onnx, b.onnx"):
            self.weights(folder)
        assert self.weights(folder, onnx_file="b.onnx") == ("b.onnx",)
        with pytest.raises(ModelNotFoundError, match=r"onnx_file='c.onnx' is not in .*Its .onnx files: a.onnx, b.onnx"):
            self.weights(folder, onnx_file="c.onnx")

    def test_a_clone_of_a_repository_keeps_onnx_in_a_folder(
        self, model_folder: Callable[[str], Path], tmp_path: Path
    ) -> None:
        folder = copy_of(model_folder("bert"), tmp_path / "m")
        (folder / "onnx").mkdir()
        shutil.copyfile(model_folder("bert-onnx") / TOP, folder / SUB)
        assert self.weights(folder) == (TENSORS,)
        assert self.weights(folder, backend="onnx") == self.weights(folder, onnx_file=SUB) == (SUB,)
        (folder / TENSORS).unlink()
        assert self.weights(folder) == (SUB,)

    def test_external_data_comes_with_its_file(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        folder = with_external_data(model_folder("bert-onnx"), tmp_path / "m", location="any name.bin")
        for name in ("model.onnx_data", "model.onnx.data", "model_int8.onnx"):
            (folder / name).write_bytes(b"")
        assert self.weights(folder) == ("model.onnx", "any name.bin")
        (folder / "any name.bin").unlink()
        with pytest.raises(ModelNotFoundError, match=r"lacks any name.bin in .*load it once with a network"):
            self.weights(folder)

    def test_all_shards_are_taken(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        folder = copy_of(model_folder("bert"), tmp_path / "m", TENSORS)
        for name in ("model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"):
            (folder / name).write_bytes(b"")
        assert self.weights(folder) == ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

    def test_a_folder_without_weights(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        folder = copy_of(model_folder("bert"), tmp_path / "m", TENSORS)
        (folder / "pytorch_model.bin").write_bytes(b"pickle")
        with pytest.raises(ModelNotFoundError, match=r"pickle|Pickle"):
            self.weights(folder)
        with pytest.raises(ModelNotFoundError, match="has its weights only as pickles"):
            self.weights(folder, backend="torch")
        with pytest.raises(ModelNotFoundError, match="has its weights only as pickles"):
            self.weights(folder, backend="onnx")

    def test_an_onnx_file_is_not_for_torch(self, model_folder: Callable[[str], Path]) -> None:
        with pytest.raises(InvalidValueError, match=r"onnx_file='model.onnx' is for the onnx backend"):
            self.weights(model_folder("bert"), backend="torch", onnx_file="model.onnx")


def test_the_placement_is_the_backends_choice(model_folder: Callable[[str], Path]) -> None:
    onnx = resolve(RerankConfig(model=str(model_folder("bert-onnx")), num_threads=3))
    assert onnx.placement == Placement("cpu", "auto", 3)
    torch = resolve(RerankConfig(model=str(model_folder("bert")), device="cpu"))
    assert torch.placement == Placement("cpu", "fp32", None)


class TestDigest:
    """A model's digest depends on the contents of the files that decide a score, not on their location."""

    @pytest.fixture
    def folder(self, model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
        return copy_of(model_folder("bert"), tmp_path / "m")

    def digest(self, folder: Path, **options: Any) -> str:
        return resolve(RerankConfig(model=str(folder), **options)).digest

    def names(self, folder: Path, **options: Any) -> set[str]:
        spec: ModelSpec = resolve(RerankConfig(model=str(folder), **options))
        return {file.relative_to(spec.folder.path).as_posix() for file in spec.files}

    def test_the_same_files_elsewhere_have_the_same(self, folder: Path, tmp_path: Path) -> None:
        assert self.digest(shutil.copytree(folder, tmp_path / "elsewhere")) == self.digest(folder)

    @pytest.mark.parametrize("name", ["README.md", "training_args.bin", "logo.png", ".gitattributes"])
    def test_other_files_change_nothing(self, folder: Path, name: str) -> None:
        before = self.digest(folder)
        (folder / name).write_bytes(b"new")
        assert self.digest(folder) == before

    @pytest.mark.parametrize(
        "name",
        [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "vocab.txt",
            "vocab.json",
            "merges.txt",
            "sentencepiece.bpe.model",
            "spm.model",
            "bpe.codes",
            "prompt.jinja",
            "modeling_mine.py",
        ],
    )
    def test_any_file_that_decides_a_score_changes_it(self, folder: Path, name: str) -> None:
        if name not in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_text("{}")
        before = self.digest(folder)
        with (folder / name).open("a") as file:
            file.write("\n")
        assert self.digest(folder) != before

    def test_weights_change_it(self, folder: Path) -> None:
        from tests.tiny_models import save_bert

        before = self.digest(folder)
        save_bert(folder, seed=5)
        assert self.digest(folder) != before

    def test_shards_and_external_data_are_among_the_files(
        self, model_folder: Callable[[str], Path], tmp_path: Path
    ) -> None:
        shards = ("one.safetensors", "parts/two.safetensors")
        assert {*shards} <= self.names(sharded(model_folder("bert"), tmp_path / "sharded", shards))
        external = with_external_data(model_folder("bert-onnx"), tmp_path / "external")
        assert {"model.onnx", "weights.bin", "config.json", "tokenizer.json"} <= self.names(external)

    def test_the_name_of_a_file_counts(self, folder: Path) -> None:
        (folder / "vocab.txt").write_text("a")
        before = self.digest(folder)
        (folder / "vocab.txt").rename(folder / "merges.txt")
        assert self.digest(folder) != before

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
    def test_it_does_not_name_a_model_by_files_that_came_later(self, folder: Path, name: str) -> None:
        loaded = LoadedModel(resolve(RerankConfig(model=str(folder))))
        loaded.close()
        assert loaded.digest == self.digest(folder)
        again = LoadedModel(resolve(RerankConfig(model=str(folder))))
        again.close()
        (folder / name).write_bytes((folder / name).read_bytes())
        with pytest.raises(ModelError, match=rf"The files of .* changed since it was loaded: .*{name}\. Load it again"):
            _ = again.digest
        (folder / name).unlink()
        with pytest.raises(ModelError, match="changed since it was loaded"):
            _ = again.digest

    def test_files_that_change_while_they_are_loaded(self, folder: Path) -> None:
        class Meanwhile(TorchBackend):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes())

        with pytest.raises(ModelError, match=r"changed since it was loaded: .*model\.safetensors"):
            Reranker(folder, backend=Meanwhile)

    def test_all_vocabularies_of_transformers_count(self) -> None:
        """Whatever a tokenizer without a tokenizer.json is made of."""
        import transformers

        # Their source says it, since many of them cannot be imported without further libraries.
        sources = Path(transformers.__file__).parent.glob("models/*/tokenization_*.py")
        named = (re.findall(r'_file": "([^"]+)"', source.read_text(encoding="utf-8")) for source in sources)
        names = {name for each in named for name in each}
        assert {"vocab.txt", "spiece.model"} <= names
        assert {Path(name).suffix for name in names} <= {*CONFIGURATION}
