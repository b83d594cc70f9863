"""`rerank-plugins export`: export a cross-encoder to an ONNX folder that loads without torch."""

import logging
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from rerank_plugins.cli import options
from rerank_plugins.cli.screen import console, errors, print_json
from rerank_plugins.options import ModelOptions, ReadingOptions, RerankConfig
from rerank_plugins.options.declaration import options_of
from rerank_plugins.reranker import Reranker

if TYPE_CHECKING:
    from rerank_plugins.exporting.agreement import Agreement


class Precision(StrEnum):
    """Precisions that weights can be quantized to."""

    INT8 = "int8"


# An export reads pairs only to compare, and then as long as is asked for.
_UNUSED = ("model", "onnx_file", *(each.name for each in options_of(ReadingOptions) if each.name != "max_length"))


@options.takes_config(ModelOptions, ReadingOptions, without=_UNUSED)
def export(
    model: Annotated[str, typer.Argument(help="Folder, or name on the Hub.")],
    folder: Annotated[Path, typer.Argument(help="Target folder; new or empty.")],
    quantize: Annotated[Precision | None, typer.Option(help="Quantize the weights. Default: fp32.")] = None,
    verify: Annotated[
        Path | None,
        typer.Option(help='Compare both models on a file with {"query": ..., "documents": [...]} lines.'),
    ] = None,
    json: options.Json = False,
    *,
    config: RerankConfig,
) -> None:
    """Export a cross-encoder to FOLDER as optimised ONNX: Reranker(FOLDER) runs it on the CPU without torch."""
    from rerank_plugins.exporting.agreement import compare, read_candidates
    from rerank_plugins.exporting.exporter import export as export_model

    lists = None if verify is None else read_candidates(verify)
    config = replace(config, model=model)
    logging.disable(logging.WARNING)  # onnxruntime's advice on its own calls
    with errors.status(f"Exporting {model}"):
        export_model(config, folder, int8=quantize is Precision.INT8)
    size = sum(file.stat().st_size for file in folder.iterdir())
    agreement: Agreement | None = None
    if lists is not None:
        with (
            errors.status("Comparing it with the original"),
            Reranker.from_config(replace(config, backend="torch", device="cpu", instruction=None)) as original,
            Reranker(folder, max_length=config.max_length) as exported,
        ):
            agreement = compare(original, exported, lists)
    if json:
        print_json(
            {"folder": str(folder), "bytes": size, "agreement": None if agreement is None else asdict(agreement)}
        )
        return
    console.print(f"{folder}: {size / 1e6:,.1f} MB. Load it with Reranker({str(folder)!r}).", soft_wrap=True)
    if agreement is not None:
        _print(agreement)


def _print(agreement: "Agreement") -> None:
    console.print(f"\nCompared with the original, on {agreement.lists:,} lists with {agreement.pairs:,} pairs:")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in (
        ("same order (Kendall's tau)", agreement.kendall_tau),
        ("same first five", agreement.top_5_overlap),
        ("same first", agreement.same_first),
        ("largest logit difference", agreement.largest_difference),
        ("mean logit difference", agreement.mean_difference),
    ):
        table.add_row(name, f"{value:.4f}")
    console.print(table)
