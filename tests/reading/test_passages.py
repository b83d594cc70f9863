"""Passages from files in every format, and the errors for what cannot be read."""

import gzip
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from rerank_plugins import InvalidValueError
from rerank_plugins.reading.passages import Format, Passage, parse_passages, read_passages

ONE_TWO = [Passage("1", "", "one"), Passage("2", "", "two")]


def parse(content: str | bytes, source: str = "standard input", **options: object) -> list[Passage]:
    return parse_passages(content.encode() if isinstance(content, str) else content, source=source, **options)


def texts(content: str | bytes, source: str = "standard input", **options: object) -> list[str]:
    return [passage.text for passage in parse(content, source, **options)]


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n  two {x}  \n")
    assert read_passages(tmp_path / "a.txt") == [Passage("1", "", "one"), Passage("3", "", "two {x}")]


@pytest.mark.parametrize(
    "line",
    [
        "[1] Smith, A book",
        "{x} is a set",
        "[[link]] of a wiki",
        "{{template}} of a wiki",
        "[ ] a task",
        "text, with commas, is text",
        '"To be," he said',
    ],
)
def test_a_line_that_only_resembles_another_format_is_a_line(line: str) -> None:
    assert texts(f"{line}\nanother line\n") == [line, "another line"]


def test_line_breaks_are_those_of_files() -> None:
    assert texts("one\r\ntwo\rthree\u2028still three\x0b\n") == ["one", "two", "three\u2028still three"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.ndjson", "a.txt"])
def test_objects(tmp_path: Path, name: str) -> None:
    rows = '{"_id": "p0", "title": "T", "text": "one"}\n\n{"id": 7, "text": ""}\n{"text": "é", "other": 1}\n'
    content = rows.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    passages = read_passages(tmp_path / name)
    assert passages == [Passage("p0", "T", "one"), Passage("7", "", ""), Passage("4", "", "é")]
    assert [passage.full_text for passage in passages] == ["T one", "", "é"]


@pytest.mark.parametrize(
    "content",
    [
        '["one", "two"]',
        '[\n  "one",\n  "two"\n]\n',
        '[{"text": "one"}, {"text": "two"}]',
        '\n[\n  {\n    "text": "one"\n  },\n  {"text": "two"}\n]',
        '{"text": "one"}\r\n{"text": "two"}\r\n',
    ],
)
def test_json_in_every_layout(content: str) -> None:
    assert parse(content) == ONE_TWO


def test_objects_spread_over_lines_as_jq_prints_them() -> None:
    content = '{\n  "text": "one"\n}\n{\n  "text": "two"\n}\n'
    assert parse(content) == [Passage("1", "", "one"), Passage("4", "", "two")]


def test_strings_one_a_line() -> None:
    assert parse('"one"\n"two"\n', "a.jsonl") == ONE_TWO


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("source", ["a.csv", "a.tsv", "standard input"])
def test_csv_with_quoted_line_breaks(delimiter: str, source: str) -> None:
    rows = [["id", "text", "title"], ["a", '"one,\nstill ""one"""', "T"], ["b", '"two;\t"', ""]]
    content = "\r\n".join(delimiter.join(row) for row in rows) + "\r\n\r\n"
    assert parse(content, source) == [Passage("a", "T", 'one,\nstill "one"'), Passage("b", "", "two;\t")]


def test_a_csv_cell_may_be_as_long_as_a_book() -> None:
    assert texts(f"id,text\n1,{'x' * 200_000}\n") == ["x" * 200_000]


@pytest.mark.parametrize("source", ["a.parquet", "standard input"])
def test_parquet(source: str) -> None:
    file = io.BytesIO()
    parquet.write_table(pa.table({"id": [7, 8], "text": ["one", "two"], "n": [0.5, None]}), file)
    assert parse(file.getvalue(), source) == [Passage("7", "", "one"), Passage("8", "", "two")]


@pytest.mark.parametrize(
    "content", ["id,title,body\n7,T,one\n", '[{"id": 7, "title": "T", "body": "one", "text": "other"}]']
)
def test_a_text_column_by_another_name(content: str) -> None:
    assert parse(content, text_column="body") == [Passage("7", "T", "one")]


def test_the_title_as_the_text_is_read_once() -> None:
    assert parse("id,title\n7,one\n", text_column="title") == [Passage("7", "", "one")]


def test_the_format_can_be_forced() -> None:
    assert texts('{"text": "one"}\n[', "a.jsonl", file_format=Format.LINES) == ['{"text": "one"}', "["]
    assert texts("text\none\n", file_format=Format.CSV) == ["one"]
    assert texts('"one"\n"two"', file_format=Format.JSONL) == ["one", "two"]


def test_encodings_of_windows(tmp_path: Path) -> None:
    content = '{"_id": null, "id": 7, "text": "é"}\r\n'
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "a.jsonl").write_bytes(content.encode(encoding))
        assert read_passages(tmp_path / "a.jsonl") == [Passage("7", "", "é")]


def test_gzip_is_recognised_by_its_content() -> None:
    assert texts(gzip.compress(b"one\ntwo\n")) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "contains no passages. Write one per line"),
        ("a.txt", b"\n \n", "contains no passages"),
        ("a.json", b"[]", "contains no passages"),
        ("a.csv", b"id,text\n", "contains no passages"),
        ("a.txt", b"ok\n\xff\n", "is not UTF-8: invalid start byte at byte 3, on line 2"),
        ("a.txt", b"x" * 20_000 + b"\n\xe9t\xe9\n", "is not UTF-8: .* at byte 20001, on line 2"),
        ("a.txt", b"PK\x03\x04\x00\x00", "is a binary file"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "The JSON on line 2 of .* is broken: Expecting value"),
        ("a.txt", b'{"text": "a"\n{"text": "b"}\n', "The JSON on line 1 of .* is broken.*format 'lines'"),
        ("a.txt", b'{\n  "text": "a",\n}\n', "The JSON on line 1 of .* is broken"),
        ("a.txt", b'[\n  "a",\n  "b"\n', "The JSON on line 1 of .* is broken"),
        ("a.json", b"[" * 100_000, "The JSON on line 1 of .* is broken"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"body": "b"}\n',
            "Line 2 of .* has no string 'text', it has: 'body'.*--text-column",
        ),
        ("a.json", b'[{"text": null}]', "Item 1 of .* has no string 'text'"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', r"Line 2 of .* is neither a string nor an object with a 'text': \[1\]"),
        ("a.json", b"[1, 2]", "Item 1 of .* is neither a string nor an object"),
        ("a.jsonl", b'{"_id": 1.5, "text": "a"}', "The id on line 1 of .* must be a string or a whole number, got 1.5"),
        ("a.csv", b"id,body\n1,a\n", "Line 2 of .* has no string 'text', it has: 'id', 'body'"),
        ("a.csv", b"id,text\n1,a,b\n", "Line 2 of .* has 3 cells, but the header has 2"),
        ("a.csv", b'id,text\n1,"a\nb\n', "The CSV row on line 2 of .* is broken"),
        ("a.csv", b"text,text\na,b\n", "has two columns named 'text'"),
        ("a.parquet", b"no parquet", "is not a readable Parquet file"),
        ("a.gz", gzip.compress(b"one\n" * 9999, mtime=0)[:-20], "is a damaged or incomplete gzip file"),
        ("a.gz", b"plain", "is not a gzip file, although its name ends in .gz"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidValueError, match=message):
        read_passages(tmp_path / name)


def test_lines_have_no_columns() -> None:
    with pytest.raises(InvalidValueError, match="was read as plain lines, which have no column 'body'"):
        parse("one\ntwo\n", text_column="body")


def test_ids_that_repeat(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"_id": "a", "text": "one"}\n\n{"_id": "a", "text": "two"}\n')
    assert len(read_passages(tmp_path / "a.jsonl")) == 2
    with pytest.raises(InvalidValueError, match="has the id 'a' twice, on line 1 and on line 3"):
        read_passages(tmp_path / "a.jsonl", unique_ids=True)


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as threads:
        threads.submit((tmp_path / "pipe").write_text, "one\n")
        assert read_passages(tmp_path / "pipe") == [Passage("1", "", "one")]


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="There is no file"):
        read_passages(tmp_path)


def test_a_missing_file() -> None:
    with pytest.raises(InvalidValueError, match=r"There is no file 'nowhere.txt'"):
        read_passages(Path("nowhere.txt"))


def test_half_characters_become_replacement_characters(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "The pump \\ud835 must be primed."}\n')
    assert read_passages(tmp_path / "a.jsonl")[0].text == "The pump \ufffd must be primed."
