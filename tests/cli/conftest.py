"""Run the command line as a user would: in a separate process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `rerank-plugins` with arguments, and with standard input if given."""

    def command(*arguments: object, stdin: str | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "rerank_plugins", *map(str, arguments)],
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            env=os.environ | {"COLUMNS": "100"} | environment,
            timeout=600,
            check=False,
        )

    return command
