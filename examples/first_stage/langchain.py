"""The shared passages as a LangChain retriever, like `store.as_retriever(search_kwargs={"k": 50})` on your store."""

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from first_stage import search


class PassageRetriever(BaseRetriever):
    """The `k` nearest passages, each with its rank and cosine in the metadata."""

    k: int = 50

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [
            Document(id=each.id, page_content=each.full_text, metadata={"rank": rank, "cosine": cosine})
            for rank, (cosine, each) in enumerate(search(query, self.k), start=1)
        ]
