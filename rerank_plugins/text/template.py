"""The shape of a pair: which special tokens a model wants around query and document."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from rerank_plugins.text.tokenizer import TextTokenizer


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

    def without_types(self) -> "PairTemplate":
        """Give all tokens the type 0, for a model whose tokenizer names no token types."""
        parts = (SpecialTokens(part.ids, (0,) * len(part.ids)) for part in (self.prefix, self.middle, self.suffix))
        prefix, middle, suffix = parts
        return replace(self, prefix=prefix, middle=middle, suffix=suffix, document_type=0)


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
    prefix, suffix = around_text(tokenizer)
    return PairTemplate(
        prefix=prefix,
        middle=SpecialTokens(suffix.ids + prefix.ids, suffix.types + prefix.types),
        suffix=suffix,
        document_type=0,
        boundary=len(suffix.ids),
        restarts=True,
    )


def around_text(tokenizer: Tokenizer) -> tuple[SpecialTokens, SpecialTokens]:
    """Read off a tokenizer which special tokens it puts before and behind a single text."""
    single = tokenizer.post_process(_probe(tokenizer, "a"))
    prefix_to, suffix_from = _text_range(single)
    return _special(single, 0, prefix_to), _special(single, suffix_from, len(single.ids))


_READERS = {"template": _read_pair_template, "segments": _read_segment_template}


def _probe(tokenizer: Tokenizer, text: str) -> Encoding:
    return tokenizer.encode(text, add_special_tokens=False)


def _text_range(encoding: Encoding) -> tuple[int, int]:
    """Return where the first token of a text stands, and where the last one ends."""
    special = encoding.special_tokens_mask
    return special.index(0), len(special) - special[::-1].index(0)


def _special(encoding: Encoding, start: int, end: int) -> SpecialTokens:
    return SpecialTokens(tuple(encoding.ids[start:end]), tuple(encoding.type_ids[start:end]))
