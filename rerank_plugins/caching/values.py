"""Scores as bytes, for caches outside of this process; bytes that are not exactly a score of that key are none.

A value has 14 bytes, or 22 where the document was read in windows; numbers are little-endian:

| bytes | type | what |
|---|---|---|
| 0 | u8 | version of this format |
| 1 | u8 | flags: 1 query truncated, 2 document truncated, 4 a span follows |
| 2-9 | f64 | the raw score |
| 10-17 | 2 x u32 | the span's first character, and the one after its last; only with flag 4 |
| last 4 | u32 | CRC-32 of the key and of all bytes before |

A CRC-32 finds every change of up to 32 bits in a row, and all but one in 4 billion of other values, such as one that
was stored under another key. It is not a signature: whoever may write to the cache can write scores.
"""

import math
import struct
import zlib

from rerank_plugins.scores import DocumentScore

# Raise it with every change of the format: releases that share a cache then miss each other's values.
VALUE_VERSION = 1

_QUERY_TRUNCATED, _DOCUMENT_TRUNCATED, _HAS_SPAN = 1, 2, 4
_SCORE = struct.Struct("<BBd")
_SPAN = struct.Struct("<2I")
_CHECKSUM = struct.Struct("<I")
# The length of a value by whether it has a span.
VALUE_BYTES = {False: _SCORE.size + _CHECKSUM.size, True: _SCORE.size + _SPAN.size + _CHECKSUM.size}


def pack_score(key: bytes, score: DocumentScore) -> bytes:
    """Turn the score that is stored under a key into bytes.

    Examples:
        >>> len(pack_score(b"a" * 32, DocumentScore(1.5)))
        14
    """
    flags = (
        score.query_truncated * _QUERY_TRUNCATED
        | score.document_truncated * _DOCUMENT_TRUNCATED
        | (score.span is not None) * _HAS_SPAN
    )
    body = _SCORE.pack(VALUE_VERSION, flags, score.raw) + (b"" if score.span is None else _SPAN.pack(*score.span))
    return body + _checksum(key, body)


def unpack_score(key: bytes, value: object) -> DocumentScore | None:
    """Return the score that bytes hold for a key; None for anything else, whoever wrote it."""
    if not isinstance(value, bytes) or len(value) not in VALUE_BYTES.values():
        return None
    body, checksum = value[: -_CHECKSUM.size], value[-_CHECKSUM.size :]
    if checksum != _checksum(key, body):
        return None
    version, flags, raw = _SCORE.unpack_from(body)
    has_span = bool(flags & _HAS_SPAN)
    known = version == VALUE_VERSION and not flags & ~(_QUERY_TRUNCATED | _DOCUMENT_TRUNCATED | _HAS_SPAN)
    if not known or len(value) != VALUE_BYTES[has_span] or not math.isfinite(raw):
        return None
    span = _SPAN.unpack_from(body, _SCORE.size) if has_span else None
    if span is not None and span[0] > span[1]:
        return None
    return DocumentScore(raw, bool(flags & _QUERY_TRUNCATED), bool(flags & _DOCUMENT_TRUNCATED), span)


def _checksum(key: bytes, body: bytes) -> bytes:
    return _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(key)))
