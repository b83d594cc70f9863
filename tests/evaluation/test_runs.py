"""Runs from JSONL and TREC files, and the errors for lists that would be measured wrongly."""

from pathlib import Path

import pytest

from rerank_plugins import InvalidValueError
from rerank_plugins.evaluation.runs import check_run, read_run


def write(folder: Path, name: str, content: str) -> Path:
    file = folder / name
    file.write_text(content)
    return file


def test_jsonl(tmp_path: Path) -> None:
    lines = (
        '{"query_id": "q1", "doc_ids": ["d3", "d0"]}',
        "",
        '{"query_id": 2, "doc_ids": [7]}',
        '{"query_id": "q3", "doc_ids": []}',
    )
    content = "\n".join(lines)
    assert read_run(write(tmp_path, "candidates.jsonl", content)) == {"q1": ["d3", "d0"], "2": ["7"], "q3": []}


def test_a_trec_run_is_sorted_by_score_and_then_by_rank(tmp_path: Path) -> None:
    content = "q1 Q0 d0 2 1.5 bm25\n\nq1\tQ0\td3\t1\t7.25\tbm25\r\nq2 Q0 d1 2 0 two words\nq2 Q0 d2 1 0 tag\n"
    assert read_run(write(tmp_path, "candidates.trec", content)) == {"q1": ["d3", "d0"], "q2": ["d2", "d1"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '\n{"query_id": "q1"}', r"Line 2 of .* must be an object such as .*, got \{\"query_id\": \"q1\"\}"),
        ("a.jsonl", '{"query_id": "q1", "doc_ids": "d1"}', "Line 1 of .* must be an object such as"),
        ("a.jsonl", '{"query_id": "q1", "doc_ids": ["d1", null]}', "Line 1 of .* must be an object such as"),
        ("a.jsonl", '{"query_id": null, "doc_ids": ["d1"]}', "Line 1 of .* must be an object such as"),
        ("a.jsonl", '["q1", "d1"]', "Line 1 of .* must be an object such as"),
        ("a.jsonl", "{", "Line 1 of .* is not valid JSON"),
        (
            "a.jsonl",
            '{"query_id": "q1", "doc_ids": ["d2", "d1", "d1"]}',
            "Line 1 of .* lists document 'd1' twice .* 'q1'",
        ),
        (
            "a.jsonl",
            '{"query_id": "q1", "doc_ids": ["d1"]}\n{"query_id": "q1", "doc_ids": ["d2"]}',
            "two lists for query 'q1', on lines 1 and 2",
        ),
        ("a.trec", "q1 Q0 d0 1\n", "Line 1 of .* is not a line of a TREC run: 'q1 Q0 d0 1'"),
        ("a.trec", "q1 Q0 d0 1 high tag\n", "Line 1 of .* is not a line of a TREC run"),
        ("a.trec", "q1 Q0 d0 1 2 tag\nq1 Q0 d1 2 nan tag\n", "Line 2 of .* has the score nan, which cannot be sorted"),
        ("a.trec", "q1 Q0 d0 1 -inf tag\n", "Line 1 of .* has the score -inf, which cannot be sorted"),
        ("a.trec", "q1 Q0 d0 1 2 t\nq2 Q0 d0 1 2 t\nq1 Q0 d0 2 1 t\n", "'d0' twice for query 'q1', on lines 1 and 3"),
    ],
)
def test_what_is_not_a_run(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        read_run(write(tmp_path, name, content))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"q1": ["d1", "d9"]}, "The run lists 'd9' for query 'q1', but the corpus has no such document"),
        ({"q1": ["d1", "d2", "d1"]}, "The run lists 'd1' twice for query 'q1'"),
        ({"q1": []}, "The run has no documents for any of the 1 judged queries, such as 'q1'"),
        ({"other": ["d1"]}, "The run has no documents for any of the 1 judged queries"),
    ],
)
def test_lists_are_checked(run: dict[str, list[str]], message: str) -> None:
    check_run({"q1": ["d2", "d1"]}, ["q1", "without a list"], {"d1", "d2"}, "The run")
    with pytest.raises(InvalidValueError, match=message):
        check_run(run, ["q1"], {"d1", "d2"}, "The run")
