"""Refuse bad input with the value, what is wrong with it, and what to do."""

import math
from collections.abc import Sequence
from itertools import chain, groupby
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, cast

from rerank_plugins.errors import InvalidTypeError, InvalidValueError
from rerank_plugins.scores import QueryDocuments

# A list that was checked, and how many of its texts had broken characters replaced.
Checked = tuple[QueryDocuments, int]


def valid_unicode(text: str) -> str:
    r"""Return a text that has a UTF-8 form: halves of surrogate pairs are joined, or replaced by U+FFFD.

    PDF extractors and JavaScript leave such halves in texts; one of them must not cost a whole list its ranking.

    Examples:
        >>> valid_unicode("The pump \ud835 must be primed.")
        'The pump � must be primed.'
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def check_text(name: str, text: object) -> str:
    """Return the text, as `valid_unicode`, if it is a string."""
    if not isinstance(text, str):
        raise InvalidTypeError(f"{name} must be a string, got {describe(text)}.{_remedy(name, text)}")
    return valid_unicode(text)


def check_query(query: object, *, name: str = "query") -> str:
    """Return the query if it is a string that is not blank."""
    text = check_text(name, query)
    if not text.strip():
        raise InvalidValueError(f"{name} is empty or blank, got {query!r}. There is nothing to rank by.")
    return text


def check_instruction(name: str, instruction: object) -> str | None:
    """Return the instruction if it is a string that is not blank, or None, which stands for the default."""
    if instruction is None:
        return None
    text = check_text(name, instruction)
    if not text.strip():
        raise InvalidValueError(f"{name} is empty or blank, got {instruction!r}. Leave it out for the default.")
    return text


def check_documents(documents: object, *, name: str = "documents") -> list[str]:
    """Return the documents as a list if they are a sequence of strings; empty strings are documents too.

    Columns and arrays of strings (a pandas Series, a numpy array) are sequences here.
    """
    if hasattr(documents, "tolist") and getattr(documents, "ndim", 0) == 1:
        documents = documents.tolist()
    if isinstance(documents, str | bytes) or not isinstance(documents, Sequence):
        raise InvalidTypeError(f"{name} must be a list of strings, got {describe(documents)}.{_list_remedy(documents)}")
    return [check_text(f"{name}[{index}]", document) for index, document in enumerate(documents)]


def check_list(query: object, documents: object, instruction: object, *, place: str = "") -> Checked:
    """Check one query with its documents.

    Args:
        query: The query.
        documents: Its documents.
        instruction: What relevant means, or None.
        place: What stands behind "query" and "documents" in an error: "[3]" for the fourth of several lists.

    Returns:
        The list, and how many of its texts had broken characters replaced.
    """
    checked = QueryDocuments(
        check_query(query, name=f"query{place}"),
        check_documents(documents, name=f"documents{place}"),
        check_instruction("instruction", instruction),
    )
    replaced = int(query != checked.query) + int(instruction != checked.instruction)
    # Most lists are as they were, which a comparison in C tells, mostly by identity.
    if isinstance(documents, list) and documents == checked.documents:
        return checked, replaced
    given: Any = documents
    return checked, replaced + sum(was != now for was, now in zip(given, checked.documents, strict=True))


def check_lists(queries: object, documents: object, instruction: object) -> list[Checked]:
    """Check several queries, each with its documents; see `check_list`."""
    for name, given in (("queries", queries), ("documents", documents)):
        if isinstance(given, str | bytes) or not isinstance(given, Sequence):
            raise InvalidTypeError(f"{name} must be a list with one entry a query, got {describe(given)}.")
    queries, documents = cast("Sequence[object]", queries), cast("Sequence[object]", documents)
    if len(queries) != len(documents):
        raise InvalidValueError(
            f"{len(queries)} queries and {len(documents)} lists of documents were passed. Pass one list a query."
        )
    return [
        check_list(query, own, instruction, place=f"[{place}]")
        for place, (query, own) in enumerate(zip(queries, documents, strict=True))
    ]


def check_pairs(pairs: object, instruction: object) -> tuple[list[QueryDocuments], int]:
    """Check pairs of a query and a document, and make lists of neighbours with the same query.

    Args:
        pairs: Tuples of a query and a document.
        instruction: What relevant means in all of them, or None.

    Returns:
        The lists, whose documents one after the other are those of the pairs, and how many of the texts had broken
        characters replaced.
    """
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Sequence):
        raise InvalidTypeError(f"pairs must be a list of (query, document) tuples, got {describe(pairs)}.")
    checked = [_check_pair(index, pair) for index, pair in enumerate(pairs)]
    shared = check_instruction("instruction", instruction)
    lists = [
        QueryDocuments(query, [document for _, document in group], shared)
        for query, group in groupby(checked, key=lambda pair: pair[0])
    ]
    given, kept = chain.from_iterable(pairs), chain.from_iterable(checked)
    return lists, int(instruction != shared) + sum(was != now for was, now in zip(given, kept, strict=True))


def _check_pair(index: int, pair: object) -> tuple[str, str]:
    if isinstance(pair, str | bytes) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise InvalidTypeError(f"pairs[{index}] must be a (query, document) tuple, got {describe(pair)}.")
    query = check_query(pair[0], name=f"the query of pairs[{index}]")
    return query, check_text(f"the document of pairs[{index}]", pair[1])


def check_top_n(top_n: object) -> int | None:
    """Return `top_n` if it is a positive integer, or None, which keeps all."""
    if top_n is None:
        return None
    if isinstance(top_n, bool) or not isinstance(top_n, Integral):
        raise InvalidTypeError(f"top_n must be a positive integer or None, got {describe(top_n)}.")
    if top_n < 1:
        raise InvalidValueError(f"top_n must be a positive integer or None, got {top_n}.")
    return int(top_n)


def check_score_threshold(threshold: object) -> float | None:
    """Return the threshold if it is a number, or None, which keeps all."""
    if threshold is None:
        return None
    if isinstance(threshold, bool) or not isinstance(threshold, Real):
        raise InvalidTypeError(f"score_threshold must be a number or None, got {describe(threshold)}.")
    try:
        number = float(threshold)
    except OverflowError:  # An integer beyond any float: no score reaches it, or all scores do.
        return math.inf if cast("int", threshold) > 0 else -math.inf
    if math.isnan(number):
        raise InvalidValueError("score_threshold must be a number or None, got NaN, which no score can reach.")
    return number


def plain_path(path: Any) -> Any:
    """Return a path as a string; anything else is left for the check of its field."""
    return fspath(path) if isinstance(path, PathLike) else path


def describe(value: object) -> str:
    """Name a wrong value in an error: its type and the start of its representation."""
    if value is None:
        return "None"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 40 else shown[:37] + '...'}"


def _remedy(name: str, text: object) -> str:
    """Say how to get at the text in what people pass in its place."""
    kind, owner = type(text).__name__, name.partition("[")[0]
    if hasattr(text, "page_content"):
        return f" For LangChain documents use RerankCompressor, or pass [each.page_content for each in {owner}]."
    if hasattr(text, "get_content"):
        return f" For LlamaIndex nodes use RerankPostprocessor, or pass [each.get_content() for each in {owner}]."
    if isinstance(text, dict):
        key = "text" if "text" in text else next(iter(text), "text")
        return f" Pass [each[{key!r}] for each in {owner}]."
    if isinstance(text, float) and math.isnan(text):
        return " It is a missing value: drop it, or fill it with '' (Series.fillna(''))."
    return " Decode it first: bytes.decode()." if kind in ("bytes", "bytearray") else ""


def _list_remedy(documents: object) -> str:
    if hasattr(documents, "columns") and hasattr(documents, "iloc"):
        columns = ", ".join(map(repr, list(documents.columns)[:8]))
        return f" Pass the column with the texts, documents['text']. The columns are: {columns}."
    if isinstance(documents, dict):
        return " Pass its texts, list(documents.values()), or a list of them: `index` refers to places in a list."
    if isinstance(documents, str):
        return " For one document pass [document]."
    return " Pass list(documents): `index` in the results refers to places in a list."
