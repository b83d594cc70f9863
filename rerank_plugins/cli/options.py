"""Flags that several commands share; those of the model are fields of `RerankConfig` and `RERANK_*` variables too."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from rerank_plugins.config import RerankConfig

TopN = Annotated[int, typer.Option(min=1, help="How many documents to keep.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]


def _flag(kind: Any, text: str) -> Any:
    return Annotated[kind | None, typer.Option(help=text, rich_help_panel="Model")]


MODEL: Mapping[str, Any] = {
    "model": _flag(str, "Folder, or name on the Hub; the embedded model without it."),
    "revision": _flag(str, "A branch, tag or commit of a name on the Hub."),
    "backend": _flag(str, "onnx, torch or auto."),
    "device": _flag(str, "cpu, cuda, cuda:1, mps or auto."),
    "dtype": _flag(str, "fp32, fp16, bf16 or auto."),
    "onnx_file": _flag(str, "Which .onnx file, where there are several."),
    "max_length": _flag(int, "Tokens a pair may have."),
    "long_documents": _flag(str, "truncate, or windows: read them whole, the best window counts."),
    "max_batch_tokens": _flag(int, "Tokens a batch may have with torch."),
    "num_threads": _flag(int, "Threads of the ONNX backend; all cores without it."),
}

# What only a process with many callers needs.
ENGINE: Mapping[str, Any] = {
    "max_queue": _flag(int, "Pairs of all callers that may wait; more are refused."),
    "fallback": _flag(str, "cpu: finish there what the device's memory cannot hold."),
    "cache": _flag(str, "memory, or a Redis URL: where scores are kept."),
}


def takes_config(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command flags for fields of `RerankConfig`, which it gets as one value, `config`.

    typer makes flags of a function's parameters and knows no groups of them, so that each command would repeat them.

    Args:
        names: Which of `MODEL` and `ENGINE`.

    Example:
        >>> @takes_config("model", "device")
        ... def show(*, config: RerankConfig) -> None:
        ...     print(config.device)
        >>> show(model=None, device="cpu")
        cpu
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            config = RerankConfig.from_env(**{name: given.pop(name) for name in names})
            command(**given, config=config)

        flags_of = {**MODEL, **ENGINE}
        signature = inspect.signature(command)
        own = [each for name, each in signature.parameters.items() if name != "config"]
        flags = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flags_of[name])
            for name in names
        ]
        run.__signature__ = signature.replace(parameters=[*own, *flags])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*own, *flags)}
        return run

    return decorate
