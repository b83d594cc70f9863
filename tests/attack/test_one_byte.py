"""Two models that differ in one byte of a file that decides a score never share an entry of a cache."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins import RerankConfig, Reranker, RerankError
from rerank_plugins.caching.memory import MemoryCache
from rerank_plugins.models.spec import resolve
from tests.models.folders import sharded, with_external_data
from tests.texts import DOCUMENTS, QUERY

Make = Callable[[str], Path]
# How a model may be saved: from the folders of tests/conftest.py to one of each kind.
KINDS: dict[str, Callable[[Make, Path], Path]] = {
    "safetensors": lambda saved, place: shutil.copytree(saved("bert"), place),
    "shards": lambda saved, place: sharded(saved("bert"), place, ("one.safetensors", "parts/two.safetensors")),
    "a named file": lambda saved, place: _with_a_named_file(saved("bert"), place),
    "onnx": lambda saved, place: shutil.copytree(saved("bert-onnx"), place),
    "external data": lambda saved, place: with_external_data(saved("bert-onnx"), place, name="onnx/model.onnx"),
    "a vocabulary": lambda saved, place: _with_a_vocabulary(saved("bert"), place),
}


def _with_a_named_file(bert: Path, place: Path) -> Path:
    """A config that names its weights, which are read in place of those with the usual name."""
    shutil.copytree(bert, place)
    (place / "other").mkdir()
    (place / "model.safetensors").rename(place / "other" / "weights.safetensors")
    shutil.copyfile(place / "other" / "weights.safetensors", place / "unread.safetensors")
    config = place / "config.json"
    config.write_text(config.read_text().replace("{", '{"transformers_weights": "other/weights.safetensors",', 1))
    return place


def _with_a_vocabulary(bert: Path, place: Path) -> Path:
    """A tokenizer as models had before tokenizer.json."""
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(bert / "tokenizer.json")).get_vocab()
    shutil.copytree(bert, place, ignore=shutil.ignore_patterns("tokenizer*.json"))
    (place / "vocab.txt").write_text("\n".join(sorted(words, key=lambda word: words[word])), encoding="utf-8")
    (place / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return place


@pytest.fixture(scope="module")
def folder_of(model_folder: Make, tmp_path_factory: pytest.TempPathFactory) -> Make:
    root = tmp_path_factory.mktemp("kinds")

    def folder(kind: str) -> Path:
        place = root / kind.replace(" ", "-")
        return place if place.exists() else KINDS[kind](model_folder, place)

    return folder


def digest(folder: Path) -> str | None:
    """What names a folder's model; None if it is refused as it is."""
    try:
        return resolve(RerankConfig(model=str(folder))).digest
    except RerankError:
        return None


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_byte_of_every_file_counts(folder_of: Make, kind: str, data: st.DataObject) -> None:
    folder = folder_of(kind)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    before = digest(folder)
    assert before is not None
    file = data.draw(st.sampled_from(files))
    contents = file.read_bytes()
    place = data.draw(st.integers(0, len(contents) - 1))
    changed = contents[place] ^ data.draw(st.integers(1, 255))
    try:
        file.write_bytes(contents[:place] + bytes([changed]) + contents[place + 1 :])
        assert digest(folder) != before
    finally:
        file.write_bytes(contents)
    assert digest(folder) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_knows_other_weights_apart(folder_of: Make, kind: str, tmp_path: Path) -> None:
    """Two folders whose files have the same names and sizes share a cache, and each keeps its own scores."""
    one, other = folder_of(kind), shutil.copytree(folder_of(kind), tmp_path / "other")
    _change_weights(other)
    cache = MemoryCache()
    with Reranker(one, cache=cache) as first, Reranker(other, cache=cache) as second, Reranker(other) as alone:
        assert first.rank(QUERY, DOCUMENTS).report.cached == 0
        found = second.rank(QUERY, DOCUMENTS)
        assert found.report.cached == 0
        assert found == alone.rank(QUERY, DOCUMENTS)


def _change_weights(folder: Path) -> None:
    """Give a few weights other signs."""
    files = [file for file in folder.rglob("*") if file.suffix in (".safetensors", ".bin")]
    for file in files:  # Each of them ends with a weight.
        file.write_bytes(_with_another_end(file.read_bytes()))
    if not files:
        (file,) = folder.rglob("*.onnx")
        model = onnx.load(file)
        largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        largest.raw_data = _with_another_end(largest.raw_data)
        onnx.save(model, file)


def _with_another_end(contents: bytes) -> bytes:
    return contents[:-64] + bytes(each ^ 0x80 for each in contents[-64:])
