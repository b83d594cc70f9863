"""Parse a body into the few fields that its format has; nothing else in it is built, however much there is.

msgspec skips unknown fields unread: 16 MiB of `{}` in one of them take 50 ms of processor time and no memory, where
the standard library's parser takes 2.3 s and 900 MiB (`benchmarks/bodies.py`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType
from pydantic import BaseModel, ValidationError

from rerank_plugins.wire.base import Format, ItemType, Req, RerankRequest, TextDocument
from rerank_plugins.wire.errors import IncompleteBodyError, InvalidBodyError, UnreadableBodyError

Buffer: TypeAlias = bytes | bytearray
# Strings that are always parsed: 26 ms and 30 MB, and more than a thousand documents with all their fields have.
_MOST_STRINGS = 500_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Halves of surrogate pairs, as JavaScript writes them: the first without its second, then the second without its first.
_LONE_FIRST = re.compile(rb"(?<!\\)((?:\\\\)*)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})")
_LONE_SECOND = re.compile(rb"(?<!\\)((?:\\\\)*)(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ITEM = re.compile(r"\$\[(\d+)\](\.text)?`$")
_scalar = msgspec.json.Decoder(str | int | float | bool | None)
_raws = msgspec.json.Decoder(list[Raw])


class _Object(msgspec.Struct):
    """A document as an object, without its other fields."""

    text: str


def parse(
    body: Buffer, formats: Sequence[Format[Any]], choose: Callable[[Mapping[str, Any]], Format[Any]], *, most: int
) -> tuple[Format[Any], RerankRequest]:
    """Parse a request's body.

    Args:
        body: JSON in UTF-8.
        formats: The wire formats that it may be in.
        choose: Says which of them it is in, given its fields.
        most: How many documents it may have.

    Returns:
        Its format, and the request in it.

    Raises:
        InvalidBodyError: If a field is not what the format says, or there are too many documents.
        UnreadableBodyError: If it is not JSON.
        IncompleteBodyError: If a field is missing of which the format's own server says so in words of its own.

    Examples:
        >>> parse(b'{"query": "who", "documents": ["a"]}', (JINA,), lambda fields: JINA, most=10)[1].texts
        ['a']
    """
    fields, raws = _open(body, formats)
    wire_format = choose(fields)
    try:
        return wire_format, _request(wire_format, fields, raws, most)
    except InvalidBodyError as error:
        error.format = wire_format
        raise


def _request(wire_format: Format[Req], fields: dict[str, Any], raws: Mapping[str, Raw], most: int) -> Req:
    model: Any = wire_format.request  # a model of pydantic, which the protocol does not say
    kinds = _item_types(model)
    for name in kinds.keys() & raws.keys():
        fields[name] = _items(name, raws[name], kinds[name], most)
    if (message := wire_format.incomplete(fields)) is not None:
        raise IncompleteBodyError(message)
    try:
        return model.model_validate(fields)  # type: ignore[no-any-return]  # a Req
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidBodyError(f"{_place(first['loc'])}: {first['msg']}.") from None


def encode(answer: Any) -> bytes:
    """Return an answer as JSON, without the fields that are None; documents are as they came, byte by byte."""
    return msgspec.json.encode(answer, enc_hook=_fields_of)


def _open(body: Buffer, formats: Sequence[Format[Any]]) -> tuple[dict[str, Any], dict[str, Raw]]:
    """Return a body's fields, `[None]` for any list, and the lists, which are still to be parsed."""
    envelope = _readable(body, _envelope(tuple(each.request for each in formats)))
    found = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    raws = {name: raw for name, raw in found.items() if isinstance(raw, Raw)}
    lists = {name: raw for name, raw in raws.items() if _first(raw) == b"["}
    return {name: [None] if name in lists else _value(name, raw) for name, raw in raws.items()}, lists


@cache
def _envelope(requests: tuple[type[BaseModel], ...]) -> Any:
    """A decoder for the fields that some requests have, each left as it came."""
    names = dict.fromkeys(name for each in requests for name in each.model_fields)
    return msgspec.json.Decoder(msgspec.defstruct("Envelope", [(name, Raw | UnsetType, UNSET) for name in names]))


def _readable(body: Buffer, decoder: Any) -> Any:
    """Decode, and once more with halves of surrogate pairs replaced if that is what was wrong."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return _decoded(body, decoder)
    except UnreadableBodyError:
        repaired = _LONE_SECOND.sub(rb"\1\\ufffd", _LONE_FIRST.sub(rb"\1\\ufffd", body))
        if repaired == body:
            raise
        return _decoded(repaired, decoder)


def _decoded(body: Buffer | Raw, decoder: Any) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBodyError(f"the body: {error}.") from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise UnreadableBodyError(f"The body is not valid JSON: {reason}.") from None
    except UnicodeDecodeError:
        raise UnreadableBodyError("The body can't be parsed as JSON: it is not valid UTF-8.") from None
    except RecursionError:
        raise UnreadableBodyError("The body can't be parsed as JSON: it is nested too deeply.") from None


def _value(name: str, raw: Raw) -> Any:
    """Return a field's value; `{"": None}` stands for any object, which no field takes."""
    if _first(raw) == b"{":
        return {"": None}
    try:
        return _scalar.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidBodyError(f"{name}: {error}.") from None
    except UnicodeDecodeError:
        raise UnreadableBodyError(f"The body can't be parsed as JSON: {name} is not valid UTF-8.") from None


def _first(raw: Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def _item_types(request: type[BaseModel]) -> dict[str, ItemType]:
    """Return the lists of documents among a request's fields, and what may be in them."""
    return {
        name: kind
        for name, field in request.model_fields.items()
        for kind in field.metadata
        if isinstance(kind, ItemType)
    }


def _items(name: str, raw: Raw, kind: ItemType, most: int) -> list[str | TextDocument]:
    """Parse a list of documents, unless there are too many."""
    strings = max(_MOST_STRINGS, 8 * most)
    # Before anything is built: an item is a string, or has one; the first that is neither ends the parsing.
    if len(raw) > 3 * strings and bytes(memoryview(raw)).count(b'"') > 2 * strings:
        raise InvalidBodyError(
            f"{name} has more than {strings:,} strings. Send at most {most:,} documents per request."
        )
    decoder: Any = _documents if kind.objects else _strings
    try:
        items: list[str | _Object] = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidBodyError(_wrong_item(name, str(error))) from None
    except UnicodeDecodeError:
        raise UnreadableBodyError(f"The body can't be parsed as JSON: {name} is not valid UTF-8.") from None
    if len(items) > most:
        raise InvalidBodyError(
            f"{len(items):,} documents exceed the limit of {most:,} per request. Send fewer, or several requests."
        )
    if all(isinstance(item, str) for item in items):
        return items  # type: ignore[return-value]  # as has just been checked
    sent = zip(items, _raws.decode(raw), strict=True)
    return [item if isinstance(item, str) else _object(name, item.text, own) for item, own in sent]


def _object(name: str, text: str, raw: Raw) -> TextDocument:
    try:
        bytes(memoryview(raw)).decode()
    except UnicodeDecodeError:
        raise UnreadableBodyError(f"The body can't be parsed as JSON: {name} is not valid UTF-8.") from None
    return TextDocument.sent(text, raw)


def _wrong_item(name: str, error: str) -> str:
    """Say which item is wrong, in pydantic's words."""
    found = _ITEM.search(error)
    index, text = found.groups("") if found else ("0", "")
    missing = error.startswith("Object missing")
    place = f"{name}.{index}{'.text' if missing else text}"
    return f"{place}: {'Field required' if missing else 'Input should be a valid string'}."


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the body"


def _fields_of(value: object) -> Any:
    """Return what msgspec encodes in the place of a model."""
    if isinstance(value, TextDocument) and value.raw is not None:
        return value.raw
    if isinstance(value, BaseModel):
        return {name: each for name, each in value if each is not None}
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON.")


_documents = msgspec.json.Decoder(list[str | _Object])
_strings = msgspec.json.Decoder(list[str])
