"""Turn (query, document) pairs into token ids that fit: the query whole, the document truncated or in windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rerank_plugins.options import ReadingOptions
from rerank_plugins.options.declaration import options_of
from rerank_plugins.text.template import PairTemplate
from rerank_plugins.text.tokenizer import Span, TextTokenizer, TokenizedText

# Part of every cache key: raise it when a change here, or in the tokenizer's room, can change a score.
ENCODING_VERSION = 1
# The share of a window that the next one repeats, so a sentence at the end of one stands whole in the other.
_OVERLAP = 0.25


class Pair(NamedTuple):
    """What a model reads at once.

    Attributes:
        query: What the user asks.
        document: A candidate.
        instruction: What relevant means; None: what the model's own prompt says.
    """

    query: str
    document: str
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair's token ids, truncated to fit, without the template's special tokens.

    Attributes:
        query: The query's ids.
        document: The document's ids.
        length: Tokens of the pair, special tokens included.
        query_truncated: Whether the query was truncated.
        document_truncated: Whether the document was truncated.
        span: The characters of the document in this window; None where it is not read in windows.
    """

    query: tuple[int, ...]
    document: tuple[int, ...]
    length: int
    query_truncated: bool
    document_truncated: bool
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """Encoded pairs.

    Attributes:
        pairs: What the model reads, in the caller's order; a long document in windows makes several.
        owners: For each of them, the place of the caller's pair that it belongs to.
    """

    pairs: list[EncodedPair]
    owners: list[int]


class Encoder(Protocol):
    """What turns pairs into token ids that fit.

    Attributes:
        max_length: Tokens of a pair, after the model's own limit.
        takes_instruction: Whether the model's prompt has a place for an instruction.
    """

    max_length: int
    takes_instruction: bool

    def encode(self, pairs: Sequence[Pair]) -> EncodedPairs:
        """Encode pairs in their order; a text that occurs more than once is tokenized once."""
        ...


class PairEncoder:
    """Encode pairs for one model at one length.

    A query may take three quarters of the room, as in FlagEmbedding's `FlagReranker`; the document gets the rest.

    Args:
        tokenizer: The model's tokenizer.
        template: The model's pair template.
        max_length: Tokens of a pair, special tokens included.
        max_positions: Positions that the model has, for the pair or, where they restart, for each segment; None: no
            limit.
        max_windows: Windows that a long document is read in at most; None: it is truncated.

    Attributes:
        max_length: Tokens of a pair, after the model's own limit.
    """

    takes_instruction = False

    def __init__(
        self,
        tokenizer: TextTokenizer,
        template: PairTemplate,
        *,
        max_length: int,
        max_positions: int | None,
        max_windows: int | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._special = template.special
        self._max_windows = max_windows
        limit = math.inf if max_positions is None else max_positions
        query_special = len(template.prefix.ids) + template.boundary
        document_special = template.special - query_special
        self.max_length = int(min(max_length, limit * 2 if template.restarts else limit))
        self._room = self.max_length - template.special
        self._query_room = int(min(self._room * 3 // 4, limit - query_special))
        self._document_room = int(min(self._room, limit - document_special))

    def encode(self, pairs: Sequence[Pair]) -> EncodedPairs:
        """Encode pairs in their order; a text that occurs more than once is tokenized once."""
        texts = list(dict.fromkeys(text for query, document, _ in pairs for text in (query, document)))
        tokenized = dict(zip(texts, self._tokenize(texts), strict=True))
        readings = [self._fit(tokenized[query], tokenized[document]) for query, document, _ in pairs]
        return EncodedPairs(
            pairs=[each for reading in readings for each in reading],
            owners=[place for place, reading in enumerate(readings) for _ in reading],
        )

    def _tokenize(self, texts: list[str]) -> list[TokenizedText]:
        if self._max_windows is None:
            return self._tokenizer.encode(texts, enough=self._room)
        return self._tokenizer.encode_with_spans(texts, enough=self._room * self._max_windows)

    def _fit(self, query: TokenizedText, document: TokenizedText) -> list[EncodedPair]:
        query_ids = query.ids[: self._query_room]
        query_truncated = len(query_ids) < len(query.ids)
        room = min(self._document_room, self._room - len(query_ids))
        fixed = len(query_ids) + self._special
        if document.spans is None or len(document.ids) <= room:
            ids = document.ids[:room]
            truncated = len(ids) < len(document.ids)
            return [EncodedPair(query_ids, ids, fixed + len(ids), query_truncated, truncated)]
        spans = document.spans
        starts = _window_starts(len(document.ids), room)
        read = starts[: self._max_windows]
        return [
            EncodedPair(
                query_ids,
                document.ids[start : start + room],
                fixed + room,
                query_truncated,
                document_truncated=len(read) < len(starts),
                span=(spans[start][0], spans[start + room - 1][1]),
            )
            for start in read
        ]


def pair_encoder(
    tokenizer: TextTokenizer,
    template: PairTemplate,
    options: ReadingOptions,
    *,
    default_max_length: int,
    max_positions: int | None,
) -> PairEncoder:
    """Make the encoder that a user's options ask for.

    Args:
        tokenizer: The model's tokenizer.
        template: The model's pair template.
        options: What the user asked for.
        default_max_length: Tokens of a pair where the user asked for nothing.
        max_positions: Positions that the model has; None: no limit.
    """
    return PairEncoder(
        tokenizer,
        template,
        max_length=options.max_length or default_max_length,
        max_positions=max_positions,
        max_windows=options.max_windows if options.long_documents == "windows" else None,
    )


def reading_fingerprint(options: ReadingOptions, *, max_length: int) -> str:
    """Name everything about reading that decides a raw score: all options of the group, and how pairs are encoded.

    An option that is added to the group is in every cache key from the start.

    Args:
        options: What the user asked for.
        max_length: What became of `max_length`.
    """
    names = (option.name for option in options_of(ReadingOptions))
    # The instruction is part of each pair's own key, and the activation comes after the raw score.
    elsewhere = ("instruction", "max_length", "activation")
    values = {name: getattr(options, name) for name in names if name not in elsewhere}
    return f"{ENCODING_VERSION} {max_length} {values}"


def _window_starts(tokens: int, room: int) -> list[int]:
    """Where windows of `room` tokens start; the last one ends with the document, and is as full as the others."""
    last = tokens - room
    return [*range(0, last, max(1, int(room * (1 - _OVERLAP)))), last]
