"""Answer only requests that were meant for this machine."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rerank_plugins.service.errors import ForeignHostError
from rerank_plugins.service.refusals import refuse


class HostCheck:
    """Refuse requests under a foreign name, where no key protects the service.

    A web page can point its own name at 127.0.0.1 and call what listens there as its own origin (DNS rebinding). The
    `Host` header shows the name. Ollama does the same (`allowedHostsMiddleware`, after CVE-2024-28224).

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http" or is_local(Headers(scope=scope).get("host", "localhost")):
            await self._app(scope, receive, send)
            return
        error = ForeignHostError(
            "Without API keys, this service answers only to localhost and IP addresses in the Host header. Set "
            "api_keys (RERANK_API_KEYS) to use another name."
        )
        await refuse(scope, error)(scope, receive, send)


def is_local(host: str) -> bool:
    """Whether a Host header is an IP address or localhost, whatever its port.

    Examples:
        >>> is_local("127.0.0.1:8000"), is_local("[::1]:8000"), is_local("localhost"), is_local("example.org")
        (True, True, True, False)
    """
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not name or not port.isdigit():
        name = host
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
