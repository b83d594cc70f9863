"""BEIR folders in every supported form, and the errors for all others."""

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
    assert dataset.queries == QUESTIONS  # the query without a judgement is left out
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


def test_qrels_in_the_form_of_trec(folder: Path) -> None:
    (folder / "qrels.tsv").unlink()
    (folder / "qrels.txt").write_text("q1 0 d0 2\nq1 0 d3 1\nq2 0 d1 1\nq2 0 d2 0\nq3 0 d4 1\n")
    assert read_dataset(folder).qrels == QRELS


def test_the_name_of_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert read_dataset(Path()).name == "tiny"


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
        ("corpus.jsonl", None, r"has no corpus.jsonl, plain or .gz"),
        (
            "corpus.jsonl",
            '{"_id": "d0", "text": "a"}\n{"_id": "d0", "text": "b"}',
            "'d0' twice, on line 1 and on line 2",
        ),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "a"}\n{"_id": "q1", "text": "b"}',
            "'q1' twice, on line 1 and on line 2",
        ),
        ("queries.jsonl", '{"_id": "q1", "text": " "}\n{"_id": "q2"}', "Line 2 of .* has no string 'text'"),
        ("qrels.tsv", None, r"has no qrels.tsv or qrels.txt or qrels/test.tsv"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\n", "contains no judgements"),
        ("qrels.tsv", "q7\td0\t1\n", "judges 1 queries that queries.jsonl does not have, such as 'q7'"),
        (
            "qrels.tsv",
            "q1\t9\t1\nq2\t8\t1\n",
            "None of the relevant documents .* name, for example, '9'; .* such as 'd0'",
        ),
        ("qrels.tsv", "q1\td0\t0\nq2\td1\t-1\n", "judges no document as relevant: all grades are 0 or below"),
        ("candidates.jsonl", '{"query_id": "q1", "doc_ids": ["d99"]}', "lists 'd99' for query 'q1', but the corpus"),
        ("candidates.jsonl", '{"query_id": "q1", "doc_ids": ["d0", "d0"]}', "Line 1 of .* lists document 'd0' twice"),
        ("candidates.jsonl", '{"query_id": "q7", "doc_ids": ["d0"]}', "has a list for query 'q7', which queries.jsonl"),
        ("candidates.jsonl", "", "has no documents for any of the 0 judged queries"),
    ],
)
def test_what_is_missing_or_broken(folder: Path, name: str, content: str | None, message: str) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(InvalidValueError, match=message):
        read_dataset(folder)


def test_a_blank_query_is_refused_before_any_work(folder: Path) -> None:
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": " "}\n')
    (folder / "qrels.tsv").write_text("q1\td0\t1\n")
    with pytest.raises(InvalidValueError, match=r"The query 'q1' in .* is empty or blank"):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("kept", "other"),
    [("corpus.jsonl", "corpus.jsonl.gz"), ("qrels.tsv", "qrels/test.tsv"), ("candidates.jsonl", "candidates.trec")],
)
def test_two_files_for_one_thing_are_refused(folder: Path, kept: str, other: str) -> None:
    (folder / "qrels").mkdir()
    for name in (kept, other):
        (folder / name).touch()
    with pytest.raises(InvalidValueError, match=f"has {kept} and {other}, and only one of them can be read"):
        read_dataset(folder)


def test_missing_documents_are_told(folder: Path) -> None:
    (folder / "qrels.tsv").write_text("q1\td0\t1\nq1\td99\t2\nq2\td1\t1\n")
    with pytest.warns(
        UserWarning, match="1 of 3 relevant documents in .* are not in its corpus, such as 'd99' for query 'q1'"
    ):
        assert read_dataset(folder).qrels["q1"] == {"d0": 1, "d99": 2}


def test_queries_that_nothing_can_answer_are_told(folder: Path) -> None:
    (folder / "qrels.tsv").write_text("q1\td0\t1\nq2\td1\t0\n")
    with pytest.warns(UserWarning, match="1 of 2 queries in .* have no relevant document, such as 'q2'"):
        read_dataset(folder)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(InvalidValueError, match=r"There is no folder 'nowhere'. It needs corpus.jsonl"):
        read_dataset(Path("nowhere"))
