"""Releases that encode or score differently share no score: whoever changes the one or the other is told so here."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import Reranker
from rerank_plugins.backends.base import Inputs, RawScores
from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.caching import base
from rerank_plugins.caching.base import KeyMaker
from tests.texts import APPLE, APPLE_DOCUMENTS, ASPIRIN, DOCUMENTS, QUERY, TRAPS

REMEDY = (
    "Pairs become other tokens than before. If that is meant, raise ENCODING_VERSION and write down the new digest."
)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("embedded", {}, "450869956c712ae2"),
        ("embedded", {"max_length": 24}, "c92b2746ac351c71"),
        ("embedded", {"max_length": 24, "long_documents": "windows"}, "761fa8e6878d128b"),
        ("bert-onnx", {"max_length": 24, "long_documents": "windows"}, "561f8403ffaa8b8b"),
        ("xlm-roberta-onnx", {"max_length": 24}, "c92d43ea436aab11"),
    ],
)
def test_pairs_become_the_same_tokens_as_before(
    model_folder: Callable[[str], Path], name: str, options: dict[str, Any], expected: str
) -> None:
    rows: set[tuple[int, ...]] = set()

    class Recording(OnnxBackend):
        def forward(self, inputs: Inputs) -> RawScores:
            for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
                rows.add(tuple(ids[mask > 0].tolist()))
            return super().forward(inputs)

    folder = None if name == "embedded" else model_folder(name)
    with Reranker(folder, backend=Recording, **options) as reranker:
        rows.clear()  # those of loading
        for query, documents in (
            (QUERY, DOCUMENTS),
            (APPLE, APPLE_DOCUMENTS),
            (ASPIRIN, [" ".join(TRAPS * 3), "[SEP]"]),
        ):
            reranker.rank(query, documents)
    assert hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()[:16] == expected, REMEDY


def test_another_version_of_scoring_gives_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    now = KeyMaker("one").key("query", "document")
    monkeypatch.setattr(base, "SCORING_VERSION", base.SCORING_VERSION + 1)
    assert KeyMaker("one").key("query", "document") != now
