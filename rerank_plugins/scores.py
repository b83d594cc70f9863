"""What scorers take and give: lists of documents in, raw scores out, with what it took."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# The characters `[start, end)` of a text.
Span = tuple[int, int]


class ScoreScale(StrEnum):
    """What a scorer's raw scores are, and so what can be made of them."""

    LOGIT = "logit"
    """A classifier's logit: a sigmoid maps it to 0..1."""
    LOG_ODDS = "log-odds"
    """The logit of one answer against all others, such as "yes" and "no": a sigmoid maps it to its probability."""
    TOKEN_LOGIT = "token-logit"  # noqa: S105 - a token of a text
    """One token's logit: it orders, and has no fixed zero."""
    PROBABILITY = "probability"
    """Between 0 and 1 already."""
    PROVIDER = "provider"
    """A provider's own scale: it orders, and its thresholds are the provider's."""


@dataclass(frozen=True, slots=True)
class QueryDocuments:
    """One query and the documents to score for it.

    Attributes:
        query: What the user asks.
        documents: The candidates.
        instruction: What relevant means, for models whose prompt has a place for it.
    """

    query: str
    documents: Sequence[str]
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentScore:
    """What a scorer says of one document.

    Attributes:
        raw: The raw score, on the scorer's own scale: higher is more relevant.
        query_truncated: Whether only a part of the query was read.
        document_truncated: Whether only a part of the document was read.
        span: The characters of the document that won, where it was read in windows.
    """

    raw: float
    query_truncated: bool = False
    document_truncated: bool = False
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What scoring one list took.

    Attributes:
        scored: Pairs that the model read; identical ones are read once.
        cached: Different pairs that came from a cache.
        windows: Windows that were read beyond one a pair.
        tokens: Tokens that the model read, special tokens included, padding not.
        padding: Tokens that were added to make the pairs of a batch equally long.
    """

    scored: int = 0
    cached: int = 0
    windows: int = 0
    tokens: int = 0
    padding: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the time of a call went, in seconds; the lists of one call share it.

    Attributes:
        queue: Until the first pair's batch started.
        tokenize: Looking pairs up in a cache, and turning texts into token ids until the first were queued.
        forward: From the first batch's start to the last score.
    """

    queue: float = 0.0
    tokenize: float = 0.0
    forward: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The scores of one list.

    Attributes:
        scores: One a document, in the caller's order.
        usage: What it took.
        timing: Where the time went.
        unreadable: Texts, by language, that the model cannot read.
        fallback: Why another scorer answered than the one that was asked; None where it did not.
    """

    scores: Sequence[DocumentScore]
    usage: Usage = Usage()
    timing: Timing = Timing()
    unreadable: Counter[str] = field(default_factory=Counter)
    fallback: str | None = None
