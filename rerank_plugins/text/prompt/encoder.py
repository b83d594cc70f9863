"""Turn pairs into a prompt's token ids that fit: fixed text and query whole, the document truncated or in windows."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.text.pairs import EncodedPair, EncodedPairs, Pair, cut_document
from rerank_plugins.text.prompt.outline import Outline, encode_parts
from rerank_plugins.text.prompt.pieces import Slot, fill
from rerank_plugins.text.prompt.reading import Prompt
from rerank_plugins.text.tokenizer import TextTokenizer, TokenizedText

# Room for some of the query and some of the document.
_LEAST_ROOM = 8


@dataclass(frozen=True, slots=True)
class _Question:
    """What all documents of a query share.

    Attributes:
        outline: How its pairs are read.
        left: Ids before `lead`.
        lead: Text that is tokenized with each document, before it.
        trail: Text that is tokenized with each document, behind it.
        right: Ids behind `trail`.
        ending: Ids behind a document that is truncated.
        truncated: Whether the query was truncated.
    """

    outline: Outline
    left: tuple[int, ...]
    lead: str
    trail: str
    right: tuple[int, ...]
    ending: tuple[int, ...]
    truncated: bool

    def before(self, document: str) -> str:
        """Return what is tokenized of a document that is cut."""
        return self.outline.together(self.lead, document, "")

    def around(self, document: str) -> str:
        """Return what is tokenized of a document that is read whole."""
        return self.outline.together(self.lead, document, self.trail)


class PromptEncoder:
    """Encode pairs for one model that reads a prompt, at one length.

    A query may take three quarters of the room beside the fixed text, as in FlagEmbedding's rerankers; the document
    gets the rest. An encoded pair's `query` is all that stands before the document, its `document` the document and all
    that stands behind it, and its template is `Prompt.template`, which is empty.

    Args:
        prompt: The model's prompt.
        max_length: Tokens of a pair, with the prompt's.
        max_positions: Positions that the model has; None: no limit.
        max_windows: Windows that a long document is read in at most; None: it is truncated.

    Attributes:
        max_length: Tokens of a pair, after the model's own limit.
        takes_instruction: Whether the prompt has a place for an instruction.
        fingerprint: Names the prompt.

    Raises:
        InvalidValueError: If the prompt leaves no room for texts.
    """

    def __init__(
        self, prompt: Prompt, *, max_length: int, max_positions: int | None, max_windows: int | None = None
    ) -> None:
        self.max_length = max_length if max_positions is None else min(max_length, max_positions)
        self.takes_instruction = prompt.instructed is not None
        self.fingerprint = prompt.fingerprint
        self._prompt = prompt
        self._max_windows = max_windows
        room = self.max_length - prompt.tokens
        if room < _LEAST_ROOM:
            raise InvalidValueError(
                f"max_length={self.max_length} leaves {max(room, 0)} tokens for query and document: the prompt has "
                f"{prompt.tokens} tokens of its own. Raise max_length to {prompt.tokens + _LEAST_ROOM} at least, "
                "better to several hundred more."
            )

    def encode(self, pairs: Sequence[Pair]) -> EncodedPairs:
        """Encode pairs in their order; a question, and a pair, that occurs more than once is tokenized once.

        Raises:
            InvalidValueError: If the prompt has no place for an instruction, or an instruction leaves no room for
                texts.
        """
        questions = {
            asked: self._question(*asked) for asked in dict.fromkeys((pair.query, pair.instruction) for pair in pairs)
        }
        asked = {pair: questions[pair.query, pair.instruction] for pair in pairs}
        found = self._encode_whole(asked)
        found |= self._encode_cut({pair: question for pair, question in asked.items() if pair not in found})
        return EncodedPairs.of([found[pair] for pair in pairs])

    def _encode_whole(self, asked: Mapping[Pair, _Question]) -> dict[Pair, list[EncodedPair]]:
        """Encode the pairs that fit."""
        texts = [(each.outline.tokenizer, each.around(pair.document)) for pair, each in asked.items()]
        tokenized = _tokenize(texts, lambda tokenizer, each: tokenizer.encode(each, enough=self.max_length))
        found = {}
        for (pair, question), text in zip(asked.items(), texts, strict=True):
            document = tokenized[text].ids + question.right
            length = len(question.left) + len(document)
            if length <= self.max_length:
                encoded = EncodedPair(question.left, document, length, question.truncated, document_truncated=False)
                found[pair] = [encoded]
        return found

    def _encode_cut(self, asked: Mapping[Pair, _Question]) -> dict[Pair, list[EncodedPair]]:
        """Encode the pairs that do not fit: the document is cut by its ids, and what stands behind it is kept."""
        texts = [(each.outline.tokenizer, each.before(pair.document)) for pair, each in asked.items()]
        enough = self.max_length * (self._max_windows or 1)
        tokenized = _tokenize(texts, lambda tokenizer, each: tokenizer.encode_with_spans(each, enough=enough))
        return {
            pair: self._fit(question, pair.document, tokenized[text])
            for (pair, question), text in zip(asked.items(), texts, strict=True)
        }

    def _fit(self, question: _Question, document: str, tokenized: TokenizedText) -> list[EncodedPair]:
        lead = len(question.lead)
        spans = tokenized.spans or ()
        own = next((place for place, (_, end) in enumerate(spans) if end > lead), len(spans))
        # Where the document begins in what was tokenized, and where that begins in the document.
        shift = question.outline.skipped(Slot.DOCUMENT, document) - lead
        shifted = tuple((max(start, lead) + shift, end + shift) for start, end in spans[own:])
        left = question.left + tokenized.ids[:own]
        room = self.max_length - len(left) - len(question.ending)
        cuts = cut_document(TokenizedText(tokenized.ids[own:], shifted), room, self._max_windows)
        return [
            EncodedPair(
                left,
                cut.ids + question.ending,
                len(left) + len(cut.ids) + len(question.ending),
                question.truncated,
                cut.truncated,
                cut.span,
            )
            for cut in cuts
        ]

    def _question(self, query: str, instruction: str | None) -> _Question:
        outline = self._prompt.outline(instruction)
        given = (self._prompt.instruction if instruction is None else instruction) or ""
        texts = {Slot.INSTRUCTION: outline.clean(Slot.INSTRUCTION, given), Slot.QUERY: ""}
        room = self.max_length - outline.fixed_tokens(texts)
        if room < _LEAST_ROOM:
            shown = textwrap.shorten(given, 60, placeholder="...")
            raise InvalidValueError(
                f"instruction={shown!r} ({len(given):,} characters): with it, the prompt leaves {max(room, 0)} of "
                f"max_length={self.max_length} tokens for query and document. Shorten it, or raise max_length."
            )
        cleaned = outline.clean(Slot.QUERY, query)
        for tokens in range(room * 3 // 4, -1, -1):
            texts[Slot.QUERY] = self._cut(cleaned, tokens)
            if outline.fixed_tokens(texts) < self.max_length - 1:  # a cut word may have more tokens than before
                break
        return _Question(
            outline,
            left=encode_parts(outline.left, texts),
            lead=fill(outline.lead, texts),
            trail=fill(outline.trail, texts),
            right=encode_parts(outline.right, texts),
            ending=encode_parts(outline.ending, texts),
            truncated=len(texts[Slot.QUERY]) < len(cleaned),
        )

    def _cut(self, query: str, tokens: int) -> str:
        """Cut a query behind so many of its tokens."""
        (tokenized,) = self._prompt.tokenizer.encode_with_spans([query], enough=tokens)
        spans = tokenized.spans or ()
        if len(spans) <= tokens:
            return query
        return query[: spans[tokens - 1][1]] if tokens else ""


def _tokenize(
    texts: Sequence[tuple[TextTokenizer, str]],
    encode: Callable[[TextTokenizer, list[str]], list[TokenizedText]],
) -> dict[tuple[TextTokenizer, str], TokenizedText]:
    """Tokenize each of the texts once."""
    found: dict[tuple[TextTokenizer, str], TokenizedText] = {}
    for tokenizer in dict.fromkeys(tokenizer for tokenizer, _ in texts):
        own = [text for text in dict.fromkeys(texts) if text[0] is tokenizer and text[1]]
        found |= zip(own, encode(tokenizer, [text for _, text in own]), strict=True)
        found[tokenizer, ""] = TokenizedText((), ())
    return found
