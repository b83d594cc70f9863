"""The service's own errors. `refusals` has the HTTP status of each, and of the library's."""

from rerank_plugins.errors import RerankError


class UnauthorizedError(RerankError):
    """The API key is missing or invalid."""


class GuessingError(RerankError):
    """Too many wrong API keys came from one address."""


class ForeignHostError(RerankError):
    """The request was sent to a name that is not this machine's."""


class BodyTimeoutError(RerankError):
    """The body was not received in time."""


class BodyTooLargeError(RerankError):
    """The body has more bytes than the service accepts."""


class DrainingError(RerankError):
    """The service is shutting down: it finishes accepted requests and takes no new ones."""


class DisconnectedError(RerankError):
    """The caller closed the connection before the answer was ready."""
