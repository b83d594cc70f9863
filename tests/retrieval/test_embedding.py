"""Code that comes with an embedding model never runs."""

import json
from pathlib import Path

import pytest

from rerank_plugins import ModelNotFoundError, UnsupportedModelError
from rerank_plugins.retrieval.embedding import BiEncoder

MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]


def with_modules(source: Path, folder: Path, *types: str) -> Path:
    """Copy an embedding model, and add modules to it that write a file when they are imported."""
    folder.mkdir()
    for file in source.rglob("*"):
        if file.is_file():
            (folder / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.relative_to(source)).write_bytes(file.read_bytes())
    written = folder.parent / "written"
    (folder / "custom.py").write_text(f"open({str(written)!r}, 'w').close()\nclass Module: pass\n")
    added = [{"idx": place + 1, "name": "x", "path": "", "type": kind} for place, kind in enumerate(types)]
    (folder / "modules.json").write_text(json.dumps([*MODULES, *added]))
    return folder


@pytest.mark.parametrize("kind", ["custom.Module", "sentence_transformers_evil.Module", "os.system"])
def test_a_module_of_the_models_own_is_refused_and_not_run(
    minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = with_modules(minilm_folder, tmp_path / "m", kind)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(UnsupportedModelError, match=f"names the module '{kind}', which is Python code from outside"):
        BiEncoder(str(folder))
    assert not (tmp_path / "written").exists()


def test_modules_of_sentence_transformers_are_loaded(minilm_folder: Path) -> None:
    assert BiEncoder(str(minilm_folder)).encode(["a question"]).shape == (1, 384)


def test_a_broken_modules_file(minilm_folder: Path, tmp_path: Path) -> None:
    folder = with_modules(minilm_folder, tmp_path / "m")
    (folder / "modules.json").write_text("{")
    with pytest.raises(ModelNotFoundError, match=r"modules.json' is not JSON"):
        BiEncoder(str(folder))
