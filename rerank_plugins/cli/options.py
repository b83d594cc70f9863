"""Flags that several commands share; those of the model are fields of `RerankConfig` and `RERANK_*` variables too."""

from typing import Annotated

import typer

_MODEL = "Model"

Model = Annotated[
    str | None,
    typer.Option(help="Folder, or name on the Hub; the embedded model without it.", rich_help_panel=_MODEL),
]
Backend = Annotated[str | None, typer.Option(help="onnx, torch or auto.", rich_help_panel=_MODEL)]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps or auto.", rich_help_panel=_MODEL)]
Dtype = Annotated[str | None, typer.Option(help="fp32, fp16, bf16 or auto.", rich_help_panel=_MODEL)]
MaxLength = Annotated[int | None, typer.Option(help="Tokens a pair may have.", rich_help_panel=_MODEL)]
OnnxFile = Annotated[
    str | None, typer.Option(help="Which .onnx file, where there are several.", rich_help_panel=_MODEL)
]
TopN = Annotated[int, typer.Option(min=1, help="How many documents to keep.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
