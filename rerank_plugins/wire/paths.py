"""Which wire format a request is in: by its path, and at `/rerank`, which three formats share, by its body."""

from collections.abc import Mapping
from typing import Any

from rerank_plugins.wire.base import Format
from rerank_plugins.wire.cohere import COHERE
from rerank_plugins.wire.introduction import INTRODUCTION
from rerank_plugins.wire.jina import JINA
from rerank_plugins.wire.tei import TEI

SHARED_PATH = "/rerank"
# The formats of each path. The first one is used for errors before the body has been read. At `/rerank` that is TEI's,
# which suits clients of the introduction's format too: both have a field `error`.
FORMATS: Mapping[str, tuple[Format[Any], ...]] = {
    SHARED_PATH: (TEI, INTRODUCTION, JINA),
    "/v1/rerank": (JINA,),
    "/v2/rerank": (COHERE,),
}


def format_at(path: str, body: Mapping[str, Any]) -> Format[Any]:
    """Return the format of a body that was sent to a path, given its fields.

    Examples:
        >>> format_at("/v2/rerank", {"query": "who", "documents": ["a"]}).name
        'cohere'
    """
    return format_of(body) if path == SHARED_PATH else FORMATS[path][0]


def format_of(body: object) -> Format[Any]:
    """Return the format of a body that was sent to `/rerank`.

    text-embeddings-inference sends `texts`. vLLM and infinity serve Jina's format there, and their clients always name
    a `model`, which tutorials never do.

    Examples:
        >>> format_of({"query": "who", "documents": ["a"]}).name
        'introduction'
        >>> format_of({"model": "any", "query": "who", "documents": ["a"]}).name
        'jina'
    """
    if not isinstance(body, dict):
        return INTRODUCTION
    if "texts" in body and body.get("documents") is None:
        return TEI
    return JINA if "model" in body else INTRODUCTION


def first_format(path: str) -> Format[Any]:
    """Return the format for errors before the body has been read; the introduction's for paths that do not rerank."""
    return FORMATS.get(path, (INTRODUCTION,))[0]
