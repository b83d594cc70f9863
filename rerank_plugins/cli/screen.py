"""What the commands print: results on stdout, everything else on stderr."""

import json
import re
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rerank_plugins.results import RankResult

# All control characters but tab and line feed (ECMA-48, C0 and C1).
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print one JSON object on one line of stdout."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(value, ensure_ascii=not unicode) + "\n")
    sys.stdout.flush()


def progress(unit: str) -> Progress:
    """Make a progress bar on stderr that disappears when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


def print_ranking(documents: Iterable[tuple[RankResult, Text]]) -> None:
    """Print ranked documents, best first, with where each stood before."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("rank", justify="right")
    table.add_column("was", justify="right")
    table.add_column("move")
    table.add_column("score")
    table.add_column("document")
    ranked = list(documents)
    bars = all(0.0 <= result.score <= 1.0 for result, _ in ranked)
    for rank, (result, text) in enumerate(ranked, start=1):
        was = result.index + 1
        cut = Text(" [truncated]", style="yellow") if result.truncated else Text()
        table.add_row(str(rank), str(was), _move(was, rank), _score(result.score, bar=bars), plain(text) + cut)
    console.print(table)


def plain(text: Text) -> Text:
    """Replace control characters of a document, which could control the terminal."""
    shown = text.copy()
    shown.plain = _CONTROL.sub("\ufffd", text.plain)
    return shown


def _score(score: float, *, bar: bool, width: int = 10) -> Text:
    """Show a score, with a bar where all of a list lie between 0 and 1: others would contradict their bars."""
    if not bar:
        return Text(f"{score:.3f}")
    filled = round(score * width)
    return Text.assemble(("█" * filled, "green"), ("░" * (width - filled), "dim"), f" {score:.3f}")


def _move(before: int, after: int) -> Text:
    """Show how far a document moved, from its rank before to its rank after."""
    if before == after:
        return Text("=", style="dim")
    return Text(f"▲ {before - after}", style="green") if before > after else Text(f"▼ {after - before}", style="red")
