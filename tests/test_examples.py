"""The examples do what their docstrings say, name a missing extra in one line, and stay short."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from rerank_plugins import RerankConfig
from rerank_plugins.options.service import ServiceSettings
from tests.caching.test_caches import Server
from tests.service.conftest import running

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.sh")])
FIRST_PRIZE = "The first Nobel Prize in Physics was awarded"

Run = Callable[..., list[str]]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example as `python examples/NAME.py` would, in this process, and return the lines it prints."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def begin(name: str, *arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return begin


def command(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a user does."""
    return subprocess.run(
        [*map(str, arguments)], env={**os.environ, **environ}, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a service with the embedded model."""
    with running(ServiceSettings(), RerankConfig()) as service:
        yield service.url


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_an_example_is_short_and_listed_and_says_how_to_run_it(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert f"]({script.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"(python|sh) examples/{script.name}\b", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["langchain_rag", "llama_index_query_engine"])
def test_the_best_of_fifty_passages_answers_the_question(run: Run, name: str) -> None:
    lines = run(name)
    assert FIRST_PRIZE in lines[0]
    scores = [float(line.split()[0]) for line in lines if line.startswith("0.")]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    (words,) = re.findall(r"The LLM would read (\d+) words", "\n".join(lines))
    assert 200 < int(words) < 1500
    assert "OPEC" in run(name, "how", "many", "countries", "are", "a", "part", "of", "opec")[0]


@pytest.mark.slow
def test_questions_at_once_get_the_answers_that_they_get_alone(run: Run) -> None:
    lines = run("langchain_async")
    assert "Nobel laureates in Physics" in lines[0]
    assert len([line for line in lines if line.startswith("0.")]) == 5
    assert lines[-1] == "The results are the same."


@pytest.mark.slow
def test_each_message_of_a_chat_has_its_own_passages(run: Run) -> None:
    lines = run("llama_index_chat_engine")
    assert FIRST_PRIZE in lines[1]
    assert [line.startswith("  0.") for line in lines[:8]] == [False, True, True, True] * 2
    assert "OPEC" in lines[5]
    assert lines[-1] == "The conversation has 4 messages."


def test_no_keyword_trap_is_first(run: Run) -> None:
    text = "\n".join(run("keyword_traps"))
    firsts = re.findall(r"was\n +\S+ +\S+ +\d+  (.*)", text)
    assert [first.split()[0:2] for first in firsts] == [
        ["Photosynthesis", "uses"],
        ["Aspirin", "can"],
        ["Apple", "Intelligence"],
    ]


def test_a_model_that_is_not_there_is_one_line_and_an_exit_code(run: Run, tmp_path: Path) -> None:
    script, nowhere = EXAMPLES / "mixed_languages.py", str(tmp_path)
    done = command(sys.executable, script, HF_HUB_OFFLINE="1", HF_HOME=nowhere, HF_HUB_CACHE=nowhere)
    assert done.returncode == 1
    assert done.stdout == ""
    needs, _, remedy = done.stderr.partition(": ")
    assert needs == "This example needs the model 'BAAI/bge-reranker-v2-m3'"
    assert remedy == "run it with network access, or pass a local folder.\n"
    with pytest.raises(SystemExit, match=r"^This example needs the model '/no/such/folder': run it .+ local folder\.$"):
        run("migrating_llama_index", "/no/such/folder")


def test_mixed_languages_are_ranked_by_any_multilingual_model(run: Run, model_folder: Callable[[str], Path]) -> None:
    lines = run("mixed_languages", model_folder("xlm-roberta"))
    assert [line.startswith("  ") for line in lines] == [False, *[True] * 5] * 2


@pytest.mark.hub
def test_the_passages_about_ai_are_first_in_either_language(run: Run) -> None:
    lines = run("mixed_languages")
    assert all("Apple Intelligence" in line for line in (*lines[1:3], *lines[7:9]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_one_line_and_an_exit_code(run: Run) -> None:
    with pytest.raises(SystemExit, match=r"^This example needs a GPU, but torch found none\.$"):
        run("gpu_fp16")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_half_precision_keeps_the_order(run: Run, model_folder: Callable[[str], Path]) -> None:
    lines = run("gpu_fp16", model_folder("bert"))
    assert [line[:4] for line in lines[:2]] == ["fp32", "fp16"]


@pytest.mark.slow
def test_the_picture_of_who_moved_where(run: Run, tmp_path: Path) -> None:
    (line,) = run("who_moved", "who wrote the first declaration of human rights", tmp_path / "who-moved.png")
    assert re.match(r"The top 5 had FAISS ranks \d+, \d+, \d+, \d+, \d+\. ", line)
    assert (tmp_path / "who-moved.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.redis
def test_redis_answers_what_was_scored_before(run: Run, tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        first, second = run("redis_cache", server.url), run("redis_cache", server.url)
    finally:
        server.stop()
    counts = [[int(number) for number in re.findall(r"(\d+) (?:scored|from)", line)] for line in (*first, *second)]
    question, other = counts[0][0], counts[2][0]
    assert min(question, other) > 45  # of 50: identical passages are scored once
    assert counts[:3] == [[question, 0], [0, question], [other, 0]]
    assert counts[3:] == [[0, question], [0, question], [0, other]]


def test_no_redis_is_one_line_and_an_exit_code(run: Run) -> None:
    with pytest.raises(SystemExit, match=r"needs Redis, but nothing answers at redis://127.0.0.1:1/0. Start it"):
        run("redis_cache", "redis://127.0.0.1:1/0")


@pytest.mark.slow
@needs_curl
def test_all_clients_of_the_service_get_the_same_answer(url: str) -> None:
    request = json.loads((EXAMPLES / "data" / "request.json").read_text(encoding="utf-8"))
    done = command("sh", EXAMPLES / "service_curl.sh", url)
    assert done.returncode == 0, done.stderr
    plain, cohere = (json.loads(line)["results"] for line in done.stdout.splitlines())
    assert [each["index"] for each in plain] == [2, 1, 0]
    by_curl = [f"{each['relevance_score']:.3f}  {request['documents'][each['index']]}" for each in cohere]
    assert [f"{each['relevance_score']:.3f}  {each['document']}" for each in plain] == by_curl
    plainly = command(sys.executable, EXAMPLES / "service_python.py", url)
    assert plainly.stdout.splitlines() == by_curl, plainly.stderr
    sdk = command(sys.executable, EXAMPLES / "service_cohere.py", url)
    assert sdk.stdout.splitlines() == [*by_curl, "LangChain's CohereRerank: [2, 1, 0]"], sdk.stderr


@pytest.mark.parametrize("name", ["service_python", "service_cohere"])
def test_no_service_is_one_line_and_an_exit_code(run: Run, name: str) -> None:
    with pytest.raises(SystemExit, match=r"^This example needs a running service, but nothing answers at http://.+:1 "):
        run(name, "http://127.0.0.1:1")


@pytest.mark.slow
def test_langchains_reranker_and_ours_give_one_order(run: Run) -> None:
    lines = run("migrating_langchain")
    assert (lines[0], lines[6]) == ("CrossEncoderReranker", "RerankCompressor")
    texts = [line.split(maxsplit=2 if place < 6 else 1)[-1] for place, line in enumerate(lines[:12])]
    assert texts[1:6] == texts[7:12]
    assert "Nobel laureates in Physics" in lines[7]
    assert all(line.startswith("  no score") for line in lines[1:6])
    assert lines[-1] == "The order is the same."


@pytest.mark.slow
def test_fine_tuning_teaches_and_its_folder_ranks_alike_in_both_postprocessors(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = re.search(r"Reranker\('(.+)'\) ranks the answer first of 3 for (\d+) of 8 seen", run("fine_tuning")[-1])
    assert found
    assert int(found[2]) >= 6  # chance is one in three
    lines = run("migrating_llama_index", found[1])
    scores = [[float(number) for number in line.split()[:2]] for line in lines[:5]]
    assert all(ours == pytest.approx(theirs, abs=1e-3) for ours, theirs in scores)
    assert lines[-1] == "The order is the same."


@pytest.mark.slow
def test_the_window_finds_out_what_is_wrong(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    text = "\n".join(run("monitoring"))
    _, good, bad = text.split("max_length=")
    assert "No advice: nothing to change." in good
    assert re.search(r"\d+% of documents are truncated at 64 tokens", bad)
    assert re.search(r"The score threshold drops all documents in \d+% of calls", bad)
    assert [record.getMessage().partition(" in ")[0] for record in caplog.records if "reports" in record.name] == [
        "embedded kept 5 of 10 documents"
    ]


@pytest.mark.slow
@needs_curl
def test_no_service_is_curls_own_exit_code() -> None:
    assert command("sh", EXAMPLES / "service_curl.sh", "http://127.0.0.1:1").returncode == 7
