"""Refuse bad input with the value, what is wrong with it, and what to do."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

from rerank_plugins.errors import InvalidTypeError, InvalidValueError


def check_text(name: str, text: object) -> str:
    """Return the text if it is a string that has a UTF-8 form, which tokenizers need."""
    if not isinstance(text, str):
        raise InvalidTypeError(f"{name} must be a string, got {_describe(text)}.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(
            f"{name} holds a lone surrogate, {text[error.start]!r} at character {error.start}, which no encoding can "
            "carry. Read the text again with errors='replace'."
        ) from None
    return text


def check_query(query: object) -> str:
    """Return the query if it is a string that says something."""
    text = check_text("query", query)
    if not text.strip():
        raise InvalidValueError(f"query is empty or blank, got {query!r}. There is nothing to rank by.")
    return text


def check_documents(documents: object) -> list[str]:
    """Return the documents as a list if they are a sequence of strings; empty strings are documents too."""
    if isinstance(documents, str | bytes) or not isinstance(documents, Sequence):
        raise InvalidTypeError(
            f"documents must be a list of strings, got {_describe(documents)}. "
            "For one document pass [document]; for another collection pass list(documents)."
        )
    return [check_text(f"documents[{index}]", document) for index, document in enumerate(documents)]


def check_pairs(pairs: object) -> list[tuple[str, str]]:
    """Return the pairs as a list of tuples if each is a query and a document."""
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Sequence):
        raise InvalidTypeError(f"pairs must be a list of (query, document) tuples, got {_describe(pairs)}.")
    return [_check_pair(index, pair) for index, pair in enumerate(pairs)]


def _check_pair(index: int, pair: object) -> tuple[str, str]:
    if isinstance(pair, str | bytes) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise InvalidTypeError(f"pairs[{index}] must be a (query, document) tuple, got {_describe(pair)}.")
    query = check_text(f"the query of pairs[{index}]", pair[0])
    if not query.strip():
        raise InvalidValueError(f"the query of pairs[{index}] is empty or blank, got {query!r}.")
    return query, check_text(f"the document of pairs[{index}]", pair[1])


def check_top_n(top_n: object) -> int | None:
    """Return `top_n` if it is a positive integer, or None, which keeps all."""
    if top_n is None:
        return None
    if isinstance(top_n, bool) or not isinstance(top_n, Integral):
        raise InvalidTypeError(f"top_n must be a positive integer or None, got {_describe(top_n)}.")
    if top_n < 1:
        raise InvalidValueError(f"top_n must be a positive integer or None, got {top_n}.")
    return int(top_n)


def check_score_threshold(threshold: object) -> float | None:
    """Return the threshold if it is a number, or None, which keeps all."""
    if threshold is None:
        return None
    if isinstance(threshold, bool) or not isinstance(threshold, Real):
        raise InvalidTypeError(f"score_threshold must be a number or None, got {_describe(threshold)}.")
    if math.isnan(threshold):
        raise InvalidValueError("score_threshold must be a number or None, got NaN, which no score can reach.")
    return float(threshold)


def _describe(value: object) -> str:
    if value is None:
        return "None"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 40 else shown[:37] + '...'}"
