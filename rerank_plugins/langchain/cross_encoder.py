"""A `Reranker` behind the interface that LangChain's own reranker asks for."""

from rerank_plugins.errors import InvalidTypeError
from rerank_plugins.extras import extra
from rerank_plugins.reranker import Reranker

with extra("langchain", provides="langchain_core"):
    from langchain_core.cross_encoders import BaseCrossEncoder


class CrossEncoderModel(BaseCrossEncoder):
    """A `Reranker` as LangChain's `BaseCrossEncoder`, for `CrossEncoderReranker(model=CrossEncoderModel())`.

    Args:
        reranker: The Reranker. None: the embedded model.

    Raises:
        InvalidTypeError: If it is not a Reranker.
    """

    def __init__(self, reranker: Reranker | None = None) -> None:
        if reranker is not None and not isinstance(reranker, Reranker):
            raise InvalidTypeError(f"reranker must be a Reranker, got {reranker!r}. Pass Reranker({reranker!r}).")
        self.reranker = reranker or Reranker()

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score (query, document) pairs, in the order given."""
        return self.reranker.score(text_pairs)
