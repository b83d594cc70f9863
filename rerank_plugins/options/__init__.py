"""What a reranker and the service can be told, each option declared once with its help text."""

from rerank_plugins.options.reranking import (
    MIN_MAX_LENGTH,
    ActivationName,
    DtypeName,
    Fallback,
    LimitOptions,
    LongDocuments,
    ModelOptions,
    ReadingOptions,
    RerankConfig,
    RuntimeOptions,
)
from rerank_plugins.options.service import ServiceSettings

__all__ = [
    "MIN_MAX_LENGTH",
    "ActivationName",
    "DtypeName",
    "Fallback",
    "LimitOptions",
    "LongDocuments",
    "ModelOptions",
    "ReadingOptions",
    "RerankConfig",
    "RuntimeOptions",
    "ServiceSettings",
]
