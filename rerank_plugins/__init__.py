"""Rerank what a retriever found: a cross-encoder core for LangChain, LlamaIndex and plain Python."""

from rerank_plugins.errors import (
    ClosedError,
    DeadlineExceededError,
    ForkedError,
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    ModelError,
    ModelNotFoundError,
    OutOfMemoryError,
    OverloadedError,
    RerankError,
    ScoringError,
    UnknownTextWarning,
    UnsupportedModelError,
)
from rerank_plugins.options import RerankConfig
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList, RerankReport

__version__ = "0.1.0"

__all__ = [
    "ClosedError",
    "DeadlineExceededError",
    "ForkedError",
    "InvalidTypeError",
    "InvalidValueError",
    "MissingExtraError",
    "ModelError",
    "ModelNotFoundError",
    "OutOfMemoryError",
    "OverloadedError",
    "RankResult",
    "ReportedList",
    "RerankConfig",
    "RerankError",
    "RerankReport",
    "Reranker",
    "ScoringError",
    "UnknownTextWarning",
    "UnsupportedModelError",
    "__version__",
]
