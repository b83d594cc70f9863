"""Judgements in the common formats, and the errors for all others."""

import gzip
from pathlib import Path

import pytest

from rerank_plugins import InvalidValueError
from rerank_plugins.evaluation.qrels import read_qrels


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "qrels.tsv"


@pytest.mark.parametrize(
    "content",
    [
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n",
        "q1\td1\t1\nq1\td2\t0\n",
        "q1\td1\t1.0\nq1\td2\t0.\n",
        "q1\t0\td1\t1\nq1\t0\td2\t0\n",
        "q1 0 d1 1\nq1 Q0  d2 0",
        "query_id iteration doc_id relevance\nq1 0 d1 1\nq1 0 d2 0",
        "\n \nq1\td1\t1\n\t\n\nq1\td2\t0\n\n\n",
        "query-id\tcorpus-id\tscore\r\nq1\td1\t1\r\nq1\td2\t0\r\n",
        "\ufeffquery-id\tcorpus-id\tScore\nq1\td1\t+1\nq1\td2\t-0\n",
        "q1\td1\t1\nq1\td1\t1.0\nq1\td2\t0\n",
    ],
)
def test_trec_and_beir(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    assert read_qrels(file) == {"q1": {"d1": 1, "d2": 0}}


def test_gzip(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv.gz").write_bytes(gzip.compress(b"q1\td1\t1\n"))
    assert read_qrels(tmp_path / "qrels.tsv.gz") == {"q1": {"d1": 1}}


def test_ids_are_kept_as_they_are(file: Path) -> None:
    file.write_text('"q 1"\t"d1"\t1\n"q 1"\td"2\t2\n01\t007\t-2\n')
    assert read_qrels(file) == {'"q 1"': {'"d1"': 1, 'd"2': 2}, "01": {"007": -2}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "contains no judgements"),
        ("\n\n", "contains no judgements"),
        ("query-id\tcorpus-id\tscore\n", "contains no judgements"),
        ("q1\td0\t1\n\nq1\td1\n", r"Line 3 of .* is not a judgement: 'q1\\td1'"),
        ("q1\td0\thigh\n", "Line 1 of .* is not a judgement: .*high"),
        ("q1\td0\t1\nq1\td1\tscore\n", "Line 2 of .* is not a judgement"),
        ("q1\td0\t0.5\n", "Line 1 of .* is not a judgement.*whole-number grade"),
        ("q1\td0\tnan\n", "Line 1 of .* is not a judgement"),
        ("q1\td0\t1_0\n", "Line 1 of .* is not a judgement"),
        ("q1\t\t1\n", "Line 1 of .* is not a judgement"),
        ("q1\td0\t\n", "Line 1 of .* is not a judgement"),
        ("q1,d0,1\n", "Line 1 of .* is not a judgement: 'q1,d0,1'"),
        ("q1 Q0 d0 1 7.5 bm25\n", "Line 1 of .* is not a judgement"),
    ],
)
def test_what_is_not_a_judgement(file: Path, content: str, message: str) -> None:
    file.write_text(content)
    with pytest.raises(InvalidValueError, match=message):
        read_qrels(file)


def test_of_contradictory_judgements_the_last_one_counts_and_is_told(file: Path) -> None:
    file.write_text("q1\td0\t1\nq2\td0\t1\nq1\td0\t0\n")
    message = "has 1 contradictory judgements, .*: document 'd0' for query 'q1' is 1 on line 1 and 0 on line 3"
    with pytest.warns(UserWarning, match=message):
        assert read_qrels(file) == {"q1": {"d0": 0}, "q2": {"d0": 1}}
