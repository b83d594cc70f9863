"""Who takes part: this library and its peers on the same weights, each as it comes and at its best."""

from classifier import Classifier
from team import OLDER, PEERS, Contestant

INT8, FP32, TORCH = "rerank_plugins, exported int8", "rerank_plugins, exported fp32", "rerank_plugins, torch"
# Whose order the others' are compared with: the original weights, one library everybody knows.
REFERENCE = "sentence-transformers"


def ours(folders: Classifier) -> list[Contestant]:
    """This library's three ways to run the weights."""
    return [
        Contestant(INT8, "ours", folders.int8),
        Contestant(FP32, "ours", folders.fp32),
        Contestant(TORCH, "ours", folders.torch, {"backend": "torch"}),
    ]


def defaults(folders: Classifier) -> list[Contestant]:
    """The peers as their documentation shows them."""
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
    """The peers with what makes them faster on two cores, as far as they have settings for it."""
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
