"""The model's tokenizer, for texts that are data: nothing in them becomes a control token, nothing is cut here."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from rerank_plugins.errors import ModelNotFoundError
from rerank_plugins.extras import extra
from rerank_plugins.models.declared import read_json

# No vocabulary holds this character: it is for private use (Unicode, plane 15).
_UNKNOWN_CHARACTER = "\U000f0000"
# Far more than any language has on average: what is cut here is far beyond what is used.
_CHARACTERS_A_TOKEN = 16
# What models had before tokenizer.json, and transformers can convert.
_OLDER_VOCABULARIES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spm.model")


# The characters `[start, end)` of a text.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text's tokens.

    Attributes:
        ids: Their ids, without special tokens: all of them, or more than enough.
        spans: The characters of the text that each token stands for; None unless asked for.
    """

    ids: tuple[int, ...]
    spans: tuple[Span, ...] | None = None


class TextTokenizer:
    """A tokenizer that many threads may share, because nothing about it changes after it is made.

    Truncation and padding are switched off: a fast tokenizer holds them as state, so one thread's setting would
    truncate another thread's texts. `PairEncoder` truncates ids instead. Special tokens in texts are treated as plain
    text.

    Args:
        tokenizer: The tokenizer to take over.
        control: Names of control tokens that the tokenizer itself does not mark as special.
    """

    def __init__(self, tokenizer: Tokenizer, control: Collection[str] = ()) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self._spelling = _spelling_of_control_tokens(tokenizer, control, _unknown_id(tokenizer))

    def encode(self, texts: Sequence[str], *, enough: int) -> list[TokenizedText]:
        """Tokenize texts in their order, on all cores.

        Args:
            texts: The texts.
            enough: How many tokens can be used; a very long text gets at least twice as many, and not many more.
        """
        return self._encode_heads(texts, enough, self._encode)

    def encode_with_spans(self, texts: Sequence[str], *, enough: int) -> list[TokenizedText]:
        """Do what `encode` does, and keep where each token stands in its text."""
        return self._encode_heads(texts, enough, self._encode_with_spans)

    def _encode_heads(
        self, texts: Sequence[str], enough: int, encode: Callable[[list[str]], list[TokenizedText]]
    ) -> list[TokenizedText]:
        heads = [text[: enough * _CHARACTERS_A_TOKEN] for text in texts]
        found = encode(heads)
        # The start of a text may have few tokens, such as one of white space, and says nothing about the rest.
        short = [
            place
            for place, (text, head) in enumerate(zip(texts, heads, strict=True))
            if len(head) < len(text) and len(found[place].ids) < 2 * enough
        ]
        for place, whole in zip(short, encode([texts[place] for place in short]), strict=True):
            found[place] = whole
        return found

    def _encode(self, texts: list[str]) -> list[TokenizedText]:
        # The fast one does not keep where the tokens stand.
        encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [TokenizedText(tuple(self._spell_out(each.ids))) for each in encodings]

    def _encode_with_spans(self, texts: list[str]) -> list[TokenizedText]:
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        return [
            TokenizedText(tuple(self._spell_out(each.ids)), tuple(self._repeat_spans(each.ids, each.offsets)))
            for each in encodings
        ]

    def _spell_out(self, ids: list[int]) -> list[int]:
        if self._spelling.keys().isdisjoint(ids):
            return ids
        return [piece for token in ids for piece in self._spelling.get(token, (token,))]

    def _repeat_spans(self, ids: list[int], spans: list[Span]) -> list[Span]:
        """Give each piece of a control token that was spelled out the span of the whole."""
        return [span for token, span in zip(ids, spans, strict=True) for _ in self._spelling.get(token, (token,))]


def load_tokenizer(name: str, folder: Path) -> TextTokenizer:
    """Load a folder's `tokenizer.json`, or let transformers convert what older models have in its place.

    Raises:
        ModelNotFoundError: If the folder holds no tokenizer that can be read.
        MissingExtraError: If it must be converted and transformers is not installed.
    """
    file = folder / "tokenizer.json"
    if file.is_file():
        control = _named_control_tokens(folder)
        try:
            return TextTokenizer(Tokenizer.from_file(str(file)), control)
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelNotFoundError(f"'{file}' is no tokenizer ({error}). Download the model again.") from error
    if not any((folder / vocabulary).is_file() for vocabulary in _OLDER_VOCABULARIES):
        raise ModelNotFoundError(
            f"'{name}' has no tokenizer: '{folder}' holds no tokenizer.json. If a download was cut "
            "short, load it once with a network; else save one there with AutoTokenizer's save_pretrained."
        )
    with extra("torch", provides="transformers"):
        from transformers import AutoTokenizer

    return TextTokenizer(AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer)


def _named_control_tokens(folder: Path) -> set[str]:
    """Read the control tokens that a model names beside its tokenizer, where it may not mark them as special."""
    names: set[str] = set()
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        for key, value in (read_json(folder / file) or {}).items():
            if key.endswith("_token") and value:
                names.add(value["content"] if isinstance(value, dict) else str(value))
    return names


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    tokens = tokenizer.model.tokenize(_UNKNOWN_CHARACTER)
    # Byte-level vocabularies know everything: they spell the character out, or leave it away.
    return tokens[0].id if len(tokens) == 1 else None


def _spelling_of_control_tokens(
    tokenizer: Tokenizer, named: Collection[str], unknown_id: int | None
) -> dict[int, tuple[int, ...]]:
    """Map each control token to the ids of its characters.

    `encode_special_tokens` keeps "</s>" in a text from being taken as the added token. A Unigram vocabulary, such as
    XLM-RoBERTa's, also lists "</s>" as an ordinary piece, at the best score there is, and finds it all the same: hence
    by ids.
    """
    in_template = tokenizer.post_process(tokenizer.encode("", add_special_tokens=False)).ids
    added = (token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    by_name = (token_id for name in named if (token_id := tokenizer.token_to_id(name)) is not None)
    control = {*in_template, *added, *by_name} - {unknown_id}
    return {token_id: _spell(tokenizer, token_id) for token_id in control}


def _spell(tokenizer: Tokenizer, token_id: int) -> tuple[int, ...]:
    content = tokenizer.id_to_token(token_id) or ""
    pieces = (token.id for character in content for token in tokenizer.model.tokenize(character))
    return tuple(piece for piece in pieces if piece != token_id)
