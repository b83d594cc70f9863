"""The settings of the service, which are declared in `rerank_plugins.options.service`."""

from rerank_plugins.options.service import ServiceSettings

__all__ = ["ServiceSettings"]
