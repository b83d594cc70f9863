"""Passages from files: JSONL or lines, plain or gzip, and what is wrong with the others."""

import gzip
from pathlib import Path

import pytest

from rerank_plugins import InvalidValueError
from rerank_plugins.retrieval.passages import Passage, read_passages


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n  two {x}  \n")
    assert read_passages(tmp_path / "a.txt") == [Passage("1", "", "one"), Passage("3", "", "two {x}")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_objects(tmp_path: Path, name: str) -> None:
    rows = '{"_id": "p0", "title": "T", "text": "one"}\n{"id": 7, "text": ""}\n{"text": "é", "other": 1}\n'
    content = rows.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    passages = read_passages(tmp_path / name)
    assert passages == [Passage("p0", "T", "one"), Passage("7", "", ""), Passage("3", "", "é")]
    assert [passage.full_text for passage in passages] == ["T one", "", "é"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "holds no passages. It needs one a line"),
        ("a.txt", b"\n \n", "holds no passages"),
        ("a.txt", b"ok\n\xff\n", "is not UTF-8: invalid start byte at byte"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "Line 2 of .* is not JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', 'Line 2 of .* is no JSON object with a string "text"'),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "Line 2 of .* is no JSON object"),
        ("a.gz", b"plain", "is no gzip file"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidValueError, match=message):
        read_passages(tmp_path / name)


def test_a_missing_file() -> None:
    with pytest.raises(InvalidValueError, match=r"There is no file 'nowhere.txt'"):
        read_passages(Path("nowhere.txt"))
