"""All measured ways to rerank, each as a function from a question and documents to an order.

`worker.py` imports this in the environment of one library, so libraries are only imported inside functions.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# From a question and documents to the documents' indices, best first; may be a coroutine function.
Rank = Callable[[str, Sequence[str]], Any]
MAX_LENGTH = 512


def ours(folder: Path, **options: object) -> Rank:
    """This library."""
    from rerank_plugins import Reranker

    reranker = Reranker(folder, max_length=MAX_LENGTH, **options)
    return lambda query, documents: [result.index for result in reranker.rank(query, documents)]


def ours_in_asyncio(folder: Path, **options: object) -> Rank:
    """This library's coroutines."""
    from rerank_plugins import Reranker

    reranker = Reranker(folder, max_length=MAX_LENGTH, **options)

    async def rank(query: str, documents: Sequence[str]) -> list[int]:
        return [result.index for result in await reranker.arank(query, documents)]

    return rank


def langchain(folder: Path) -> Rank:
    """LangChain's CrossEncoderReranker over its HuggingFaceCrossEncoder."""
    from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
    from langchain_community.cross_encoders import HuggingFaceCrossEncoder
    from langchain_core.documents import Document

    encoder = HuggingFaceCrossEncoder(model_name=str(folder), model_kwargs={"device": "cpu"})

    def rank(query: str, documents: Sequence[str]) -> list[int]:
        compressor = CrossEncoderReranker(model=encoder, top_n=len(documents))
        found = [Document(text, metadata={"place": place}) for place, text in enumerate(documents)]
        return [each.metadata["place"] for each in compressor.compress_documents(found, query)]

    return rank


def llama_index(folder: Path) -> Rank:
    """LlamaIndex's SentenceTransformerRerank."""
    from llama_index.core.postprocessor import SentenceTransformerRerank
    from llama_index.core.schema import NodeWithScore, TextNode

    reranker = SentenceTransformerRerank(model=str(folder), device="cpu")

    def rank(query: str, documents: Sequence[str]) -> list[int]:
        reranker.top_n = len(documents)
        nodes = [NodeWithScore(node=TextNode(text=text, id_=str(place))) for place, text in enumerate(documents)]
        return [int(each.node.node_id) for each in reranker.postprocess_nodes(nodes, query_str=query)]

    return rank


def sentence_transformers(folder: Path, *, batch_size: int = 32, **options: object) -> Rank:
    """sentence-transformers' CrossEncoder.rank."""
    from sentence_transformers import CrossEncoder

    encoder = CrossEncoder(str(folder), device="cpu", **options)

    def rank(query: str, documents: Sequence[str]) -> list[int]:
        return [int(each["corpus_id"]) for each in encoder.rank(query, list(documents), batch_size=batch_size)]

    return rank


def flashrank(folder: Path) -> Rank:
    """FlashRank, with the local folder added to its table of models."""
    from flashrank import Ranker, RerankRequest
    from flashrank.Ranker import model_file_map

    model_file_map[folder.name] = "model.onnx"
    ranker = Ranker(folder.name, cache_dir=str(folder.parent), max_length=MAX_LENGTH, log_level="ERROR")

    def rank(query: str, documents: Sequence[str]) -> list[int]:
        passages = [{"id": place, "text": text} for place, text in enumerate(documents)]
        return [each["id"] for each in ranker.rerank(RerankRequest(query, passages))]

    return rank


def fastembed(folder: Path, *, batch_size: int = 64, threads: int | None = None) -> Rank:
    """Fastembed's TextCrossEncoder on a local folder."""
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    name = f"local/{folder.name}"
    TextCrossEncoder.add_custom_model(name, sources=ModelSource(hf=name), model_file="model.onnx")
    encoder = TextCrossEncoder(name, specific_model_path=str(folder), threads=threads)

    def rank(query: str, documents: Sequence[str]) -> list[int]:
        scores = list(encoder.rerank(query, documents, batch_size=batch_size))
        return sorted(range(len(scores)), key=lambda place: -scores[place])

    return rank


def rerankers(folder: Path, *, batch_size: int = 16) -> Rank:
    """Rerankers' cross-encoder."""
    from rerankers import Reranker

    ranker = Reranker(str(folder), model_type="cross-encoder", device="cpu", batch_size=batch_size, verbose=0)

    def rank(query: str, documents: Sequence[str]) -> list[int]:
        found = ranker.rank(query=query, docs=list(documents), doc_ids=list(range(len(documents))))
        return [int(each.document.doc_id) for each in found.results]

    return rank
