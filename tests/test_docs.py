"""The site builds from docs/ without warnings, loads nothing from other hosts, and agrees with the code."""

import ast
import re
import subprocess
import sys
from dataclasses import fields
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import rerank_plugins
from rerank_plugins import RerankConfig, Reranker, RerankReport
from rerank_plugins.cli import app
from rerank_plugins.langchain import RerankCompressor
from rerank_plugins.llama_index import RerankPostprocessor
from rerank_plugins.monitoring import window
from rerank_plugins.options import ServiceSettings
from rerank_plugins.options.declaration import options_of
from rerank_plugins.service.errors import DisconnectedError
from rerank_plugins.service.metrics import Metrics
from rerank_plugins.service.refusals import STATUS
from tests.documents import DOCS, ROOT, blocks

PAGES = sorted(DOCS.glob("*.md"))
VARIABLES = {option.variable for option in (*options_of(ServiceSettings), *options_of(RerankConfig))}
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
FLAGS = {name: {flag for each in command.params for flag in each.opts} for name, command in COMMANDS.items()}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(name: str, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading, without the tables' own headings."""
    (section,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page(name), re.MULTILINE | re.DOTALL)
    return rows_in(section)


def rows_in(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {place + offset for place, line in enumerate(lines) if line.startswith("|---") for offset in (-1, 0)}
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for place, line in enumerate(lines)
        if place not in heads
    ]


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


class Sources(HTMLParser):
    """What a browser fetches automatically to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe"):
            self.found.append(values.get("src") or "")
        elif tag == "link" and values.get("rel") != "canonical":
            self.found.append(values.get("href") or "")


@pytest.mark.slow
def test_the_site_is_made_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = sorted(tmp_path.rglob("*.html"))
    assert len(made) > len(PAGES)
    for each in made:
        sources = Sources()
        sources.feed(each.read_text(encoding="utf-8"))
        assert not [source for source in sources.found if re.match(r"(https?:)?//", source)], each.name


@pytest.mark.parametrize("document", [*PAGES, ROOT / "README.md"], ids=lambda each: each.name)
def test_commands_flags_and_variables_are_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert {name.rstrip("_") for name in re.findall(r"\bRERANK_[A-Z_]+", text)} <= VARIABLES
    for command, rest in re.findall(r"rerank-plugins (\w+)([^\n`#]*)", text):
        assert command in COMMANDS
        assert set(re.findall(r"(--[a-z][a-z-]*)", rest)) <= FLAGS[command] | {"--help"}, command


@pytest.mark.parametrize("name", ["service.md", "tuning.md", "security.md", "troubleshooting.md", "own-questions.md"])
def test_flags_in_the_text_are_there(name: str) -> None:
    shown = {flag for cell in code_in(page(name)) for flag in re.findall(r"^(--[a-z][a-z-]*)", cell)}
    assert shown <= set.union(*FLAGS.values())


def test_the_settings_of_the_service_have_these_defaults() -> None:
    both = {option.name: option for config in (RerankConfig, ServiceSettings) for option in options_of(config)}
    for flags, defaults, *_ in rows("service.md", "Settings"):
        for flag, default in zip(code_in(flags), defaults.replace("`", "").split(", "), strict=True):
            value = both[flag.removeprefix("--").replace("-", "_")].default
            shown = {(): "none", None: "none", False: "off"}.get(value, value)
            assert str(shown).replace(".0", "") in (default, default.replace(",", "")) or shown == default, flag


def test_every_status_of_the_service_is_told() -> None:
    told = {int(status) for cells in rows("service.md", "Errors") for status in re.findall(r"\b[45]\d\d\b", cells[0])}
    assert told == {*STATUS.values()} - {STATUS[DisconnectedError]}


def test_every_metric_is_told_and_no_other() -> None:
    metrics = Metrics()
    ranked = Reranker().rank("who", ["a", "b"])
    metrics.observe("/rerank", 200, 0.1, ranked.report)
    names = re.findall(r"^# TYPE (\S+) (?!gauge$)\w+$", metrics.text().decode(), re.MULTILINE)
    served = {name for name in names if not name.endswith("_created")} | {"rerank_in_flight", "rerank_ready"}
    told = {name for cells in rows("monitoring.md", "Prometheus") for name in code_in(cells[0])}
    assert told == served


def test_every_field_of_a_report_is_told() -> None:
    cells = [name for row in rows("monitoring.md", "The report") for name in code_in("".join(row))]
    assert {field.name for field in fields(RerankReport)} <= set(cells)


@pytest.mark.parametrize(
    ("rule", "when"),
    [
        ("fails", f"{window._MANY_FAILED:.0%}"),
        ("changes_nothing", f"{window._SAME_ORDER} or more, and the first stays in {window._SAME_FIRST:.0%}"),
        ("cuts_documents", f"{window._MANY_CUT:.0%}"),
        ("keeps_nothing", f"{window._MANY_EMPTY:.0%}"),
        ("cannot_read", f"{window._MANY_UNREADABLE:.0%}"),
        ("waits_long", "half of the median"),
    ],
)
def test_the_rules_of_advice_speak_when_they_are_said_to(rule: str, when: str) -> None:
    told = {code_in(cells[0])[0]: cells[1].replace(" %", "%") for cells in rows("monitoring.md", "Advice")}
    assert set(told) == {each.__name__.removeprefix("_") for each in window._RULES}
    assert when in told[rule]


def test_the_window_waits_for_as_many_calls_as_is_said() -> None:
    assert f"once there are {window.MIN_CALLS} calls" in page("monitoring.md")


@pytest.mark.parametrize(
    ("name", "adapter"), [("langchain.md", RerankCompressor), ("llama-index.md", RerankPostprocessor)]
)
def test_options_of_the_adapters_are_told_with_their_defaults(name: str, adapter: type) -> None:
    told = {code_in(cells[0])[0]: cells[1].strip("`") for cells in rows(name, "Options")}
    own = set(adapter.model_fields) - {field.name for field in fields(RerankConfig)} - {"callback_manager"}
    assert set(told) == own
    for option, default in told.items():
        value = adapter.model_fields[option].default
        if isinstance(value, Enum):
            assert default == f"{type(value).__name__}.{value.name}"
        else:
            assert default.replace('"', "'") == repr(value)


def test_new_lines_of_the_migration_run() -> None:
    names: dict[str, Any] = {"NAME": None, "pairs": [("who", "a")]}
    exec("".join(code for language, code in blocks(DOCS / "migrating.md") if language == "python"), names)
    made = [eval(code_in(cells[2])[0], names) for cells in rows_in(page("migrating.md").split("\n## ")[0])]
    assert [type(each) for each in made if not isinstance(each, list)] == [
        RerankCompressor,
        RerankPostprocessor,
        RerankCompressor,
        RerankCompressor,
    ]
    assert [len(each) for each in made if isinstance(each, list)] == [len(names["pairs"])]


def test_the_api_page_has_every_public_name() -> None:
    told = set(re.findall(r"^::: rerank_plugins\.([\w.]+)$", page("api.md"), re.MULTILINE))
    for name in set(rerank_plugins.__all__) - {"__version__"}:
        assert name in told or hasattr(rerank_plugins.errors, name), name


def test_messages_are_those_of_the_library() -> None:
    known = [re.compile(pattern, re.DOTALL) for pattern in messages(ROOT / "rerank_plugins")]
    shown = [content for language, content in blocks(DOCS / "troubleshooting.md") if language == "console"]
    assert len(shown) > 10
    for message in (each for each in shown if "tf-keras" not in each):  # that one is another library's
        words = re.sub(r"^(\w*Error|\w+Warning): ", "", " ".join(message.split()))
        assert any(pattern.fullmatch(words) for pattern in known), words


def messages(folder: Path) -> set[str]:
    """A pattern for every string in the package; replacement fields match anything."""
    return {
        pattern
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (pattern := pattern_of(node)) is not None and len(pattern) > 40
    }


def pattern_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(pattern_of(each) or ".+?" for each in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[sd]", ".+?", re.escape(" ".join(node.value.split(" "))))
    return None
