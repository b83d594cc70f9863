"""`rerank-plugins inspect`: what a model is, how it would be loaded, and whether its scores make sense."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from rerank_plugins.cli import options
from rerank_plugins.cli.screen import console, errors, plain, print_json
from rerank_plugins.errors import ImplausibleScoresWarning, UnreadableTextWarning
from rerank_plugins.models.inspection import Facts, Inspection, Reading, inspect_model
from rerank_plugins.models.sanity import PROBES, ProbeScores
from rerank_plugins.models.shown import Piece
from rerank_plugins.options import ModelOptions, RerankConfig, RuntimeOptions
from rerank_plugins.ranking.activations import choose_activation
from rerank_plugins.reranker import Reranker
from rerank_plugins.scores import ScoreScale

# What all of sentence-transformers' own modules begin with says nothing.
_OWN_MODULE = re.compile(r"(?<=\()sentence_transformers\.[\w.]*\.(?=\w+\))")
_STYLES = {"control": "cyan", "slot": "bold reverse", "text": ""}


@options.takes_config(ModelOptions, RuntimeOptions, without=("model",))
def inspect(
    model: Annotated[str, typer.Argument(help="Folder, or name on the Hub.")],
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Load the model, and score an answer, a related and an unrelated text.")
    ] = False,
    json: options.Json = False,
    *,
    config: RerankConfig,
) -> None:
    """Show what a MODEL is and how it would be loaded, without its weights. Exit code 1: it is refused."""
    config = replace(config, model=model)
    found = inspect_model(config)
    scores = _score_pairs(config) if pairs and found.refusal is None else []
    plausible = all(each.plausible for each in scores)
    if json:
        print_json(asdict(found) | {"pairs": [asdict(each) for each in scores], "plausible": plausible})
    else:
        _print(found)
        _print_pairs(scores)
    if found.refusal is not None or not plausible:
        raise typer.Exit(1)


def _score_pairs(config: RerankConfig) -> list[ProbeScores]:
    """Score the pairs in each language that the model reads."""
    scores = []
    warnings.simplefilter("ignore", UnreadableTextWarning)  # it decides which pairs count
    warnings.simplefilter("ignore", ImplausibleScoresWarning)  # what is printed says more
    with errors.status(f"Loading {config.model}"), Reranker.from_config(config) as reranker:
        for probe in PROBES:
            results = reranker.rank(probe.query, probe.documents)
            if not results.report.unreadable:
                by_place = {result.index: result.raw_score for result in results}
                answer, related, unrelated = (by_place[place] for place in range(3))
                scores.append(ProbeScores(probe, (answer, related, unrelated)))
    return scores


def _print(found: Inspection) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (*_facts(found.facts), *_reading(found.reading)):
        table.add_row(name, value if isinstance(value, Text) else plain(Text(value)))
    console.print(table)
    if found.refusal is not None:
        console.print(Text.assemble(("Refused: ", "bold red"), plain(Text(found.refusal))), soft_wrap=True)


def _facts(facts: Facts | None) -> Iterator[tuple[str, str]]:
    if facts is None:
        return
    yield "folder", facts.folder
    yield "architecture", f"{facts.architecture or 'none declared'} ({facts.model_type or 'no model_type'})"
    if facts.modules:
        yield "modules", " -> ".join(_OWN_MODULE.sub("", each) for each in facts.modules)
    yield "licence", facts.licence or "none declared"
    yield "weights", "not on this machine" if facts.weights_bytes is None else f"{facts.weights_bytes / 1e6:,.1f} MB"


def _reading(reading: Reading | None) -> Iterator[tuple[str, str | Text]]:
    if reading is None:
        return
    yield "loaded by", f"{reading.backend} on {reading.device}, dtype {reading.dtype}"
    yield "from", ", ".join(reading.weights) or "no weights"
    yield "saved as", reading.saved_dtype or "no dtype declared"
    yield "head", reading.head
    yield "raw score", reading.scale
    default, _ = choose_activation(None, ScoreScale(reading.scale))
    yield "activation", reading.activation or f"none declared, so {default}"
    positions = "no limit" if reading.max_tokens is None else f"{reading.max_tokens:,} at most"
    yield "tokens", f"{reading.max_length:,} by default, {positions}; {reading.prompt_tokens} beside query and document"
    yield "reads", _template(reading.template)
    if reading.query_prompt:
        yield "before a query", repr(reading.query_prompt)
    yield "instruction", _instruction(reading)
    yield "languages", ", ".join(reading.languages or ()) or "none declared"


def _instruction(reading: Reading) -> str:
    if not reading.takes_instruction:
        return "none: what it reads has no place for one"
    return "may be given; none by default" if reading.instruction is None else f"by default {reading.instruction!r}"


def _template(pieces: tuple[Piece, ...]) -> Text:
    """Show what is read: control tokens and slots in colour, line breaks as the two characters that stand for them."""
    shown = Text()
    for piece in pieces:
        text = f"{{{piece.text}}}" if piece.kind == "slot" else piece.text.replace("\n", "\\n\n")
        shown.append(plain(Text(text, style=_STYLES[piece.kind])))
    return shown


def _print_pairs(scores: list[ProbeScores]) -> None:
    for each in scores:
        console.print(Text(f"\n{each.probe.query}", style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for name, raw, text in zip(("answer", "related", "unrelated"), each.raw, each.probe.documents, strict=True):
            table.add_row(name, f"{raw:.4f}", text)
        console.print(table)
        verdict = (
            ("The answer is above the unrelated text, as it should be.", "green")
            if each.plausible
            else ("The unrelated text is not below the answer: the scores make no sense.", "bold red")
        )
        console.print(Text(*verdict))
