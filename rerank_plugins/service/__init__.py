"""An HTTP service that reranks, in the wire formats that existing clients already use."""

from rerank_plugins.extras import extra

# Import all of them first, so that a missing one names the extra to install.
for _library in ("fastapi", "fastapi_offline", "httptools", "msgspec", "prometheus_client", "structlog", "uvicorn"):
    with extra("service", provides=_library):
        __import__(_library)
