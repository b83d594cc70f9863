"""The command line: `rerank-plugins demo | rank | inspect | evaluate | export | serve`."""

import sys
import warnings
from io import TextIOWrapper
from typing import Annotated

import typer
from rich.text import Text

from rerank_plugins import __version__
from rerank_plugins.cli import demo, evaluate, export, inspect, rank, serve
from rerank_plugins.cli.screen import errors
from rerank_plugins.errors import RerankError

app = typer.Typer(
    help="Rerank what a retriever found, with a cross-encoder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(rank.rank)
app.command()(inspect.inspect)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.command()(serve.serve)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rerank-plugins {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command; expected errors end it with one line on stderr and status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals without UTF-8
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8")
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # it looks at the message alone
    try:
        app()
    except (RerankError, OSError) as error:
        _print_line("Error: ", "bold red", str(error))
        sys.exit(1)


def _show_warning(message: Warning | str, *_: object) -> None:
    _print_line("Warning: ", "bold yellow", str(message))


def _print_line(kind: str, style: str, message: str) -> None:
    # As Text, not markup: "[demo]" in a message is not a style.
    errors.print(Text.assemble((kind, style), message), soft_wrap=True)
