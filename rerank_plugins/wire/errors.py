"""What is wrong with a body, before anything is ranked."""

from typing import Any

from rerank_plugins.errors import InvalidValueError


class InvalidBodyError(InvalidValueError):
    """A body is not what its wire format says.

    Attributes:
        format: The body's wire format, if it shows.
    """

    format: Any = None


class UnreadableBodyError(InvalidBodyError):
    """A body can't be parsed as JSON."""


class IncompleteBodyError(InvalidBodyError):
    """A body lacks what its format's own server asks for in words of its own."""
