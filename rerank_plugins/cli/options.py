"""Flags that several commands share; those of a configuration derive from its declaration."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

import typer

from rerank_plugins.options import RerankConfig
from rerank_plugins.options.declaration import Option, Options, options_of

TopN = Annotated[int, typer.Option(min=1, help="How many documents to keep.")]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")]


def flags_of(*configs: type[Options], without: Collection[str] = ()) -> dict[str, Any]:
    """Return typer's parameters for the options of configurations, by name.

    Args:
        configs: Configurations, or groups of options.
        without: Names of options to leave out.

    Examples:
        >>> list(flags_of(ReadingOptions))
        ['max_length', 'long_documents', 'max_windows', 'activation']
    """
    options = [option for config in configs for option in options_of(config)]
    return {option.name: _flag(option) for option in options if option.name not in without}


def _flag(option: Option) -> Any:
    """Make a flag that is None unless given, so that the environment variable stays in force."""
    # With a name, typer adds no --no- form to a switch.
    name = f"--{option.name.replace('_', '-')}"
    return Annotated[
        option.kind.flag | None,
        typer.Option(name, help=_help(option), metavar=option.kind.metavar, rich_help_panel=option.panel),
    ]


def _help(option: Option) -> str:
    sentences = [option.help.text]
    if option.help.none is not None:
        sentences.append(f"Default: {option.help.none}.")
    elif isinstance(option.default, str | int | float) and option.default is not False:
        default = f"{option.default:g}" if isinstance(option.default, float) else option.default
        sentences.append(f"Default: {default}.")
    if option.secret:
        sentences.append(f"Prefer {option.variable}: other users of the machine can see flags.")
    return " ".join(sentences)


def collects(
    into: str, flags: Mapping[str, Any], make: Callable[..., Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command flags, whose values it gets as one value.

    typer makes flags from the parameters of a function and has no groups of them, so each command would repeat them.

    Args:
        into: The command's parameter that gets the value.
        flags: Parameters of typer by name.
        make: Makes the value from the flags by name; None stands for a flag that was not given.

    Examples:
        >>> @collects("config", flags_of(RerankConfig), RerankConfig.from_env)
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


def takes_config(
    *groups: type[Options], without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command flags for groups of options, which it gets as a `RerankConfig` named `config`."""
    return collects("config", flags_of(*groups, without=without), RerankConfig.from_env)
