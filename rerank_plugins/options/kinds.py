"""How a value of each type is checked, and read from the text of an environment variable or a flag."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike, fspath
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from rerank_plugins.errors import InvalidTypeError, InvalidValueError


@dataclass(frozen=True)
class AtLeast:
    """The smallest integer that an option takes."""

    least: int


@dataclass(frozen=True)
class AtMost:
    """The largest integer that an option takes."""

    most: int


@dataclass(frozen=True)
class Check:
    """A check for an option whose type alone does not say what is valid.

    Attributes:
        function: Takes the option's name and a value other than None. Returns the value to keep, or raises an
            `InvalidTypeError` or `InvalidValueError`.
    """

    function: Callable[[str, Any], Any]


@dataclass(frozen=True)
class Kind(ABC):
    """The values that an option takes.

    Attributes:
        optional: Whether None is one of them.
        flag: The type that a command line parses.
    """

    optional: bool
    flag: ClassVar[type] = str

    @property
    def metavar(self) -> str | None:
        """What a command line's help shows as the value; None for the name of the type."""
        return None

    def check(self, name: str, value: object) -> Any:
        """Return the value to keep.

        Raises:
            InvalidTypeError: If the value has the wrong type.
            InvalidValueError: If the value has the right type but is not allowed.
        """
        return None if value is None and self.optional else self._checked(name, value)

    def read(self, name: str, text: str) -> Any:  # noqa: ARG002  # some kinds name the variable in an error
        """Return the value that a text stands for; `check` is still to come.

        Raises:
            InvalidValueError: If the text does not stand for a value of this kind.
        """
        return text

    @abstractmethod
    def _checked(self, name: str, value: object) -> Any: ...


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words: `Literal["fp32", "fp16"]`."""

    words: tuple[str, ...]

    @property
    def metavar(self) -> str | None:
        """The words, as in `fp32|fp16`."""
        return "|".join(self.words)

    def _checked(self, name: str, value: object) -> str:
        if isinstance(value, str) and value in self.words:
            return value
        allowed = ", ".join(repr(word) for word in ((None,) if self.optional else ()) + self.words)
        raise InvalidValueError(f"{name} must be one of {allowed}, got {value!r}.")


@dataclass(frozen=True)
class Integer(Kind):
    """An integer: `Annotated[int, AtLeast(1)]`."""

    least: int | None
    most: int | None
    flag: ClassVar[type] = int

    def read(self, name: str, text: str) -> int:
        """Return the integer."""
        try:
            return int(text)
        except ValueError:
            raise InvalidValueError(f"{name} must be an integer, got {text!r}.") from None

    def _checked(self, name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidTypeError(f"{name} must be an integer, got {value!r}.")
        if self.least is not None and value < self.least:
            raise InvalidValueError(f"{name} must be at least {self.least}, got {value}.")
        if self.most is not None and value > self.most:
            raise InvalidValueError(f"{name} must be at most {self.most}, got {value}.")
        return value


@dataclass(frozen=True)
class Seconds(Kind):
    """A time above zero: `float`."""

    flag: ClassVar[type] = float

    def read(self, name: str, text: str) -> float:
        """Return the number."""
        try:
            return float(text)
        except ValueError:
            raise InvalidValueError(f"{name} must be a number, got {text!r}.") from None

    def _checked(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidTypeError(f"{name} must be a number of seconds, got {value!r}.")
        if not (value > 0 and math.isfinite(value)):
            remedy = "no limit" if self.optional else "its default"
            raise InvalidValueError(f"{name} must be above 0 seconds, got {value}. Leave it out for {remedy}.")
        return value


_SWITCH_WORDS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


@dataclass(frozen=True)
class Switch(Kind):
    """True or False: `bool`."""

    flag: ClassVar[type] = bool

    def read(self, name: str, text: str) -> bool:
        """Return True for `1`, `true`, `yes` and `on`, False for `0`, `false`, `no` and `off`, in any case."""
        try:
            return _SWITCH_WORDS[text.lower()]
        except KeyError:
            raise InvalidValueError(f"{name} must be true or false, got {text!r}.") from None

    def _checked(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise InvalidTypeError(f"{name} must be True or False, got {value!r}.")
        return value


@dataclass(frozen=True)
class Text(Kind):
    """A string that is not blank: `str`, or `str | PathLike[str]` for one that may be given as a path."""

    paths: bool

    def _checked(self, name: str, value: object) -> str:
        text = fspath(value) if self.paths and isinstance(value, PathLike) else value
        # The value is not shown: a string may be a secret.
        if not isinstance(text, str):
            raise InvalidTypeError(f"{name} must be a string, got {type(value).__name__}.")
        if not text.strip():
            raise InvalidValueError(f"{name} must not be empty. Leave it out for its default.")
        return text


@dataclass(frozen=True)
class Words(Kind):
    """Several strings, or one with commas between them: `tuple[str, ...]`."""

    def _checked(self, name: str, value: object) -> tuple[str, ...]:
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise InvalidTypeError(
                f"{name} must be strings in a list or tuple, or one string with commas between them, "
                f"got {type(value).__name__}."
            )
        return tuple(stripped for word in words if (stripped := word.strip()))


@dataclass(frozen=True)
class Checked(Kind):
    """Whatever a function of the declaration accepts: `Annotated[..., Check(function)]`."""

    function: Callable[[str, Any], Any]

    def _checked(self, name: str, value: object) -> Any:
        return self.function(name, value)


def kind_of(annotation: Any, metadata: tuple[object, ...]) -> Kind:
    """Return the kind of values that a declaration's type and constraints describe.

    Args:
        annotation: The type, without `Annotated`.
        metadata: What `Annotated` adds to it: `AtLeast`, `AtMost`, `Check`.

    Raises:
        TypeError: If there is no kind for the type. This is a mistake in the declaration.

    Examples:
        >>> kind_of(int | None, (AtLeast(16),))
        Integer(optional=True, least=16, most=None)
    """
    union = get_origin(annotation) in (Union, UnionType)
    members = frozenset(get_args(annotation) if union else (annotation,))
    optional, types = type(None) in members, members - {type(None)}
    constraints: dict[type, Any] = {type(each): each for each in metadata}
    if Check in constraints:
        return Checked(optional, constraints[Check].function)
    if len(types) == 1 and get_origin(literal := next(iter(types))) is Literal:
        return Choice(optional, get_args(literal))
    if types in _KINDS:
        return _KINDS[types](optional, constraints)
    raise TypeError(f"There is no kind of option for {annotation}. Add one to {__name__}, or a Check.")


def _integer(optional: bool, constraints: dict[type, Any]) -> Kind:  # noqa: FBT001  # called from the table alone
    least, most = constraints.get(AtLeast), constraints.get(AtMost)
    return Integer(optional, None if least is None else least.least, None if most is None else most.most)


_KINDS: dict[frozenset[Any], Callable[[bool, dict[type, Any]], Kind]] = {
    frozenset({bool}): lambda optional, _: Switch(optional),
    frozenset({int}): _integer,
    frozenset({float}): lambda optional, _: Seconds(optional),
    frozenset({str}): lambda optional, _: Text(optional, paths=False),
    frozenset({str, PathLike[str]}): lambda optional, _: Text(optional, paths=True),
    frozenset({tuple[str, ...]}): lambda optional, _: Words(optional),
}
