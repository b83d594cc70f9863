"""What a type checker must accept and reject: mypy reports unused ignores (`make check`)."""

from pathlib import Path
from typing import assert_type

from rerank_plugins import RerankConfig, Reranker
from rerank_plugins.langchain import RerankCompressor
from rerank_plugins.llama_index import RerankPostprocessor


def accepted() -> None:
    """Options by keyword, the model by position, and paths."""
    config = RerankConfig("models/mine", max_length=128, cache_folder=Path("cache"))
    assert_type(config.max_length, int | None)
    Reranker("models/mine", device="cpu", dtype="fp32", cache="memory")
    Reranker(Path("models") / "mine")
    assert_type(RerankCompressor(top_n=3, device="cpu", model=Path("mine")).device, str)
    assert_type(RerankPostprocessor(max_length=128).max_length, int | None)


def refused() -> None:
    """Unknown names and wrong types."""
    RerankConfig(devise="cpu")  # type: ignore[call-arg]
    Reranker(devise="cpu")  # type: ignore[call-arg]
    Reranker(device=3)  # type: ignore[arg-type]
    Reranker(dtype="int4")  # type: ignore[arg-type]
    Reranker("models/mine", "cpu")  # type: ignore[call-arg]


def refused_without_the_plugin_of_pydantic() -> None:
    """The plugin accepts any keyword and any value."""
    RerankCompressor(top_n="3")  # type: ignore[arg-type, unused-ignore]
    RerankCompressor(device=3)  # type: ignore[arg-type, unused-ignore]
    RerankPostprocessor(devise="cpu")  # type: ignore[call-arg, unused-ignore]
