"""`rerank-plugins rank` on files and standard input."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.text import Text

from rerank_plugins import RankResult, Reranker, __version__
from rerank_plugins.cli.screen import console, print_ranking
from tests.cli.conftest import Run
from tests.texts import PHOTOSYNTHESIS, TRAPS


def test_standard_input_as_a_table(run: Run) -> None:
    done = run("rank", PHOTOSYNTHESIS, stdin="\n".join(TRAPS), COLUMNS="160")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "." in line]
    assert [place for line in lines for place, text in enumerate(TRAPS) if text in line] == [0, 3, 2, 1]
    assert "4 of 4 documents" in done.stdout


@pytest.mark.parametrize(("scores", "bars"), [((0.9, 0.1), 2), ((1.2, 0.9, -0.5), 0)])
def test_bars_are_drawn_for_all_scores_or_none(scores: tuple[float, ...], bars: int) -> None:
    results = [
        RankResult(index=place, score=each, raw_score=each, truncated=False) for place, each in enumerate(scores)
    ]
    with console.capture() as captured:
        print_ranking((result, Text("a text")) for result in results)
    assert sum("░" in line for line in captured.get().splitlines()) == bars


@pytest.mark.parametrize("dash", [(), ("-",)])
def test_standard_input_as_json(run: Run, dash: tuple[str, ...]) -> None:
    done = run("rank", PHOTOSYNTHESIS, *dash, "--json", "--top-n", 2, stdin="\n".join(TRAPS))
    answer = json.loads(done.stdout)
    with Reranker() as reranker:
        expected = reranker.rank(PHOTOSYNTHESIS, TRAPS, top_n=2)
    assert answer["query"] == PHOTOSYNTHESIS
    assert [(row["index"], row["score"], row["raw_score"]) for row in answer["results"]] == [
        (result.index, result.score, result.raw_score) for result in expected
    ]
    assert [row["text"] for row in answer["results"]] == [TRAPS[0], TRAPS[3]]
    assert answer["report"]["candidates"] == 4


def test_a_file_of_objects(run: Run, tmp_path: Path) -> None:
    rows = [{"_id": f"d{place}", "title": "T", "text": text} for place, text in enumerate(TRAPS)]
    (tmp_path / "documents.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = run("rank", PHOTOSYNTHESIS, tmp_path / "documents.jsonl", "--json")
    assert [row["id"] for row in json.loads(done.stdout)["results"]] == ["d0", "d3", "d2", "d1"]


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        (json.dumps(TRAPS, indent=2), ()),
        (json.dumps([{"body": text} for text in TRAPS], indent=2), ("--text-column", "body")),
        ("id,text\n" + "".join(f'{place},"{text}\n"\n' for place, text in enumerate(TRAPS)), ()),
        ("text\n" + "".join(f'"{text}"\n' for text in TRAPS), ("--format", "csv")),
        ("\n".join(TRAPS), ("--format", "lines")),
    ],
)
def test_other_formats_on_standard_input(run: Run, content: str, flags: tuple[str, ...]) -> None:
    done = run("rank", PHOTOSYNTHESIS, "--json", *flags, stdin=content)
    assert done.returncode == 0, done.stderr
    assert [row["text"].strip() for row in json.loads(done.stdout)["results"]] == [
        TRAPS[place] for place in (0, 3, 2, 1)
    ]


def test_a_model_by_flag_and_by_variable(run: Run, model_folder: Callable[[str], Path]) -> None:
    folder = model_folder("bert-onnx")
    by_flag = run("rank", "who", "--json", "--model", folder, "--max-length", 32, stdin="bread\nhamlet")
    by_variable = run("rank", "who", "--json", stdin="bread\nhamlet", RERANK_MODEL=str(folder), RERANK_MAX_LENGTH="32")
    results = [json.loads(done.stdout) for done in (by_flag, by_variable)]
    assert results[0]["results"] == results[1]["results"]
    assert results[0]["report"]["model"] == str(folder)


def test_an_instruction_by_variable(run: Run) -> None:
    done = run("rank", "q", stdin="a", RERANK_INSTRUCTION="find code")
    assert (done.returncode, "instruction has no place in what 'embedded' reads" in done.stderr) == (1, True)


@pytest.mark.parametrize("command", ["rank", "demo", "evaluate", "serve"])
def test_each_command_that_ranks_has_a_flag_for_an_instruction(run: Run, command: str) -> None:
    assert "--instruction" in run(command, "--help", COLUMNS="200").stdout


def test_text_is_not_markup(run: Run) -> None:
    done = run("rank", "what", stdin="[bold]bread[/bold] [/]\nhamlet [link=x]")
    assert done.returncode == 0, done.stderr
    assert "[bold]bread[/bold] [/]" in done.stdout


def test_documents_do_not_steer_the_terminal(run: Run) -> None:
    done = run("rank", "what", stdin="bread \x1b[31mred\x1b]0;title\x07")
    assert "\x1b[31mred" not in done.stdout
    assert "\x07" not in done.stdout


def test_a_terminal_without_utf_8(run: Run) -> None:
    for arguments in ((), ("--json",)):
        done = run("rank", "what", *arguments, stdin="bread é", PYTHONIOENCODING="ascii:surrogateescape")
        assert done.returncode == 0, done.stderr


def test_warnings_are_one_line(run: Run) -> None:
    done = run("rank", "苹果公司最新发布的功能", stdin="苹果发布会介绍新款和健康功能")
    assert done.stderr.startswith("Warning: 2 texts are in Chinese, which 'embedded' does not read")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("rank", " "), "a", "Error: query is empty or blank, got ' '."),
        (("rank", "q", "nowhere.txt"), "", "Error: There is no file 'nowhere.txt'."),
        (("rank", "q"), "", "Error: standard input contains no passages."),
        (("rank", "q"), '{\n  "text": "a",\n}', "Error: The JSON on line 1 of standard input is broken"),
        (("rank", "q", "--text-column", "body"), "a", "Error: standard input was read as plain lines"),
        (("rank", "q", "--format", "parquet"), "a", "Error: standard input is not a readable Parquet file"),
        (("rank", "q", "--model", "/no/model"), "a", "Error: There is no folder '/no/model'"),
        (("rank", "q", "--dtype", "int4"), "a", "Error: dtype must be one of"),
        (("rank", "q", "--instruction", "find code"), "a", "Error: instruction has no place in what 'embedded' reads"),
        (("rank", "q", "--instruction", " "), "a", "Error: instruction is empty or blank, got ' '."),
    ],
)
def test_errors_are_one_line_on_stderr(run: Run, arguments: tuple[str, ...], stdin: str, message: str) -> None:
    done = run(*arguments, stdin=stdin)
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_flag_is_a_usage_error(run: Run) -> None:
    done = run("rank", "q", "--top-n", 0, stdin="a")
    assert done.returncode == 2
    assert "--top-n" in done.stderr


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"rerank-plugins {__version__}\n"
    assert "demo" in run("--help").stdout
