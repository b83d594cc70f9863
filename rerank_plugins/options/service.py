"""The settings of the HTTP service; read without importing the service, so that `serve --help` is fast."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.options.declaration import Help, Options, documented
from rerank_plugins.options.kinds import AtLeast, AtMost, Check, Words

# Kubernetes sets RERANK_PORT=tcp://10.96.104.172:8000 in the containers of a namespace with a Service named "rerank".
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


# 16 characters of hexadecimal digits are 64 bits: too many to guess, however fast.
_SHORTEST_KEY = 16


def check_keys(name: str, value: object) -> tuple[str, ...]:
    """Return API keys, from a list or from one text with commas between them.

    Raises:
        InvalidValueError: If one is too short, or can't be sent in a header. The error shows no key.
        InvalidTypeError: If they are not strings.
    """
    keys: tuple[str, ...] = Words(optional=False).check(name, value)
    for key in keys:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidValueError(
                f"{name} must be printable ASCII without spaces, since an HTTP header carries them. "
                "Create one with: openssl rand -hex 32"
            )
        if len(key) < _SHORTEST_KEY:
            raise InvalidValueError(
                f"{name} must have at least {_SHORTEST_KEY} characters each, and one has {len(key)}. "
                "Create one with: openssl rand -hex 32"
            )
    return keys


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Options):
    """Where the service listens, who may call it, and how much it accepts.

    The options of the model are in `RerankConfig`, except for the timeout: the service's covers the wait for the model
    too.

    Raises:
        InvalidValueError: If a value is not allowed, or other machines could call the service without an API key.
        InvalidTypeError: If a value has the wrong type, or there is no setting of that name.

    Examples:
        >>> ServiceSettings.from_env({"RERANK_PORT": "9000"}).port
        9000
    """

    panel: ClassVar[str] = "Service"

    host: Annotated[str, Help("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Help("Port to listen on. 0: any free port."), AtLeast(0), AtMost(65_535)] = 8000
    api_keys: Annotated[
        tuple[str, ...],
        Help("API keys that callers send as 'Authorization: Bearer KEY', with commas between them. Required unless "
             "host is a loopback address."),
        Check(check_keys),
    ] = field(default=(), repr=False)  # fmt: skip
    api_keys_file: Annotated[
        str | None, Help("File with an API key on each line, read again on SIGHUP.", none="no file")
    ] = None
    timeout: Annotated[float, Help("Seconds that a request may take, including the wait for the model.")] = 60.0
    max_documents: Annotated[int, Help("Maximum documents of a request."), AtLeast(1)] = 1_000
    max_characters: Annotated[int, Help("Maximum characters of a query, document or instruction."), AtLeast(1)] = (
        200_000
    )
    max_body_bytes: Annotated[int, Help("Maximum bytes of a request's body."), AtLeast(1)] = 4 * 2**20
    max_queue_bytes: Annotated[
        int,
        Help("Maximum bytes of the bodies of all requests in progress, and of answers that are not read yet. More are "
             "refused."),
        AtLeast(1),
    ] = 64 * 2**20  # fmt: skip
    max_connections: Annotated[
        int, Help("Maximum open connections; fewer if the process may not open as many files."), AtLeast(1)
    ] = 1_000
    header_timeout: Annotated[float, Help("Seconds in which a request's line and headers must arrive.")] = 60.0
    send_timeout: Annotated[float, Help("Seconds after which an answer is given up that the caller does not read.")] = (
        60.0
    )
    cors_origins: Annotated[
        tuple[str, ...], Help("Origins of web pages that may call the service, with commas between them.")
    ] = ()
    log_texts: Annotated[bool, Help("Write queries, instructions and documents to the log.")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.needs_key and not _is_loopback(self.host):
            raise InvalidValueError(
                f"host={self.host!r} accepts requests from other machines, which needs an API key. Set api_keys "
                "(--api-keys, RERANK_API_KEYS) or api_keys_file, or listen on 127.0.0.1."
            )

        if "*" in self.cors_origins and not self.needs_key:
            raise InvalidValueError(
                "cors_origins='*' lets every web page use the service, which needs an API key. Set api_keys "
                "(--api-keys, RERANK_API_KEYS) or api_keys_file, or name the origins."
            )

    @property
    def needs_key(self) -> bool:
        """Whether callers need an API key."""
        return bool(self.api_keys or self.api_keys_file)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Read `RERANK_*` variables as `Options.from_env` does, except for those that link to a Kubernetes Service."""
        environ = os.environ if environ is None else environ
        own = {name: text for name, text in environ.items() if not _SERVICE_LINK.fullmatch(text)}
        return super().from_env(own, **given)


ServiceSettings.__doc__ = documented(ServiceSettings)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
