"""Where a model's files are found, by the name that the user gives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rerank_plugins import InvalidValueError, ModelNotFoundError, RerankConfig, Reranker
from rerank_plugins.models.source import EMBEDDED_FOLDER, file_names, find_source


def copy_of(folder: Path, place: Path, *without: str) -> Path:
    place.mkdir()
    for file in folder.iterdir():
        if file.name not in without:
            (place / file.name).write_bytes(file.read_bytes())
    return place


@pytest.mark.parametrize("model", [None, "embedded", str(EMBEDDED_FOLDER)])
def test_no_name_is_the_embedded_model(model: str | None) -> None:
    found = find_source(RerankConfig(model=model))
    assert (found.name, found.fetch([])) == ("embedded", EMBEDDED_FOLDER)
    assert {"model.onnx", "config.json", "tokenizer.json"} <= found.files


def test_a_path_or_a_string_or_a_home_folder(
    model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder("bert-onnx")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder.parent)
    for model in (str(folder), f"~/{folder.name}", folder.name, f"./{folder.name}", f"{folder.name}/"):
        found = find_source(RerankConfig(model=model))
        assert (found.name, found.fetch([])) == (model, folder.resolve())
    with Reranker(folder) as reranker:
        assert reranker.model == str(folder)


def test_a_folder_that_is_called_embedded_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "embedded").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_source(RerankConfig(model="embedded")).fetch([]) == tmp_path / "embedded"


def test_files_of_visible_subfolders_are_named_as_on_the_hub(tmp_path: Path) -> None:
    for name in ("config.json", "onnx/model.onnx", ".cache/x.json", "a/b/deep.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert file_names(tmp_path) == {"config.json", "onnx/model.onnx"}


def test_a_revision_is_for_the_hub(model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InvalidValueError, match="revision='main' is for names on the Hub"):
        find_source(RerankConfig(model=str(model_folder("bert")), revision="main"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("./nowhere", "There is no folder './nowhere', and it is not a name on the Hub either"),
        ("/no/such/folder", "There is no folder '/no/such/folder'"),
        ("a/b/c", "There is no folder 'a/b/c'"),
        ("two words", "There is no folder 'two words'"),
    ],
)
def test_a_folder_that_is_not_there(model: str, message: str) -> None:
    with pytest.raises(ModelNotFoundError, match=message) as caught:
        find_source(RerankConfig(model=model))
    assert isinstance(caught.value, ValueError)


def test_a_file_in_place_of_a_folder(model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(ModelNotFoundError, match=r"is a file. Pass its folder"):
        find_source(RerankConfig(model=str(model_folder("bert-onnx") / "model.onnx")))
