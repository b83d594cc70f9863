"""A small judged collection, in the files that a user would write."""

import json
from pathlib import Path

import pytest

from tests.texts import ASPIRIN, PHOTOSYNTHESIS, TRAPS, mixed_lengths

QUESTIONS = {"q1": PHOTOSYNTHESIS, "q2": ASPIRIN, "q3": "who wrote hamlet"}
TEXTS = [*TRAPS, "Shakespeare wrote Hamlet.", *mixed_lengths(15, longest=12)]
QRELS = {"q1": {"d0": 2, "d3": 1}, "q2": {"d1": 1, "d2": 0}, "q3": {"d4": 1}}


def write_dataset(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    corpus = [{"_id": f"d{place}", "title": "", "text": text} for place, text in enumerate(TEXTS)]
    queries = [{"_id": name, "text": text} for name, text in QUESTIONS.items()] + [{"_id": "q9", "text": "unjudged"}]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    rows = [f"{query}\t{document}\t{grade}" for query, grades in QRELS.items() for document, grade in grades.items()]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "tiny")
