"""The page at `/docs`, which documents every field: Swagger UI, served from this service alone."""

import base64
import hashlib
import re

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

_STATIC = "/static-offline-docs"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def add_documentation(app: FastAPI) -> None:
    """Add the page to an application of `FastAPIOffline`, which serves its scripts."""
    page = get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title=app.title,
        swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{_STATIC}/favicon.png",
    )
    html = bytes(page.body).decode()
    scripts = " ".join(f"'sha256-{_digest(script)}'" for script in _INLINE.findall(html))
    headers = {
        # Only its own inline script runs. Swagger UI sets styles inline and has icons in data URLs.
        "Content-Security-Policy": f"default-src 'self'; script-src 'self' {scripts}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "Referrer-Policy": "no-referrer",
    }

    @app.head("/docs", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        """Swagger UI."""
        return HTMLResponse(html, headers=headers)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
