"""The worst bodies of a size: little to rank, and much to parse."""

from collections.abc import Mapping

START, MORE = b'{"query":"who","documents":[', b'{"query":"who","documents":["a"],"x":['


def filled(start: bytes, item: bytes, size: int, end: bytes = b"]}") -> bytes:
    """Return a body with as many of an item as its size allows."""
    return start + b",".join([item] * ((size - len(start) - len(end)) // (len(item) + 1))) + end


def worst(size: int) -> Mapping[str, bytes]:
    """Return the worst bodies of a size in bytes, by what they are full of."""
    return {
        'documents of ""': filled(START, b'""', size),
        'documents of "a"': filled(START, b'"a"', size),
        "objects with a text": filled(START, b'{"text":""}', size),
        "objects in an unknown field": filled(MORE, b"{}", size),
        "numbers in an unknown field": filled(MORE, b"1.5", size),
        "objects in a document's field": filled(b'{"query":"who","documents":[{"text":"a","x":[', b"{}", size, b"]}]}"),
        "texts with one wide character": filled(START, b'"' + b"a" * 20_000 + "🦊".encode() + b'"', size),
        "texts of escapes": filled(START, b'"' + b"\\u00e9" * 4_000 + b'"', size),
    }
