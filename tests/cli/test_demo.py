"""`rerank-plugins demo` with the real passages and the real index."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.texts import PHOTOSYNTHESIS, TRAPS


@pytest.mark.slow
def test_the_first_nobel_prize_in_physics(run: Run) -> None:
    done = run("demo", "--json", "who got the first nobel prize in physics")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert set(answer) == {"query", "retrieved", "reranked", "seconds"}
    assert [row["rank"] for row in answer["retrieved"]] == list(range(1, 51))
    assert all(set(row) == {"id", "rank", "score"} for row in answer["retrieved"])
    scores = [row["score"] for row in answer["retrieved"]]
    assert scores == sorted(scores, reverse=True)
    assert [row["rank"] for row in answer["reranked"]] == [1, 2, 3, 4, 5]
    for row in answer["reranked"]:
        assert set(row) == {"id", "rank", "retrieved_rank", "score", "text"}
        assert answer["retrieved"][row["retrieved_rank"] - 1]["id"] == row["id"]
    assert "Röntgen" in answer["reranked"][0]["text"]
    assert set(answer["seconds"]) == {"embed", "retrieve", "rerank"}


@pytest.mark.slow
def test_it_is_the_default_question_and_people_can_read_it(run: Run) -> None:
    done = run("demo")
    assert "who got the first nobel prize in physics" in done.stdout
    assert "FAISS found 50, the cross-encoder kept 5." in done.stdout
    assert "Röntgen" in done.stdout
    assert all(stage in done.stdout for stage in ("embed", "retrieve", "rerank"))
    assert "Traceback" not in done.stderr


def test_passages_and_questions_of_ones_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "passages.txt").write_text("\n".join(TRAPS))
    (tmp_path / "questions.txt").write_text(f"{PHOTOSYNTHESIS}\nWhat are the side effects of aspirin?\n")
    files = ("--corpus", tmp_path / "passages.txt", "--questions", tmp_path / "questions.txt")
    done = run("demo", *files, "--json", "--top-n", 2, XDG_CACHE_HOME=str(tmp_path))
    first, second = map(json.loads, done.stdout.splitlines())
    assert [row["text"] for row in first["reranked"]] == [TRAPS[0], TRAPS[3]]
    assert second["reranked"][0]["text"] == TRAPS[1]
    assert len(first["retrieved"]) == len(TRAPS)
    assert any((tmp_path / "rerank-plugins" / "faiss").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "q", "--questions", "f"), "QUESTION and --questions were both given"),
        (("demo", "--corpus", "nowhere.txt"), "There is no file 'nowhere.txt'"),
        (("demo", " "), "query is empty or blank"),
        (("demo", "q", "--model", "/no/model"), "There is no folder '/no/model'"),
        (("demo", "q", "--instruction", "find code"), "instruction has no place in what 'embedded' reads"),
    ],
)
def test_errors_come_before_the_work(run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments, XDG_CACHE_HOME=str(tmp_path))
    assert not (tmp_path / "rerank-plugins").exists(), "there is no index yet"
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == ""
