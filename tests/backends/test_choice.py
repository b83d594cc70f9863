"""A backend is a module and one entry in the table: it claims its own folders and defines its own file formats."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rerank_plugins import InvalidTypeError, InvalidValueError, ModelNotFoundError, Reranker, UnsupportedModelError
from rerank_plugins.backends import BACKENDS
from rerank_plugins.backends.base import Inputs, ModelFolder, Placement, RawScores
from tests.fakes import CountBackend
from tests.texts import DOCUMENTS, QUERY


@pytest.fixture
def folder(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder that only the counting backend can load, with other weights that must not be read."""
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((model_folder("bert") / name).read_bytes())
    (tmp_path / "weights.count").write_text("tokens")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    return tmp_path


@pytest.fixture
def in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "count", ("tests.fakes", "CountBackend"))


@pytest.mark.usefixtures("in_the_table")
@pytest.mark.parametrize("options", [{}, {"backend": "count"}])
def test_a_line_in_the_table_is_enough(folder: Path, options: dict[str, str]) -> None:
    with Reranker(folder, **options) as reranker:
        assert reranker.backend == "count"
        results = reranker.rank(QUERY, DOCUMENTS)
    assert [result.raw_score for result in results] == sorted((each.raw_score for each in results), reverse=True)


@pytest.mark.usefixtures("in_the_table")
def test_the_names_are_those_of_the_table(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match="one of 'auto', 'onnx', 'torch', 'count', or a Backend class, got 'x'"):
        Reranker(folder, backend="x")


def test_a_class_reads_what_it_chooses(folder: Path) -> None:
    with Reranker(folder, backend=CountBackend) as reranker:
        assert len(reranker.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)


def test_a_class_without_weights(folder: Path) -> None:
    (folder / "weights.count").unlink()
    with Reranker(folder, backend=CountBackend) as reranker:
        assert len(reranker.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)


def test_a_file_that_is_not_there(folder: Path) -> None:
    class Hopeful(CountBackend):
        @classmethod
        def choose_weights(cls, files: object, config: object) -> list[str]:
            return ["more.count"]

    with pytest.raises(ModelNotFoundError, match=r"lacks more\.count"):
        Reranker(folder, backend=Hopeful)


def test_an_attribute_that_is_missing_is_named(folder: Path) -> None:
    class Forgetful(CountBackend):
        def __init__(self, folder: ModelFolder, placement: Placement) -> None:
            pass

    with pytest.raises(InvalidTypeError, match="Forgetful has no placement after it is made"):
        Reranker(folder, backend=Forgetful)


def test_a_fault_in_forward_is_shown_with_its_class(folder: Path) -> None:
    class Broken(CountBackend):
        def forward(self, inputs: Inputs) -> RawScores:
            raise KeyError("x")

    with pytest.raises(
        UnsupportedModelError, match=r"Broken cannot score a first pair: KeyError: 'x'. forward\(\) gets"
    ):
        Reranker(folder, backend=Broken)
