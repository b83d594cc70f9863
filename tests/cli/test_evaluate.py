"""`rerank-plugins evaluate` on a small judged collection."""

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.evaluation.conftest import write_dataset


def test_json_and_nothing_else(run: Run, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "tiny")
    done = run("evaluate", "--data", folder, "--data", folder, "--retriever", "bm25", "--top-n", 3, "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["datasets"]
    assert (first["name"], first["queries"]) == ("tiny", 3)
    assert set(first["before"]) == set(first["after"]) == {"nDCG@10", "RR@10", "R@3", "P@3"}
    assert first["after"] == second["after"]
    assert first["after"]["nDCG@10"] >= first["before"]["nDCG@10"]
    assert first["seconds"] > 0


def test_a_table_with_a_baseline_and_a_report(run: Run, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "tiny")
    report = tmp_path / "report"
    done = run(
        "evaluate", "--data", folder, "--baseline", "all-MiniLM-L6-v2", "--report", report, "--queries", 2, "--k", 10,
        XDG_CACHE_HOME=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(
        part in done.stdout for part in ("before", "after", "all-MiniLM-L6-v2 by cosine", "nDCG@10", "2 queries")
    )
    assert (report / "index.html").is_file()


def test_errors(run: Run, tmp_path: Path) -> None:
    done = run("evaluate", "--data", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no folder" in done.stderr
    assert run("evaluate").returncode == 2


def test_an_instruction_for_a_model_that_takes_none(run: Run, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "tiny")
    done = run("evaluate", "--data", folder, "--retriever", "bm25", "--instruction", "find code")
    assert (done.returncode, done.stdout) == (1, "")
    assert "instruction has no place in what 'embedded' reads" in done.stderr


def test_one_query_and_bad_judgements(run: Run, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "tiny")
    (folder / "candidates.jsonl").write_text('{"query_id": "q1", "doc_ids": ["d2", "d3", "d0"]}')
    (folder / "qrels.tsv").write_text("q1 0 d0 1\nq1 0 d99 1\n")
    arguments = ("evaluate", "--data", folder, "--retriever", "file")
    done = run(*arguments, "--json")
    assert json.loads(done.stdout)["datasets"][0]["p_value"] is None
    assert done.stderr.startswith("Warning: 1 of 2 relevant documents")
    assert "p = n/a" in run(*arguments).stdout
    (folder / "qrels.tsv").write_text("q1\td0\n")
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: Line 1 of")
