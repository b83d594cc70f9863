"""Options are declared once, as fields of dataclasses; keywords, variables, flags and adapter fields derive from that.

```python
@dataclass(frozen=True, kw_only=True)
class SearchOptions(Options):
    panel: ClassVar[str] = "Search"

    depth: Annotated[int | None, Help("How deep to look.", none="no limit"), AtLeast(1)] = None
```
"""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache, wraps
from inspect import Parameter, Signature, cleandoc, get_annotations, signature
from typing import Annotated, Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar, get_args, get_origin, get_type_hints

from rerank_plugins.errors import InvalidTypeError, RerankError
from rerank_plugins.options.kinds import Checked, Kind, kind_of

PREFIX = "RERANK_"

P = ParamSpec("P")
S = TypeVar("S")
C = TypeVar("C")


@dataclass(frozen=True)
class Help:
    """What users read about an option.

    Attributes:
        text: One or two sentences.
        none: What None stands for, such as "no limit".
    """

    text: str
    none: str | None = None


@dataclass(frozen=True)
class Option:
    """One declared option.

    Attributes:
        name: The field, the keyword, and with `RERANK_` before it and in capitals the environment variable.
        type: The annotation without `Annotated`.
        kind: How values are checked and read.
        default: What holds where nothing is given.
        help: What users read about it.
        panel: The heading under which a command line's help shows it.
        secret: Whether its value is kept out of `repr`, errors and dumps. `field(repr=False)` declares it.
    """

    name: str
    type: Any
    kind: Kind
    default: Any
    help: Help
    panel: str
    secret: bool

    @property
    def variable(self) -> str:
        """The environment variable: `max_length` is `RERANK_MAX_LENGTH`."""
        return PREFIX + self.name.upper()

    @property
    def description(self) -> str:
        """The help text, with what None stands for."""
        return self.help.text if self.help.none is None else f"{self.help.text} None: {self.help.none}."

    def check(self, value: object, *, name: str | None = None) -> Any:
        """Return the value to keep.

        Args:
            value: What was given.
            name: What an error calls the option; its own name if None.

        Raises:
            InvalidTypeError: If the value has the wrong type.
            InvalidValueError: If the value has the right type but is not allowed.
        """
        return self._discreet(self.kind.check, name or self.name, value)

    def read(self, text: str) -> Any:
        """Return the checked value of an environment variable."""
        return self.check(self._discreet(self.kind.read, self.variable, text), name=self.variable)

    def _discreet(self, step: Callable[[str, Any], Any], name: str, value: object) -> Any:
        """Keep a secret out of the error that it causes."""
        try:
            return step(name, value)
        except RerankError as error:
            # The function of a Check knows which part of a value may be shown.
            if not self.secret or isinstance(self.kind, Checked):
                raise
            hidden = type(error)(str(error).replace(repr(value), "a value that is not shown"))
        raise hidden


class Options:
    """Base of declarations, which are dataclasses: checks every field, and reads environment variables.

    A group of options inherits it and names its `panel`. A configuration inherits groups.
    """

    panel: ClassVar[str] = "Options"

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Refuse keywords that are not options."""
        refuse_unknown(cls.__name__, given, (option.name for option in options_of(cls)))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for option in options_of(type(self)):
            # Around the frozen dataclass, as its own __init__ does: a path is kept as a string.
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Read `RERANK_*` variables. Values given by name take precedence, unless they are None.

        Args:
            environ: The variables; None for those of the process. An empty one counts as not set.
            given: Options by name, such as the flags of a command line.

        Raises:
            InvalidValueError: If a variable does not hold a valid value.

        Examples:
            >>> RerankConfig.from_env({"RERANK_MAX_LENGTH": "128"}, device="cpu").max_length
            128
        """
        environ = os.environ if environ is None else environ
        values = {name: value for name, value in given.items() if value is not None}
        for option in options_of(cls):
            if option.name not in values and (text := environ.get(option.variable)):
                values[option.name] = option.read(text)
        return cls(**values)


def options_of(config: type[Options]) -> tuple[Option, ...]:
    """Return the options that a class declares or inherits, in the order of its signature."""
    declaration: Any = config  # mypy does not accept a type[Options] as hashable
    return _declared(declaration)


@cache
def _declared(config: Any) -> tuple[Option, ...]:
    hints = get_type_hints(config, include_extras=True)
    return tuple(
        _option(field.name, hints[field.name], field.default, _panel(config, field.name), secret=not field.repr)
        for field in sorted(fields(config), key=lambda field: field.kw_only is True)
    )


def _option(name: str, hint: Any, default: Any, panel: str, *, secret: bool) -> Option:
    annotation, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    helps = [each for each in metadata if isinstance(each, Help)]
    if not helps:
        raise TypeError(f"The option {name} has no Help(...) in its annotation.")
    return Option(name, annotation, kind_of(annotation, tuple(metadata)), default, helps[0], panel, secret)


def _panel(config: type, name: str) -> str:
    """Return the panel of the class that declares an option."""
    owner = next(each for each in config.__mro__ if name in get_annotations(each))
    panel: str = owner.panel  # type: ignore[attr-defined]  # every declaration is an Options
    return panel


def documented(config: type[Options]) -> str:
    """Return a class's docstring with a section on its options, which `help()` shows."""
    lines = [f"    {option.name}: {option.description}" for option in options_of(config)]
    return "\n".join([cleandoc(config.__doc__ or ""), "", "Args:", *lines])


def refuse_unknown(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keywords that are not options.

    Raises:
        InvalidTypeError: If there is one.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise unknown_option(owner, name, names)


def unknown_option(owner: str, name: str, known: Iterable[str]) -> InvalidTypeError:
    """Return an error that names the option that is spelled most like a wrong one."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    remedy = f"Did you mean '{close[0]}'?" if close else f"Its options are: {', '.join(names)}."
    return InvalidTypeError(f"{owner} has no option '{name}'. {remedy}")


def takes(config: Callable[P, C]) -> Callable[[Callable[[S, C], None]], Callable[Concatenate[S, P], None]]:
    """Give an `__init__` that takes a configuration the keywords of that configuration, for type checkers too.

    Args:
        config: The configuration's class.

    Examples:
        >>> class Reranker:
        ...     @takes(RerankConfig)
        ...     def __init__(self, config: RerankConfig) -> None:
        ...         self.config = config
        >>> Reranker("models/mine", max_length=128).config.max_length
        128
    """
    keywords = _signature(config)

    def decorate(start: Callable[[S, C], None]) -> Callable[Concatenate[S, P], None]:
        @wraps(start)
        def init(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
            refuse_unknown(type(self).__name__, kwargs, keywords.parameters)
            try:
                keywords.bind(*args, **kwargs)
            except TypeError as error:
                raise InvalidTypeError(f"{type(self).__name__}: {error}. Pass options by name.") from None
            start(self, config(*args, **kwargs))

        parameters = [Parameter("self", Parameter.POSITIONAL_ONLY), *keywords.parameters.values()]
        init.__signature__ = Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]
        return init

    return decorate


def _signature(config: Callable[..., Any]) -> Signature:
    """Return the keywords of a configuration, with plain types: help texts would hide the names."""
    hints = get_type_hints(config)
    own = signature(config)
    return own.replace(
        parameters=[each.replace(annotation=hints.get(each.name, each.annotation)) for each in own.parameters.values()]
    )
