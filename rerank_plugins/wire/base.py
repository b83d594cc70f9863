"""What every wire format offers: its request, its answer and its error, as one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, FailFast, Field, Tag

from rerank_plugins.errors import RerankError
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.service.errors import status_of

Results = ReportedList[RankResult]


def whole(value: object) -> object:
    """Take 3.0 for 3, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Field(strict=True), BeforeValidator(whole)]
TopN = Annotated[int, Field(strict=True, ge=1, description="How many to return."), BeforeValidator(whole)]
Flag = Annotated[bool, Field(strict=True)]


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("it is blank, and there is nothing to rank by")
    return value


# The pattern is for the OpenAPI document: as a rule its message would be no help.
Query = Annotated[
    str,
    Field(min_length=1, description="What to rank by.", json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_said),
]


class Schema(BaseModel):
    """A value on the wire; fields that it does not know are ignored, as the SDKs send more than they document."""

    model_config = ConfigDict(frozen=True)


class TextDocument(Schema):
    """A document as an object; what else is in it goes back where documents go back as they came."""

    model_config = ConfigDict(frozen=True, extra="allow")

    text: str = Field(description="The document.")


def _kind(value: object) -> str:
    return "as-object" if isinstance(value, dict | TextDocument) else "as-string"


# By what it is, so that an error speaks of one of them and not of both.
Document = Annotated[Annotated[str, Tag("as-string")] | Annotated[TextDocument, Tag("as-object")], Discriminator(_kind)]
# Above any limit that a service would be given; the service's own is `max_documents`.
_MOST = 1_000_000
# An error for each of a million items would take minutes and gigabytes: the first one says enough.
Documents = Annotated[
    list[Document],
    Field(min_length=1, max_length=_MOST, description="The documents, in the retriever's order."),
    FailFast(),
]
Texts = Annotated[
    list[str],
    Field(min_length=1, max_length=_MOST, description="The documents, in the retriever's order."),
    FailFast(),
]


class RerankRequest(Protocol):
    """What the engine must know of a request, in any wire format."""

    @property
    def query(self) -> str:
        """What to rank by."""
        ...

    @property
    def texts(self) -> list[str]:
        """The documents, in the caller's order."""
        ...

    @property
    def top_n(self) -> int | None:
        """How many results are wanted; None for all."""
        ...


class DocumentsRequest(Schema):
    """What the formats with `documents` share."""

    query: Query
    documents: Documents
    top_n: TopN | None = None

    @property
    def texts(self) -> list[str]:
        """The documents, in the caller's order."""
        return [each if isinstance(each, str) else each.text for each in self.documents]


Req = TypeVar("Req", bound=RerankRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Generic[Req]):
    """A wire format.

    Attributes:
        name: Whose it is, for the log.
        answer: Makes the answer of a request, its results and its id.
        failure: Makes the body of an error, from the status, the message and the request's id.
        error_schema: What `failure` makes, for the OpenAPI document.
        statuses: Where this format has another status for an error than the table has.
    """

    name: str
    answer: Callable[[Req, Results, str], Any]
    failure: Callable[[int, str, str], BaseModel]
    error_schema: type[BaseModel]
    statuses: Mapping[type[RerankError], int] = field(default_factory=dict)

    def status_of(self, error: RerankError) -> int:
        """Return the status of an error in this format."""
        own = (status for kind, status in self.statuses.items() if isinstance(error, kind))
        return next(own, status_of(error))
