"""Which folder, which backend, which file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rerank_plugins import InvalidValueError, ModelNotFoundError, RerankConfig, Reranker
from rerank_plugins.models.source import EMBEDDED_FOLDER, find_model


def copy_of(folder: Path, place: Path, *without: str) -> Path:
    place.mkdir()
    for file in folder.iterdir():
        if file.name not in without:
            (place / file.name).write_bytes(file.read_bytes())
    return place


def test_no_name_is_the_embedded_model() -> None:
    found = find_model(RerankConfig())
    assert (found.name, found.path, found.backend) == ("embedded", EMBEDDED_FOLDER, "onnx")
    assert found.onnx_file == EMBEDDED_FOLDER / "model.onnx"
    assert (found.declared.pair_encoding, found.declared.max_length) == ("segments", 256)


@pytest.mark.parametrize(("name", "backend"), [("bert", "torch"), ("bert-onnx", "onnx")])
def test_auto_takes_onnx_where_there_is_a_file(model_folder: Callable[[str], Path], name: str, backend: str) -> None:
    assert find_model(RerankConfig(model=str(model_folder(name)))).backend == backend


def test_a_path_or_a_string_or_a_home_folder(
    model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder("bert-onnx")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder.parent)
    for model in (folder, str(folder), f"~/{folder.name}", folder.name, f"./{folder.name}"):
        with Reranker(model) as reranker:
            assert reranker.device == "cpu"


def test_the_only_onnx_file_is_taken_whatever_its_name(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    (folder / "model.onnx").rename(folder / "other.onnx")
    assert find_model(RerankConfig(model=str(folder))).onnx_file == folder / "other.onnx"


def test_several_onnx_files_ask_for_a_choice(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    (folder / "model.onnx").rename(folder / "a.onnx")
    (folder / "b.onnx").write_bytes((folder / "a.onnx").read_bytes())
    with pytest.raises(ModelNotFoundError, match=r"holds 2 .onnx files.*onnx_file=: a.onnx, b.onnx"):
        Reranker(folder)
    with Reranker(folder, onnx_file="b.onnx") as reranker:
        assert reranker.backend == "onnx"
    with pytest.raises(ModelNotFoundError, match=r"onnx_file='c.onnx' is not in the folder.*It holds: a.onnx, b.onnx"):
        Reranker(folder, onnx_file="c.onnx")


def test_a_clone_of_a_repository_keeps_onnx_in_a_folder(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert"), tmp_path / "m")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes((model_folder("bert-onnx") / "model.onnx").read_bytes())
    assert find_model(RerankConfig(model=str(folder))).backend == "torch"
    assert find_model(RerankConfig(model=str(folder), backend="onnx")).onnx_file == folder / "onnx" / "model.onnx"
    with Reranker(folder, onnx_file="onnx/model.onnx") as reranker:
        assert reranker.backend == "onnx"


def test_a_folder_with_onnx_alone_needs_no_torch(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert find_model(RerankConfig(model=str(folder))).backend == "onnx"


def test_embedded_is_a_name_too() -> None:
    with Reranker("embedded") as reranker, Reranker() as other:
        assert reranker._loaded is other._loaded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"onnx_file": "model.onnx", "backend": "torch"}, "onnx_file='model.onnx' is for the onnx backend"),
        ({"revision": "main"}, "revision='main' is for names on the Hub"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    model_folder: Callable[[str], Path], options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Reranker(model_folder("bert"), **options)


def test_a_file_beside_the_weights_is_no_other_model(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert"), tmp_path / "m")
    with Reranker(folder) as before:
        (folder / "README.md").write_text("new")
        with Reranker(folder) as after:
            assert after._loaded is before._loaded


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("./nowhere", "There is no folder './nowhere', and it is no name on the Hub either"),
        ("/no/such/folder", "There is no folder '/no/such/folder'"),
        ("a/b/c", "There is no folder 'a/b/c'"),
        ("two words", "There is no folder 'two words'"),
    ],
)
def test_a_folder_that_is_not_there(model: str, message: str) -> None:
    with pytest.raises(ModelNotFoundError, match=message) as caught:
        Reranker(model)
    assert isinstance(caught.value, ValueError)


def test_a_file_in_place_of_a_folder(model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(ModelNotFoundError, match=r"is a file. Pass its folder"):
        Reranker(model_folder("bert-onnx") / "model.onnx")


def test_a_folder_without_weights(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert"), tmp_path / "m", "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelNotFoundError, match=r"only as pickles \(pytorch_model.bin\), which can run code"):
        Reranker(folder)
    with pytest.raises(ModelNotFoundError, match=r"holds no .onnx file. Use backend='torch'"):
        Reranker(folder, backend="onnx")


def test_a_folder_without_a_tokenizer(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("bert", "bert-onnx"):
        with pytest.raises(ModelNotFoundError, match="has no tokenizer"):
            Reranker(copy_of(model_folder(name), tmp_path / name, "tokenizer.json"))


def test_a_model_saved_again_is_loaded_again(tmp_path: Path) -> None:
    from tests.texts import DOCUMENTS, QUERY
    from tests.tiny_models import save_bert

    with Reranker(save_bert(tmp_path / "m", seed=0)) as before:
        first = before.rank(QUERY, DOCUMENTS)
        with Reranker(save_bert(tmp_path / "m", seed=5)) as after:
            assert after.rank(QUERY, DOCUMENTS) != first
        assert before.rank(QUERY, DOCUMENTS) == first


def test_an_unknown_backend_is_refused_before_a_download() -> None:
    with pytest.raises(InvalidValueError, match=r"backend must be one of 'auto', 'onnx', 'torch', .*got 'tensorflow'"):
        find_model(RerankConfig(model="owner/name", backend="tensorflow"))


def test_a_backend_may_be_a_class(model_folder: Callable[[str], Path]) -> None:
    from rerank_plugins.backends.torch import TorchBackend

    class Mine(TorchBackend):
        """A backend that the table does not know."""

    with Reranker(model_folder("bert"), backend=Mine) as mine, Reranker(model_folder("bert")) as torch:
        assert mine.score([("who", "hamlet")]) == torch.score([("who", "hamlet")])
