"""Rerank what a retriever found: a cross-encoder core for LangChain, LlamaIndex and plain Python."""

from rerank_plugins.errors import (
    ClosedError,
    DeadlineExceededError,
    EventLoopError,
    ForkedError,
    ImplausibleScoresWarning,
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    ModelError,
    ModelNotFoundError,
    OutOfMemoryError,
    OverloadedError,
    RerankError,
    ScoringError,
    UnreadableTextWarning,
    UnsupportedModelError,
)
from rerank_plugins.options import RerankConfig
from rerank_plugins.ranking.base import Ranker
from rerank_plugins.ranking.ranker import ScorerRanker
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList, RerankReport
from rerank_plugins.scorers.base import Scorer
from rerank_plugins.scores import DocumentScore, QueryDocuments, Scored, ScoreScale

__version__ = "0.1.0"

__all__ = [
    "ClosedError",
    "DeadlineExceededError",
    "DocumentScore",
    "EventLoopError",
    "ForkedError",
    "ImplausibleScoresWarning",
    "InvalidTypeError",
    "InvalidValueError",
    "MissingExtraError",
    "ModelError",
    "ModelNotFoundError",
    "OutOfMemoryError",
    "OverloadedError",
    "QueryDocuments",
    "RankResult",
    "Ranker",
    "ReportedList",
    "RerankConfig",
    "RerankError",
    "RerankReport",
    "Reranker",
    "ScoreScale",
    "Scored",
    "Scorer",
    "ScorerRanker",
    "ScoringError",
    "UnreadableTextWarning",
    "UnsupportedModelError",
    "__version__",
]
