"""What README and docs say runs, prints what they show, and points at what is there."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(ROOT.glob("[!.]*/README.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md")), *FOLDERS]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(document: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a document, in order: language and content."""
    return BLOCK.findall(document.read_text(encoding="utf-8"))


def runnable(document: Path) -> list[tuple[str, str | None]]:
    """Its Python blocks, each with the text block that follows it; not those that name what is not here."""
    found = blocks(document)
    following = [*found, ("", "")][1:]
    return [
        (code, after[1] if after[0] == "text" else None)
        for (language, code), after in zip(found, following, strict=True)
        if language == "python" and "BAAI/" not in code
    ]


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if runnable(each)], ids=lambda each: each.name)
def test_python_blocks_print_what_is_shown(document: Path) -> None:
    names: dict[str, object] = {}
    for code, shown in runnable(document):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(document), "exec"), names)
        if shown is not None:
            assert printed.getvalue() == shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


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
