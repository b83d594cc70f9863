"""What a rerank returns in LangChain: a list of documents with the report of the call."""

from collections.abc import Iterable

from rerank_plugins.extras import extra
from rerank_plugins.results import RankResult, ReportedList, RerankReport

with extra("langchain", provides="langchain_core"):
    from langchain_core.documents import Document


class RankedDocuments(ReportedList[Document]):
    """A plain list of documents, best first, with the report of the call and the result of each document.

    Attributes:
        results: The `RankResult` of each document, in the same order. Empty if reranking failed and the documents are
            in the retriever's order.
    """

    results: list[RankResult]

    def __init__(self, documents: Iterable[Document], report: RerankReport, results: Iterable[RankResult] = ()) -> None:
        super().__init__(documents, report)
        self.results = list(results)
