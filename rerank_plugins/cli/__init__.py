"""The command line: `rerank-plugins demo | rank | evaluate`."""

import sys
from typing import Annotated

import typer
from rich.text import Text

from rerank_plugins import __version__
from rerank_plugins.cli import demo, evaluate, rank
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
app.command()(evaluate.evaluate)


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
    """Run a command; what goes wrong on purpose ends it with one line and status 1."""
    try:
        app()
    except RerankError as error:
        # As Text: the message is no markup, and "[demo]" in it is not a style.
        errors.print(Text.assemble(("Error: ", "bold red"), str(error)), soft_wrap=True)
        sys.exit(1)
