"""Require one of the API keys."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rerank_plugins.service.errors import UnauthorizedError
from rerank_plugins.service.refusals import refuse

# Open to everyone: what load balancers ask, the page, which has a field for the key, and the documentation, which
# holds no secret and which a browser requests without a key.
_OPEN_PATHS = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json"})
_OPEN_FOLDERS = ("/page/", "/static-offline-docs/")


class KeyCheck:
    """Refuse requests that do not send one of the keys as `Authorization: Bearer KEY`.

    Args:
        app: The application.
        keys: The keys; without any, every request is accepted.
    """

    def __init__(self, app: ASGIApp, *, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http" or not self._keys or _is_open(scope["path"]) or self._has_key(scope):
            await self._app(scope, receive, send)
            return
        error = UnauthorizedError("Missing or invalid API key. Send it as 'Authorization: Bearer KEY'.")
        await refuse(scope, error)(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        kind, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        sent = key.strip().encode()
        # Compare with all keys, each in constant time: the time taken says nothing about how close a guess is.
        matches = [hmac.compare_digest(sent, known) for known in self._keys]
        return kind.lower() == "bearer" and any(matches)


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS)
