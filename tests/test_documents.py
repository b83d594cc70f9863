"""The code in README and docs runs and prints what they show, and their links work."""

import contextlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, anchors, followed, links, runnable
from tests.processors import agrees, rounded
from tests.service.test_serving import command

# Where documents expect the service.
ADDRESS = "http://127.0.0.1:8000"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curls(document: Path) -> list[tuple[str, str]]:
    """Its calls to the service whose output is shown."""
    found = followed(document, "bash", "json")
    return [(asked, shown) for asked, shown in found if asked.startswith("curl ") and shown is not None]


@pytest.fixture(scope="session")
def service_url() -> Iterator[str]:
    """The address on which `rerank-plugins serve` listens."""
    with command() as (_, url):
        yield url


@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if runnable(each)], ids=lambda each: str(each.relative_to(ROOT))
)
def test_python_blocks_print_what_is_shown(document: Path, request: pytest.FixtureRequest) -> None:
    names: dict[str, object] = {"round": rounded}
    for code, shown in runnable(document):
        here = code.replace(ADDRESS, request.getfixturevalue("service_url")) if ADDRESS in code else code
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(here, str(document), "exec"), names)
        if shown is not None:
            assert printed.getvalue() == shown


@needs_curl
@pytest.mark.parametrize("document", [each for each in DOCUMENTS if curls(each)], ids=lambda each: each.name)
def test_curl_gets_what_is_shown(document: Path, service_url: str) -> None:
    for asked, shown in curls(document):
        here = asked.replace(ADDRESS, service_url)
        done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)
        assert agrees(json.loads(done.stdout), json.loads(shown)), done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_scores_are_shown_through_round(document: Path) -> None:
    """So that the test above sees whether another processor would round them to another number."""
    assert not [code for code, shown in runnable(document) if shown and re.search(r"(score|logit)\S*:\.\df", code)]


def test_a_number_on_the_edge_is_not_shown() -> None:
    assert rounded(0.4947, 1) == 0.5
    with pytest.raises(AssertionError, match="may round to another number elsewhere"):
        rounded(0.4947, 2)
    with pytest.raises(AssertionError, match="may round to another number elsewhere"):
        rounded(3.26, 1)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in links(document):
        assert target.exists(), target
        if anchor:
            assert anchor in anchors(target), f"{target}#{anchor}"


def test_the_first_screen_shows_it_working() -> None:
    head = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    assert all(part in head for part in ("make demo", "make test", "Reranker()", "```text"))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_and_commands_exist(document: str) -> None:
    from typer.main import get_command

    from rerank_plugins.cli import app

    text = (ROOT / document).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`?make ([a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(re.findall(r"^rerank-plugins (\w+)", text, re.MULTILINE)) <= set(commands)


def test_the_architecture_names_every_module_of_the_top_floor() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for place in (ROOT / "rerank_plugins").iterdir():
        if place.name.startswith("_") or place.suffix not in ("", ".py") or place.name in ("embedded", "py.typed"):
            continue
        assert place.name in picture, place.name
