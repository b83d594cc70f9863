"""BEIR folders, in every form they come in, and what is wrong with the others."""

import gzip
import json
from pathlib import Path

import pytest

from rerank_plugins import InvalidValueError
from rerank_plugins.evaluation.dataset import read_dataset
from tests.evaluation.conftest import QRELS, QUESTIONS, TEXTS


def test_a_folder(folder: Path) -> None:
    dataset = read_dataset(folder)
    assert dataset.name == "tiny"
    assert [passage.text for passage in dataset.passages.values()] == TEXTS
    assert dataset.queries == QUESTIONS  # the question without a judgement is left out
    assert dataset.qrels == QRELS
    assert dataset.candidates is None


def test_compressed_files_and_qrels_in_a_folder_of_their_own(folder: Path) -> None:
    expected = read_dataset(folder)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    assert read_dataset(folder) == expected
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv.gz").rename(folder / "qrels" / "test.tsv.gz")
    assert read_dataset(folder) == expected


def test_qrels_without_a_header(folder: Path) -> None:
    (folder / "qrels.tsv").write_text("q1\td0\t1\n")
    assert read_dataset(folder).qrels == {"q1": {"d0": 1}}


def test_candidates(folder: Path) -> None:
    rows = [{"query_id": "q1", "doc_ids": ["d3", "d0"]}, {"query_id": "q2", "doc_ids": []}]
    (folder / "candidates.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_dataset(folder).candidates == {"q1": ["d3", "d0"], "q2": []}


def test_a_trec_run(folder: Path) -> None:
    (folder / "candidates.trec").write_text("q1 Q0 d0 2 1.5 bm25\nq1 Q0 d3 1 7.25 bm25\nq2 Q0 d1 1 3 bm25\n")
    assert read_dataset(folder).candidates == {"q1": ["d3", "d0"], "q2": ["d1"]}


def test_samples_are_drawn_with_a_seed(folder: Path) -> None:
    dataset = read_dataset(folder)
    drawn = dataset.sample(2, seed=3)
    assert len(drawn.queries) == 2
    assert drawn.queries.items() <= dataset.queries.items()
    assert drawn.qrels.keys() == drawn.queries.keys()
    assert dataset.sample(2, seed=3) == drawn
    assert len({tuple(dataset.sample(2, seed=seed).queries) for seed in range(20)}) > 1
    assert dataset.sample(None, seed=0) is dataset
    assert dataset.sample(99, seed=0) is dataset


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.jsonl", None, r"holds no corpus.jsonl, plain or .gz"),
        ("qrels.tsv", None, r"holds no qrels.tsv or qrels/test.tsv"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\n", "holds no judgements"),
        ("qrels.tsv", "q1\td0\t1\nq1 d0 1\n", "Line 2 of .* is not a question, a document and a whole-number grade"),
        ("qrels.tsv", "q1\td0\t1\nq1\td1\thigh\n", "Line 2 of .*whole-number grade"),
        ("qrels.tsv", "q7\td0\t1\n", "judges 1 questions that it does not have, such as 'q7'"),
        ("candidates.jsonl", '{"query_id": "q1"}', "Line 1 of .* is no object with query_id and doc_ids"),
        ("candidates.jsonl", '{"query_id": "q1", "doc_ids": ["d99"]}', "lists 'd99' for question 'q1', and the corpus"),
        ("candidates.trec", "q1 Q0 d0 1\n", "Line 1 of .* is no line of a TREC run"),
    ],
)
def test_what_is_missing_or_broken(folder: Path, name: str, content: str | None, message: str) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(InvalidValueError, match=message):
        read_dataset(folder)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(InvalidValueError, match=r"There is no folder 'nowhere'. It needs corpus.jsonl"):
        read_dataset(Path("nowhere"))
