"""The contestants: this library and its peers with the same weights, with default and with fastest settings."""

from classifier import Classifier
from team import OLDER, PEERS, Contestant

INT8, FP32, TORCH = "rerank_plugins, exported int8", "rerank_plugins, exported fp32", "rerank_plugins, torch"
# The reference order: the original weights in a widely known library.
REFERENCE = "sentence-transformers"


def ours(folders: Classifier) -> list[Contestant]:
    """Return this library's three ways to run the weights."""
    return [
        Contestant(INT8, "ours", folders.int8),
        Contestant(FP32, "ours", folders.fp32),
        Contestant(TORCH, "ours", folders.torch, {"backend": "torch"}),
    ]


def defaults(folders: Classifier) -> list[Contestant]:
    """Return the peers, configured as in their documentation."""
    return [
        Contestant(REFERENCE, "sentence_transformers", folders.torch, environment=PEERS),
        Contestant("LangChain CrossEncoderReranker", "langchain", folders.torch, environment=PEERS),
        Contestant("LlamaIndex SentenceTransformerRerank", "llama_index", folders.torch, environment=PEERS),
        Contestant("rerankers", "rerankers", folders.torch, environment=PEERS),
        Contestant(
            "sentence-transformers, onnx", "sentence_transformers", folders.fp32, {"backend": "onnx"}, environment=OLDER
        ),
        Contestant("FlashRank, fp32 file", "flashrank", folders.fp32, environment=PEERS),
        Contestant("fastembed, fp32 file", "fastembed", folders.fp32, environment=PEERS),
    ]


def best(folders: Classifier) -> list[Contestant]:
    """Return the peers with their fastest settings on two cores, where they have any."""
    return [
        Contestant(REFERENCE, "sentence_transformers", folders.torch, {"batch_size": 8}, environment=PEERS),
        Contestant(
            "sentence-transformers, onnx, batches of 1",
            "sentence_transformers",
            folders.fp32,
            {"backend": "onnx", "batch_size": 1},
            environment=OLDER,
        ),
        Contestant(
            "sentence-transformers, onnx, batches of 8",
            "sentence_transformers",
            folders.fp32,
            {"backend": "onnx", "batch_size": 8},
            environment=OLDER,
        ),
        Contestant(
            "sentence-transformers, onnx int8, batches of 8",
            "sentence_transformers",
            folders.int8,
            {"backend": "onnx", "batch_size": 8},
            environment=OLDER,
        ),
        Contestant("FlashRank, int8 file", "flashrank", folders.int8, environment=PEERS),
        Contestant("fastembed, fp32 file, batches of 1", "fastembed", folders.fp32, {"batch_size": 1}, PEERS),
        Contestant("fastembed, int8 file, batches of 1", "fastembed", folders.int8, {"batch_size": 1}, PEERS),
        Contestant("fastembed, fp32 file, batches of 8", "fastembed", folders.fp32, {"batch_size": 8}, PEERS),
        Contestant("rerankers, batches of 8", "rerankers", folders.torch, {"batch_size": 8}, PEERS),
    ]
