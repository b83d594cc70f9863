"""Passages from files: JSONL or lines, plain or gzip, and what is wrong with the others."""

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
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
        ("a.gz", gzip.compress(b"one\n" * 9999, mtime=0)[:-20], "is no whole gzip file"),
        ("a.jsonl", b'"one"\n"two"\n', "is JSON, but not one object with a"),
        ("a.txt", b'[{"text": "one"}]\n', "is JSON, but not one object with a"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "line 1 of .* holds a lone surrogate"),
        ("a.gz", b"plain", "is no whole gzip file"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidValueError, match=message):
        read_passages(tmp_path / name)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"_id": null, "id": 7, "text": "one"}\n')
    assert read_passages(tmp_path / "a.jsonl") == [Passage("7", "", "one")]


def test_a_line_in_brackets_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("[1] Smith, A book\n")
    assert read_passages(tmp_path / "a.txt")[0].text == "[1] Smith, A book"


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as threads:
        threads.submit((tmp_path / "pipe").write_text, "one\n")
        assert read_passages(tmp_path / "pipe") == [Passage("1", "", "one")]


def test_a_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="There is no file"):
        read_passages(tmp_path)


def test_a_missing_file() -> None:
    with pytest.raises(InvalidValueError, match=r"There is no file 'nowhere.txt'"):
        read_passages(Path("nowhere.txt"))
