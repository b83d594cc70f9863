"""`rerank-plugins rank`: order the lines or JSONL documents of a file, or of standard input."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.text import Text

from rerank_plugins.cli import options
from rerank_plugins.cli.screen import console, errors, print_json, print_ranking
from rerank_plugins.options import ModelOptions, ReadingOptions, RerankConfig, RuntimeOptions
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.retrieval.passages import Passage, parse_passages, read_passages


@options.takes_config(ModelOptions, RuntimeOptions, ReadingOptions)
def rank(
    query: Annotated[str, typer.Argument(help="What to rank by.")],
    file: Annotated[
        Path, typer.Argument(help="Documents, one a line or JSONL with a text; - for standard input.", allow_dash=True)
    ] = Path("-"),
    top_n: Annotated[int | None, typer.Option(min=1, help="How many to keep; all without it.")] = None,
    score_threshold: Annotated[float | None, typer.Option(help="Keep only scores from it on.")] = None,
    json: options.Json = False,
    *,
    config: RerankConfig,
) -> None:
    """Rank the documents of a FILE by relevance to the QUERY, best first."""
    passages = _read_standard_input(sys.stdin) if str(file) == "-" else read_passages(file)
    with Reranker.from_config(config) as reranker:
        texts = [passage.full_text for passage in passages]
        results = reranker.rank(query, texts, top_n=top_n, score_threshold=score_threshold)
    if json:
        print_json(_as_json(query, passages, results))
    else:
        _print(passages, results)


def _read_standard_input(stream: TextIO) -> list[Passage]:
    if stream.isatty():
        errors.print("Reading documents from the keyboard, one a line; end with Ctrl-D.", style="dim")
    return parse_passages(stream, source="standard input")


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
    cut = f", {report.truncated} cut" if report.truncated else ""
    summary = f"{report.kept} of {report.candidates} documents, {report.tokens} tokens{cut}"
    console.print(f"{summary}, {report.seconds * 1000:.0f} ms, {report.model} model", style="dim")
