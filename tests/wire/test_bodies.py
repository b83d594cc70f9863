"""From bytes to a request: what is taken, what is left unread, and what is refused before it is built."""

import tracemalloc

import pytest

from rerank_plugins.results import RankResult, ReportedList, RerankReport
from rerank_plugins.wire.base import Format, RerankRequest
from rerank_plugins.wire.bodies import encode, parse
from rerank_plugins.wire.errors import IncompleteBodyError, InvalidBodyError, UnreadableBodyError
from rerank_plugins.wire.paths import FORMATS, format_at

MIB = 2**20


def parsed(body: bytes, path: str = "/rerank", most: int = 1_000) -> tuple[Format, RerankRequest]:
    return parse(body, FORMATS[path], lambda fields: format_at(path, fields), most=most)


def filled(start: bytes, item: bytes, end: bytes, size: int = 4 * MIB) -> bytes:
    return start + b",".join([item] * ((size - len(start) - len(end)) // (len(item) + 1))) + end


def answered(body: bytes) -> bytes:
    """What the introduction's format answers to a body, with scores of zero."""
    wire_format, request = parsed(body)
    results = [RankResult(index=index, score=0.5, raw_score=0.0) for index in range(len(request.texts))]
    report = RerankReport(model="any", candidates=len(results), kept=len(results))
    return encode(wire_format.answer(request, ReportedList(results, report), "1"))


@pytest.mark.parametrize(
    "item",
    [b"{}", b"[]", b"1", b"1.5", b'""', b'{"a":[{}]}', b"null"],
)
def test_unknown_fields_are_not_built(item: bytes) -> None:
    body = filled(b'{"query":"who","documents":[{"text":"a"}],"x":[', item, b"]}")
    tracemalloc.start()
    _, request = parsed(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert request.texts == ["a"]
    assert peak < len(body) / 10


@pytest.mark.parametrize("item", [b'""', b'"a"', b'{"text":""}', b'{"text":"a","x":{}}', b"{}", b"1", b"null"])
def test_a_list_that_is_too_long_is_not_built(item: bytes) -> None:
    body = filled(b'{"query":"who","documents":[', item, b"]}", 16 * MIB)
    tracemalloc.start()
    with pytest.raises(InvalidBodyError, match=r"documents (has more than|exceed)|documents\.0"):
        parsed(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 7 * len(body)


@pytest.mark.parametrize(
    "extra",
    [b'"\\ud800"', b"[" * 253 + b"]" * 253, b"1e400", b"123456789012345678901234567890", b"1.0", b'"\\u00e9"', b"null"],
)
def test_what_an_object_holds_goes_back_as_it_came(extra: bytes) -> None:
    document = b'{"text":"a", "x":' + extra + b"}"
    sent = b'{"query":"who","documents":["b",' + document + b"]}"
    expected = document.replace(b"\\ud800", b"\\ufffd")
    assert expected in answered(sent)


def test_nothing_is_sent_back_that_is_no_utf_8() -> None:
    with pytest.raises(UnreadableBodyError, match="documents is not valid UTF-8"):
        answered(b'{"query":"who","documents":[{"text":"a","x":"\xff"}]}')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\\ud83e\\udd8a", "🦊"), (b"a\\ud83e", "a�"), (b"\\udd8a", "�"), (b"\\ud83e\\ud83e\\udd8a", "�🦊"),
        (b"\\udd8a\\ud83e", "��"), (b"\\\\ud83e", "\\ud83e"), (b"\\\\\\ud83e", "\\�"),
    ],
)  # fmt: skip
def test_half_characters_are_replaced(text: bytes, expected: str) -> None:
    _, request = parsed(b'{"query":"who","documents":["' + text + b'", "\\udfff"]}')
    assert request.texts == [expected, "�"]


def test_a_byte_order_mark_is_allowed() -> None:
    assert parsed(b'\xef\xbb\xbf{"query":"who","documents":["a"]}')[1].query == "who"


def test_escaped_names_are_names() -> None:
    assert parsed(b'{"\\u0071uery":"who","docum\\u0065nts":["a"]}')[1].query == "who"


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"", UnreadableBodyError, "Input data was truncated"),
        (b"[]", InvalidBodyError, "the body: Expected `object`, got `array`"),
        (b'{"x":' + b"[" * 20_000, UnreadableBodyError, "nested too deeply"),
        (b'{"query":"who","documents":[NaN]}', UnreadableBodyError, "invalid character"),
        (b'{"query":"who","documents":{"a":1}}', InvalidBodyError, "documents: Input should be a valid list"),
        (b'{"query":{"a":1},"documents":["a"]}', InvalidBodyError, "query: Input should be a valid string"),
        (b'{"query":"who","documents":["a"],"top_n":[1]}', InvalidBodyError, "top_n: Input should be"),
        (b'{"query":"who","documents":["a",{"text":null}]}', InvalidBodyError, r"documents\.1\.text: Input should be"),
        (b'{"query":"who","documents":["a",{}]}', InvalidBodyError, r"documents\.1\.text: Field required"),
        (b'{"query":"who","texts":["a",{"text":"b"}]}', InvalidBodyError, r"texts\.1: Input should be a valid string"),
        (b'{"documents":["a"]}', IncompleteBodyError, "Missing 'query' or 'documents'"),
        (b'{"query":"who","documents":["a","b","c"]}', InvalidBodyError, "3 documents exceed the limit of 2"),
    ],
)
def test_an_error_says_what_is_wrong(body: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parsed(body, most=2)
