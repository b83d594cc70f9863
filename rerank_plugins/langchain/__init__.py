"""Rerank in LangChain: `RerankCompressor` for retrievers and chains, `CrossEncoderModel` for LangChain's reranker."""

from rerank_plugins.langchain.compressor import SCORE_KEY, RerankCompressor, RerankStep
from rerank_plugins.langchain.cross_encoder import CrossEncoderModel
from rerank_plugins.langchain.documents import RankedDocuments

__all__ = ["SCORE_KEY", "CrossEncoderModel", "RankedDocuments", "RerankCompressor", "RerankStep"]
