"""The wheel in an empty environment, without extras."""

import json
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[1]
LIMIT = 25 * 1024 * 1024

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and its dependencies, at the versions of constraints.txt."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    install = [interpreter, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, capture_output=True)
    return interpreter


@pytest.fixture
def run(python: Path, tmp_path: Path) -> Run:
    """Run a command of that environment outside the clone; a PYTHONPATH that leads back into it is ignored (-I)."""

    def command(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        options = {"capture_output": True, "text": True, "cwd": tmp_path, "timeout": 600, "check": False}
        return subprocess.run([str(python), "-I", *arguments], input=stdin, **options)

    return command


def test_it_holds_the_model_within_the_limit_and_nothing_that_is_not_the_package(wheel: Path) -> None:
    assert wheel.stat().st_size <= LIMIT
    names = zipfile.ZipFile(wheel).namelist()
    model = [f"embedded/{name}" for name in ("model.onnx", "tokenizer.json", "config.json", "MODEL_CARD.md")]
    for needed in (*model, "py.typed"):
        assert f"rerank_plugins/{needed}" in names
    assert {name.split("/")[0] for name in names} == {"rerank_plugins", names[-1].split("/")[0]}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_base_install_reranks(run: Run) -> None:
    script = (
        "from rerank_plugins import Reranker; "
        "print([r.index for r in Reranker().rank('who wrote hamlet', ['Bread.', 'Shakespeare wrote Hamlet.'])])"
    )
    assert run("-c", script).stdout == "[1, 0]\n"


def test_the_base_installs_command_line(run: Run) -> None:
    done = run("-m", "rerank_plugins", "rank", "who wrote hamlet", "--json", stdin="Bread.\nShakespeare wrote Hamlet.")
    assert [row["index"] for row in json.loads(done.stdout)["results"]] == [1, 0]


def test_the_demo_outside_a_clone_says_what_it_needs(run: Run, tmp_path: Path) -> None:
    done = run("-m", "rerank_plugins", "demo")
    assert done.returncode == 1
    assert "Run it in a clone, or pass your own passages with --corpus FILE." in done.stderr
    (tmp_path / "passages.txt").write_text("Bread is baked.")
    done = run("-m", "rerank_plugins", "demo", "--corpus", "passages.txt")
    assert "Install it with: pip install 'rerank-plugins[demo]'" in done.stderr


@pytest.mark.parametrize(
    ("statement", "extra"),
    [
        ("import rerank_plugins.langchain", "langchain"),
        ("import rerank_plugins.llama_index", "llama-index"),
        ("import rerank_plugins.retrieval.index", "faiss"),
        (
            (
                "import pathlib, tempfile; from rerank_plugins import Reranker; "
                "folder = pathlib.Path(tempfile.mkdtemp()); (folder / 'model.safetensors').touch(); "
                "Reranker(folder, backend='torch')"
            ),
            "torch",
        ),
    ],
)
def test_what_an_extra_brings_is_named(run: Run, statement: str, extra: str) -> None:
    assert f"Install it with: pip install 'rerank-plugins[{extra}]'" in run("-c", statement).stderr
