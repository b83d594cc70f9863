"""Existing client libraries work with this service when only their address changes."""

import asyncio

import cohere
import pytest
from langchain_cohere import CohereRerank
from langchain_community.document_compressors import JinaRerank
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.jinaai_rerank import JinaRerank as LlamaIndexJinaRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

from tests.service.conftest import Service
from tests.texts import PHOTOSYNTHESIS, TRAPS

BEST = TRAPS[0]


def nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text)) for text in reversed(TRAPS)]


def documents() -> list[Document]:
    return [Document(page_content=text, metadata={"place": place}) for place, text in enumerate(reversed(TRAPS))]


def test_cohere_sdk(service: Service) -> None:
    with cohere.ClientV2(api_key="none", base_url=service.url) as client:
        answer = client.rerank(model="rerank-v3.5", query=PHOTOSYNTHESIS, documents=TRAPS, top_n=2)
        with pytest.raises(cohere.errors.BadRequestError, match="list of documents must not be empty"):
            client.rerank(model="rerank-v3.5", query=PHOTOSYNTHESIS, documents=[])
    assert [each.index for each in answer.results] == [0, 3]
    assert answer.results[0].relevance_score > 0.5
    assert answer.meta is not None
    assert answer.meta.tokens is not None


def test_cohere_sdk_in_asyncio(service: Service) -> None:
    async def ask() -> int:
        async with cohere.AsyncClientV2(api_key="none", base_url=service.url) as client:
            answer = await client.rerank(model="rerank-v3.5", query=PHOTOSYNTHESIS, documents=TRAPS)
        return answer.results[0].index

    assert asyncio.run(ask()) == 0


def test_langchain_cohere(service: Service) -> None:
    compressor = CohereRerank(cohere_api_key="none", base_url=service.url, model="rerank-v3.5", top_n=2)
    with compressor.client:
        best = compressor.compress_documents(documents(), PHOTOSYNTHESIS)
    assert (len(best), best[0].page_content) == (2, BEST)
    assert best[0].metadata["relevance_score"] > best[1].metadata["relevance_score"]


def test_langchain_jina(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_community.document_compressors import jina_rerank

    monkeypatch.setattr(jina_rerank, "JINA_API_URL", f"{service.url}/v1/rerank")  # it has no setting for it
    compressor = JinaRerank(jina_api_key="none", model="any", top_n=2)
    with compressor.session:
        assert compressor.compress_documents(documents(), PHOTOSYNTHESIS)[0].page_content == BEST


def test_llama_index_tei(service: Service) -> None:
    postprocessor = TextEmbeddingInference(top_n=2, base_url=service.url, model_name="any")
    best = postprocessor.postprocess_nodes(nodes(), query_str=PHOTOSYNTHESIS)
    assert [each.node.get_content() for each in best] == [BEST, TRAPS[3]]


def test_llama_index_jina(service: Service) -> None:
    postprocessor = LlamaIndexJinaRerank(top_n=2, api_key="none", base_url=f"{service.url}/v1")
    best = postprocessor.postprocess_nodes(nodes(), query_str=PHOTOSYNTHESIS)
    assert best[0].node.get_content() == BEST
