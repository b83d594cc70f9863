"""`rerank-plugins rank`: rank the documents of a file, or of standard input."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.text import Text

from rerank_plugins.cli import options
from rerank_plugins.cli.screen import console, errors, print_json, print_ranking
from rerank_plugins.options import ModelOptions, ReadingOptions, RerankConfig, RuntimeOptions
from rerank_plugins.reading.passages import Format, Passage, parse_passages, read_passages
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList


@options.takes_config(ModelOptions, RuntimeOptions, ReadingOptions)
def rank(
    query: Annotated[str, typer.Argument(help="The query.")],
    file: Annotated[
        Path,
        typer.Argument(
            help="Documents: one per line, JSON, JSONL, CSV or Parquet, plain or gzip; - for standard input.",
            allow_dash=True,
        ),
    ] = Path("-"),
    file_format: Annotated[
        Format, typer.Option("--format", help="Format of the file. auto decides by its extension and content.")
    ] = Format.AUTO,
    text_column: Annotated[
        str | None, typer.Option(help="Column or JSON field that holds the text. Default: text.")
    ] = None,
    top_n: Annotated[int | None, typer.Option(min=1, help="How many documents to keep. Default: all.")] = None,
    score_threshold: Annotated[float | None, typer.Option(help="Minimum score to keep.")] = None,
    json: options.Json = False,
    *,
    config: RerankConfig,
) -> None:
    """Rank the documents of a FILE by relevance to the QUERY, best first."""
    if str(file) == "-":
        data = _read_standard_input(sys.stdin.buffer)
        passages = parse_passages(data, source="standard input", file_format=file_format, text_column=text_column)
    else:
        passages = read_passages(file, file_format=file_format, text_column=text_column)
    with Reranker.from_config(config) as reranker:
        texts = [passage.full_text for passage in passages]
        results = reranker.rank(query, texts, top_n=top_n, score_threshold=score_threshold)
    if json:
        print_json(_as_json(query, passages, results))
    else:
        _print(passages, results)


def _read_standard_input(stream: BinaryIO) -> bytes:
    if stream.isatty():
        errors.print("Reading documents from the keyboard, one per line; end with Ctrl-D.", style="dim")
    return stream.read()


def _as_json(query: str, passages: list[Passage], results: ReportedList[RankResult]) -> dict[str, object]:
    return {
        "query": query,
        "results": [
            {"id": passage.id, **asdict(result), "title": passage.title, "text": passage.text}
            for passage, result in ((passages[result.index], result) for result in results)
        ],
        "report": asdict(results.report),
    }


def _print(passages: list[Passage], results: ReportedList[RankResult]) -> None:
    print_ranking((result, Text(passages[result.index].full_text)) for result in results)
    report = results.report
    truncated = f", {report.truncated} truncated" if report.truncated else ""
    summary = f"{report.kept} of {report.candidates} documents, {report.tokens} tokens{truncated}"
    console.print(f"{summary}, {report.seconds * 1000:.0f} ms, {report.model} model", style="dim")
