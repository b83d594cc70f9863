"""The examples run as they are, and stay short."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_answers_its_question(script: Path) -> None:
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    best = done.stdout.splitlines()[0]
    assert best.startswith("0.9")
    assert "The first Nobel Prize in Physics was awarded" in best
    assert len([line for line in done.stdout.splitlines() if line.startswith("0.")]) == 5


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_is_one_idea_of_under_sixty_lines(script: Path) -> None:
    assert len(script.read_text().splitlines()) < 60
    assert f"]({script.name})" in (EXAMPLES / "README.md").read_text()
