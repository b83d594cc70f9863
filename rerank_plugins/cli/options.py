"""Flags that several commands share; those of the model are fields of `RerankConfig` and `RERANK_*` variables too."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from rerank_plugins.options import RerankConfig

TopN = Annotated[int, typer.Option(min=1, help="How many documents to keep.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]


def flag(kind: Any, text: str, *, default: object = None, panel: str = "Model", name: str | None = None) -> Any:
    """Make a flag that is None where it was not given; its default stands in the help alone.

    Args:
        kind: Its type.
        text: What the help says.
        default: What holds without it, for the help.
        panel: Under which heading the help shows it.
        name: How it is written; None for the parameter's name. A switch without one has a --no- form too.
    """
    said = text if default is None else f"{text} Default: {default}."
    names = () if name is None else (name,)
    return Annotated[kind | None, typer.Option(*names, help=said, rich_help_panel=panel)]


def _of_config(kind: Any, name: str, text: str) -> Any:
    return flag(kind, text, default=getattr(RerankConfig, name))


MODEL: Mapping[str, Any] = {
    "model": flag(str, "Folder, or name on the Hub; the embedded model without it."),
    "revision": flag(str, "A branch, tag or commit of a name on the Hub."),
    "backend": _of_config(str, "backend", "onnx, torch or auto."),
    "device": _of_config(str, "device", "cpu, cuda, cuda:1, mps or auto."),
    "dtype": _of_config(str, "dtype", "fp32, fp16, bf16 or auto."),
    "onnx_file": flag(str, "Which .onnx file, where there are several."),
    "max_length": flag(int, "Tokens a pair may have; what the model's config asks for without it, else 512."),
    "long_documents": _of_config(str, "long_documents", "truncate, or windows: read whole, the best one counts."),
    "max_batch_tokens": flag(
        int, "Tokens a batch may have, padding included; what suits device and backend without it."
    ),
    "num_threads": flag(int, "Threads of the ONNX backend; all cores without it."),
}
# What a service is told besides.
ENGINE: Mapping[str, Any] = {
    "activation": flag(str, "sigmoid or identity; what the model declares without it."),
    "max_queue": _of_config(int, "max_queue", "Pairs of all callers that may wait; more are refused."),
    "fallback": flag(str, "cpu: finish there what the device's memory cannot hold."),
    "cache": flag(str, "memory, or a Redis URL: where scores are kept."),
    "cache_folder": flag(str, "Where downloads are kept; the Hub's own choice without it."),
    "local_files_only": flag(bool, "Never ask the Hub.", name="--local-files-only"),
    "token": flag(str, "A Hub access token; better in RERANK_TOKEN, where no process list shows it."),
    "trust_remote_code": flag(bool, "Run Python code that comes with the model.", name="--trust-remote-code"),
}


def collects(
    into: str, flags: Mapping[str, Any], make: Callable[..., Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command flags, which it gets as one value.

    typer makes flags of a function's parameters and knows no groups of them, so that each command would repeat them.

    Args:
        into: The command's parameter that gets the value.
        flags: Parameters of typer by name.
        make: Makes the value of what was given, by name; None stands for what was not.

    Examples:
        >>> @collects("config", MODEL, RerankConfig.from_env)
        ... def show(*, config: RerankConfig) -> None:
        ...     print(config.device)
        >>> show(device="cpu")
        cpu
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            value = make(**{name: given.pop(name, None) for name in flags})
            command(**given, **{into: value})

        signature = inspect.signature(command)
        own = [each for name, each in signature.parameters.items() if name != into]
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for name, annotation in flags.items()
        ]
        parameters = [*own, *more]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def takes_config(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command flags for fields of `RerankConfig`, which it gets as `config`; all of `MODEL` without names."""
    flags = {**MODEL, **ENGINE}
    return collects("config", {name: flags[name] for name in names or MODEL}, RerankConfig.from_env)
