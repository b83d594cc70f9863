"""Turn (query, document) pairs into token ids that fit: the query whole, the document truncated or in windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rerank_plugins.text.template import PairTemplate
from rerank_plugins.text.tokenizer import Span, TextTokenizer, TokenizedText

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

    @classmethod
    def of(cls, readings: Sequence[Sequence[EncodedPair]]) -> "EncodedPairs":
        """Collect what the model reads of each of the caller's pairs."""
        return cls(
            pairs=[each for reading in readings for each in reading],
            owners=[place for place, reading in enumerate(readings) for _ in reading],
        )


class Encoder(Protocol):
    """What turns pairs into token ids that fit.

    Attributes:
        max_length: Tokens of a pair, after the model's own limit.
        takes_instruction: Whether the model's prompt has a place for an instruction.
        fingerprint: Names what decides token ids beside the tokenizer: the prompt.
    """

    max_length: int
    takes_instruction: bool
    fingerprint: str

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
        query_prompt: What stands before each query, as sentence-transformers puts a default prompt before the first
            text of a pair (`InputFormatter.prepend_prompt_to_texts`).

    Attributes:
        max_length: Tokens of a pair, after the model's own limit.
        fingerprint: The query's prompt.
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
        query_prompt: str = "",
    ) -> None:
        self.fingerprint = query_prompt
        self._tokenizer = tokenizer
        self._query_prompt = query_prompt
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
        prompted = [(self._query_prompt + query, document) for query, document, _ in pairs]
        texts = list(dict.fromkeys(text for pair in prompted for text in pair))
        tokenized = dict(zip(texts, self._tokenize(texts), strict=True))
        return EncodedPairs.of([self._fit(tokenized[query], tokenized[document]) for query, document in prompted])

    def _tokenize(self, texts: list[str]) -> list[TokenizedText]:
        if self._max_windows is None:
            return self._tokenizer.encode(texts, enough=self._room)
        return self._tokenizer.encode_with_spans(texts, enough=self._room * self._max_windows)

    def _fit(self, query: TokenizedText, document: TokenizedText) -> list[EncodedPair]:
        query_ids = query.ids[: self._query_room]
        query_truncated = len(query_ids) < len(query.ids)
        room = min(self._document_room, self._room - len(query_ids))
        fixed = len(query_ids) + self._special
        return [
            EncodedPair(query_ids, cut.ids, fixed + len(cut.ids), query_truncated, cut.truncated, cut.span)
            for cut in cut_document(document, room, self._max_windows)
        ]


class Cut(NamedTuple):
    """What is read of a document at once.

    Attributes:
        ids: Its token ids.
        truncated: Whether the document goes on, and is not read further.
        span: The characters of the document; None where it is not read in windows.
    """

    ids: tuple[int, ...]
    truncated: bool
    span: Span | None = None


def cut_document(document: TokenizedText, room: int, max_windows: int | None) -> list[Cut]:
    """Cut a document to fit: one piece, or overlapping windows.

    Args:
        document: Its tokens; in windows with spans.
        room: Tokens of a piece.
        max_windows: Windows at most; None: it is truncated.
    """
    if document.spans is None or max_windows is None or len(document.ids) <= room:
        ids = document.ids[:room]
        return [Cut(ids, truncated=len(ids) < len(document.ids))]
    spans = document.spans
    starts = _window_starts(len(document.ids), room)
    read = starts[:max_windows]
    return [
        Cut(
            document.ids[start : start + room],
            truncated=len(read) < len(starts),
            span=(spans[start][0], spans[start + room - 1][1]),
        )
        for start in read
    ]


def _window_starts(tokens: int, room: int) -> list[int]:
    """Where windows of `room` tokens start; the last one ends with the document, and is as full as the others."""
    last = tokens - room
    return [*range(0, last, max(1, int(room * (1 - _OVERLAP)))), last]
