"""Require one of the API keys."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rerank_plugins.errors import RerankError
from rerank_plugins.service.errors import GuessingError, UnauthorizedError
from rerank_plugins.service.keys import Brake, Keys
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

    def __init__(self, app: ASGIApp, *, keys: Keys) -> None:
        self._app, self._keys, self._brake = app, keys, Brake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        error = None
        if scope["type"] == "http" and self._keys and not _is_open(scope["path"]):
            error = await self._check(scope)
        if error is None:
            await self._app(scope, receive, send)
        else:
            await refuse(scope, error)(scope, receive, send)

    async def _check(self, scope: Scope) -> RerankError | None:
        address = (scope.get("client") or ("", 0))[0]
        kind, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        if not key:
            return _unauthorized()
        if not await self._brake.wait(address):
            return GuessingError("Too many wrong API keys came from this address. Retry later.")
        if kind.lower() == "bearer" and self._keys.match(key.strip()):
            return None
        self._brake.note_wrong(address)
        return _unauthorized()


def _unauthorized() -> UnauthorizedError:
    return UnauthorizedError("Missing or invalid API key. Send it as 'Authorization: Bearer KEY'.")


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS)
