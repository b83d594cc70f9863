"""One model for many applications: an HTTP service in the wire formats that their clients already speak."""

from rerank_plugins.extras import extra

# All of them here, before anything below imports one: a missing one then names the extra.
for _library in ("fastapi", "fastapi_offline", "prometheus_client", "structlog", "uvicorn"):
    with extra("service", provides=_library):
        __import__(_library)
