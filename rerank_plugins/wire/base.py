"""What every wire format consists of: a request, a response and an error, as one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Protocol, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    PrivateAttr,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from rerank_plugins.errors import RerankError
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.validation import valid_unicode

Results = ReportedList[RankResult]


def not_a_bool(value: object) -> object:
    """Refuse `true` as a number, which pydantic reads as 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "Input should be a whole number, not true or false")
    return value


def _spellings() -> list[str]:
    """The strings that pydantic, and with it vLLM and infinity, reads as booleans, in the usual capitalizations."""
    words = ("true", "false", "yes", "no", "on", "off", "t", "f", "y", "n", "1", "0")
    return sorted({form for word in words for form in (word, word.capitalize(), word.upper())})


# Strict: for servers that take `true` and nothing else.
StrictFlag = Annotated[bool, Field(strict=True)]
# Lax: for servers written with pydantic, whose clients send `"true"` and `"1"` too.
Flag = Annotated[
    bool, WithJsonSchema({"type": ["boolean", "integer", "string"], "enum": [True, False, 0, 1, *_spellings()]})
]


def lax_number(strings: str, **limits: int) -> WithJsonSchema:
    """Describe a whole number that may be sent as a string, which the generated schema would leave out.

    Args:
        strings: The pattern of such a string.
        limits: `minimum` of the number.
    """
    return WithJsonSchema({"type": ["integer", "string"], **limits, "pattern": strings})


Whole = Annotated[int, BeforeValidator(not_a_bool), lax_number("^-?[0-9]+$")]
TopN = Annotated[int, Field(ge=1), BeforeValidator(not_a_bool), lax_number("^[1-9][0-9]*$", minimum=1)]


def _joined(value: object) -> object:
    """Replace halves of surrogate pairs, which clients in JavaScript send and no JSON response can carry."""
    return valid_unicode(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_joined)]


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "the text is blank")
    return value


# Length and pattern are for the OpenAPI document: as constraints their error messages would be unhelpful. The pattern
# adds what Python counts as whitespace and JavaScript does not.
_NotBlank = Annotated[
    Text,
    Field(json_schema_extra={"minLength": 1, "pattern": r"[^\s\u001c-\u001f\u0085]"}),
    AfterValidator(_not_blank),
]
Query = Annotated[_NotBlank, Field(description="The query to rank by.")]
# vLLM's field, in every format: whatever a client asks for with it is done or refused.
Instruction = Annotated[
    _NotBlank | None,
    Field(description="What relevant means, for a model whose prompt has a place for it; refused by other models."),
]


class Schema(BaseModel):
    """A value on the wire. Unknown fields are ignored, because SDKs send more than they document."""

    model_config = ConfigDict(frozen=True)


class TextDocument(Schema):
    """A document as an object. Its other fields are returned where documents are returned unchanged."""

    model_config = ConfigDict(frozen=True, extra="allow")

    text: Text = Field(description="The document's text.")
    _raw: Any = PrivateAttr(default=None)

    @property
    def raw(self) -> Any:
        """The object as it was sent, which goes back byte by byte; None if it was not sent by a caller."""
        return self._raw

    @classmethod
    def sent(cls, text: str, raw: object) -> Self:
        """Return a document as a caller sent it: its text, and all of it as JSON."""
        document = cls(text=text)
        document._raw = raw
        return document


def _kind(value: object) -> str:
    return "as-object" if isinstance(value, dict | TextDocument) else "as-string"


# Discriminated, so that an error is about one of the two forms and not about both.
Document = Annotated[
    Annotated[Text, Tag("as-string")] | Annotated[TextDocument, Tag("as-object")], Discriminator(_kind)
]


@dataclass(frozen=True, slots=True)
class ItemType:
    """Marks a field as a list of documents, for whoever parses it.

    Attributes:
        objects: Whether a document may be an object with a `text`.
    """

    objects: bool


def _not_empty(value: list[Any]) -> list[Any]:
    if not value:
        raise PydanticCustomError("empty", "the list is empty. Send at least one document")
    return value


Documents = Annotated[
    list[Document],
    ItemType(objects=True),
    Field(description="The documents, in the retriever's order.", json_schema_extra={"minItems": 1}),
    FailFast(),
    AfterValidator(_not_empty),
]
Texts = Annotated[
    list[Text],
    ItemType(objects=False),
    Field(description="The documents, in the retriever's order.", json_schema_extra={"minItems": 1}),
    FailFast(),
    AfterValidator(_not_empty),
]


class RerankRequest(Protocol):
    """What ranking needs from a request, in any wire format."""

    @property
    def query(self) -> str:
        """The query to rank by."""
        ...

    @property
    def texts(self) -> list[str]:
        """The documents, in the caller's order."""
        ...

    @property
    def instruction(self) -> str | None:
        """What relevant means; None for what the service takes it to mean."""
        ...

    @property
    def top_n(self) -> int | None:
        """How many results to return; None for all."""
        ...


class DocumentsRequest(Schema):
    """The fields shared by the formats with `documents`."""

    query: Query
    instruction: Instruction = None
    documents: Documents
    top_n: TopN | None = Field(default=None, description="How many results to return; all by default.")

    @property
    def texts(self) -> list[str]:
        """The documents, in the caller's order."""
        return [each if isinstance(each, str) else each.text for each in self.documents]


def nothing_missing(_: Mapping[str, Any]) -> None:
    """Leave an incomplete body to the general error: 422 with the field's name."""


Req = TypeVar("Req", bound=RerankRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format(Generic[Req]):
    """A wire format.

    Attributes:
        name: Its name in the log.
        request: The model of its request body.
        answer: Builds the response from a request, its results and the request id.
        failure: Builds the body of an error from the status, the message and the request id.
        error_schema: What `failure` builds, for the OpenAPI document.
        statuses: The statuses of errors that this format's own server answers differently from the others.
        incomplete: Given an invalid body: the format's own message for a 400, if its server has one for this case.
    """

    name: str
    request: type[Req]
    answer: Callable[[Req, Results, str], Any]
    failure: Callable[[int, str, str], BaseModel]
    error_schema: type[BaseModel]
    statuses: Mapping[type[RerankError], int] = field(default_factory=dict)
    incomplete: Callable[[Mapping[str, Any]], str | None] = nothing_missing
