"""What can go wrong with a request that could be read, and the status that says so: one table for every route.

What cannot be read is refused where it is read: 400, 408, 413 and 422 of `middleware.BodyLimited` and FastAPI.
"""

from collections.abc import Mapping

from rerank_plugins.errors import (
    ClosedError,
    DeadlineExceededError,
    ForkedError,
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    ModelError,
    OutOfMemoryError,
    OverloadedError,
    RerankError,
    ScoringError,
)


class UnauthorizedError(RerankError):
    """A request without a key, or with a wrong one."""


class DrainingError(RerankError):
    """The service is ending: it answers what it has, and takes no more."""


class DisconnectedError(RerankError):
    """The caller is gone."""


# From the particular to the general: the first one that fits counts.
STATUS: Mapping[type[RerankError], int] = {
    UnauthorizedError: 401,
    InvalidValueError: 422,
    InvalidTypeError: 422,
    OverloadedError: 429,
    DisconnectedError: 499,  # nginx's word for it; nobody reads it but the log
    OutOfMemoryError: 503,
    ScoringError: 500,
    DrainingError: 503,
    ClosedError: 503,
    ForkedError: 503,
    ModelError: 503,
    MissingExtraError: 503,
    DeadlineExceededError: 504,
}


def status_of(error: RerankError) -> int:
    """Return the HTTP status of an error.

    Examples:
        >>> status_of(OverloadedError("full"))
        429
    """
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
