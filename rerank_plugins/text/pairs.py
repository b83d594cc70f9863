"""Turn (query, document) pairs into what a model reads: the query whole, the document cut to fit or in windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from rerank_plugins.options import LongDocuments
from rerank_plugins.text.tokenizer import Span, TextTokenizer, TokenizedText

# Over half of a text unknown: the model sees its length and little else.
MOSTLY_UNKNOWN = 0.5
# The share of a window that the next one repeats: what stands at the end of one stands whole in the other.
_OVERLAP = 0.25


class SpecialTokens(NamedTuple):
    """Special tokens at one place of a template, and their token types."""

    ids: tuple[int, ...]
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """A pair as a sequence: prefix, query, middle, document, suffix.

    Attributes:
        prefix: What stands before the query.
        middle: What stands between query and document.
        suffix: What stands after the document.
        document_type: The token type of the document; the query's is 0.
        boundary: How many tokens of the middle belong to the query's segment.
        restarts: Whether positions restart at the document's segment.
    """

    prefix: SpecialTokens
    middle: SpecialTokens
    suffix: SpecialTokens
    document_type: int
    boundary: int
    restarts: bool

    @property
    def special(self) -> int:
        """How many special tokens a pair has."""
        return len(self.prefix.ids) + len(self.middle.ids) + len(self.suffix.ids)


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair's token ids, cut to fit, without the template's special tokens.

    Attributes:
        query: The query's ids.
        document: The document's ids.
        length: Tokens of the pair, special tokens included.
        query_truncated: Whether the query was cut.
        document_truncated: Whether the document was cut.
        span: The characters of the document that this is a window of; None where it is read as one.
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
        pairs: What the model reads, in the caller's order; a long document in windows is several.
        owners: Which of the caller's pairs each belongs to.
        unknown: How many texts the vocabulary hardly knows.
    """

    pairs: list[EncodedPair]
    owners: list[int]
    unknown: int


class PairEncoder:
    """Encode pairs for one model at one length.

    A query may take three quarters of the room, as in FlagEmbedding's `FlagReranker`; the document gets the rest.

    Args:
        tokenizer: The model's tokenizer.
        template: The model's pair template.
        max_length: Tokens of a pair, special tokens included.
        max_positions: How many positions the model has, for the pair or, where they restart, for each segment; None
            for no limit.
        long_documents: Whether a document that does not fit is cut, or read in windows that overlap.

    Attributes:
        max_length: Tokens of a pair, after the model's own limit.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        template: PairTemplate,
        *,
        max_length: int,
        max_positions: int | None,
        long_documents: LongDocuments = "truncate",
    ) -> None:
        self.template = template
        self._in_windows = long_documents == "windows"
        self._tokenizer = tokenizer
        limit = math.inf if max_positions is None else max_positions
        query_special = len(template.prefix.ids) + template.boundary
        document_special = template.special - query_special
        self.max_length = int(min(max_length, limit * 2 if template.restarts else limit))
        self._room = self.max_length - template.special
        self._query_room = int(min(self._room * 3 // 4, limit - query_special))
        self._document_room = int(min(self._room, limit - document_special))

    def encode(self, pairs: Sequence[tuple[str, str]]) -> EncodedPairs:
        """Encode pairs in their order; a text that occurs more than once is tokenized once."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        tokenized = dict(zip(texts, self._tokenize(texts), strict=True))
        readings = [self._fit(tokenized[query], tokenized[document]) for query, document in pairs]
        return EncodedPairs(
            pairs=[each for reading in readings for each in reading],
            owners=[place for place, reading in enumerate(readings) for _ in reading],
            unknown=sum(each.unknown > MOSTLY_UNKNOWN for each in tokenized.values()),
        )

    def _tokenize(self, texts: list[str]) -> list[TokenizedText]:
        if self._in_windows:
            return self._tokenizer.encode_with_spans(texts)
        return self._tokenizer.encode(texts, enough=self._room)

    def _fit(self, query: TokenizedText, document: TokenizedText) -> list[EncodedPair]:
        query_ids = query.ids[: self._query_room]
        query_truncated = len(query_ids) < len(query.ids)
        room = min(self._document_room, self._room - len(query_ids))
        fixed = len(query_ids) + self.template.special
        if document.spans is None or len(document.ids) <= room:
            ids = document.ids[:room]
            truncated = len(ids) < len(document.ids)
            return [EncodedPair(query_ids, ids, fixed + len(ids), query_truncated, truncated)]
        spans = document.spans
        return [
            EncodedPair(
                query_ids,
                document.ids[start : start + room],
                fixed + room,
                query_truncated,
                document_truncated=False,
                span=(spans[start][0], spans[start + room - 1][1]),
            )
            for start in _window_starts(len(document.ids), room)
        ]


def _window_starts(tokens: int, room: int) -> list[int]:
    """Where windows of `room` tokens start; the last one ends with the document, and is as full as the others."""
    last = tokens - room
    return [*range(0, last, max(1, int(room * (1 - _OVERLAP)))), last]


def read_template(tokenizer: TextTokenizer, pair_encoding: str) -> PairTemplate:
    """Read off a tokenizer what it puts around a pair, whatever post-processor makes it.

    Args:
        tokenizer: The model's tokenizer.
        pair_encoding: `template` for the tokenizer's own pair template, `segments` for two single sequences.

    Examples:
        >>> read_template(bert_tokenizer, "template").middle.ids  # [SEP]
        (102,)
    """
    return _READERS[pair_encoding](tokenizer.tokenizer)


def _read_pair_template(tokenizer: Tokenizer) -> PairTemplate:
    query, document = _probe(tokenizer, "a"), _probe(tokenizer, "b")
    pair = tokenizer.post_process(query, document)
    prefix_to, suffix_from = _text_range(pair)
    middle_from, middle_to = prefix_to + len(query.ids), suffix_from - len(document.ids)
    return PairTemplate(
        prefix=_special(pair, 0, prefix_to),
        middle=_special(pair, middle_from, middle_to),
        suffix=_special(pair, suffix_from, len(pair.ids)),
        document_type=pair.type_ids[middle_to],
        boundary=middle_to - middle_from,
        restarts=False,
    )


def _read_segment_template(tokenizer: Tokenizer) -> PairTemplate:
    single = tokenizer.post_process(_probe(tokenizer, "a"))
    prefix_to, suffix_from = _text_range(single)
    prefix, suffix = _special(single, 0, prefix_to), _special(single, suffix_from, len(single.ids))
    return PairTemplate(
        prefix=prefix,
        middle=SpecialTokens(suffix.ids + prefix.ids, suffix.types + prefix.types),
        suffix=suffix,
        document_type=0,
        boundary=len(suffix.ids),
        restarts=True,
    )


_READERS = {"template": _read_pair_template, "segments": _read_segment_template}


def _probe(tokenizer: Tokenizer, text: str) -> Encoding:
    return tokenizer.encode(text, add_special_tokens=False)


def _text_range(encoding: Encoding) -> tuple[int, int]:
    """Return where the first token of a text stands, and where the last one ends."""
    special = encoding.special_tokens_mask
    return special.index(0), len(special) - special[::-1].index(0)


def _special(encoding: Encoding, start: int, end: int) -> SpecialTokens:
    return SpecialTokens(tuple(encoding.ids[start:end]), tuple(encoding.type_ids[start:end]))
