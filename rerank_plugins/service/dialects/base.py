"""What every wire format offers: its request, its answer and its error, as one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rerank_plugins.types import RankResult, ReportedList

Results = ReportedList[RankResult]


def _whole(value: object) -> object:
    """Take 3.0 for 3, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Field(strict=True), BeforeValidator(_whole)]
TopN = Annotated[int, Field(strict=True, ge=1, description="How many to return."), BeforeValidator(_whole)]
Flag = Annotated[bool, Field(strict=True)]
Query = Annotated[str, Field(min_length=1, pattern=r"\S", description="What to rank by; not blank.")]


class Schema(BaseModel):
    """A value on the wire; fields that it does not know are ignored, as the SDKs send more than they document."""

    model_config = ConfigDict(frozen=True)


class TextDocument(Schema):
    """A document as an object."""

    text: str = Field(description="The document.")


Document = str | TextDocument
Documents = Annotated[list[Document], Field(min_length=1, description="The documents, in the retriever's order.")]


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
        name: Whose it is; the word that metrics and logs use.
        answer: Makes the answer of a request, its results and its id.
        failure: Makes the body of an error, from the status, the message and the request's id.
        error_schema: What `failure` makes, for the OpenAPI document.
        statuses: Where this format has another status for an error than the others.
    """

    name: str
    answer: Callable[[Req, Results, str], Any]
    failure: Callable[[int, str, str], BaseModel]
    error_schema: type[BaseModel]
    statuses: Mapping[int, int] = field(default_factory=dict)
