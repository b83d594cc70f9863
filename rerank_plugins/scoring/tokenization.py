"""The model's tokenizer, for texts that are data: nothing in them becomes a control token, nothing is cut here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from rerank_plugins.errors import ModelNotFoundError
from rerank_plugins.extras import extra

# No vocabulary holds this character: it is for private use (Unicode, plane 15).
_UNKNOWN_CHARACTER = "\U000f0000"
# What models had before tokenizer.json, and transformers can convert.
_OLDER_VOCABULARIES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spm.model")


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text's token ids, whole, without special tokens; `unknown` is the share of unknown ones, 0 to 1."""

    ids: tuple[int, ...]
    unknown: float


class TextTokenizer:
    """A tokenizer that many threads may share, because nothing about it changes after it is made.

    Truncation and padding are switched off: a fast tokenizer holds them as state, so that one thread's setting would
    cut another thread's texts. `PairEncoder` cuts ids instead.

    Args:
        tokenizer: The tokenizer to take over.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self._unknown_id = _unknown_id(tokenizer)
        self._spelling = _spelling_of_control_tokens(tokenizer, self._unknown_id)

    def encode(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize texts in their order, on all cores."""
        encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [self._tokenized(encoding.ids) for encoding in encodings]

    def _tokenized(self, ids: list[int]) -> TokenizedText:
        if not self._spelling.keys().isdisjoint(ids):
            ids = [piece for token in ids for piece in self._spelling.get(token, (token,))]
        unknown = ids.count(self._unknown_id) / len(ids) if ids and self._unknown_id is not None else 0.0
        return TokenizedText(tuple(ids), unknown)


def load_tokenizer(name: str, folder: Path) -> TextTokenizer:
    """Load a folder's `tokenizer.json`, or let transformers convert what older models have in its place.

    Raises:
        ModelNotFoundError: If the folder holds no tokenizer that can be read.
        MissingExtraError: If it must be converted and transformers is not installed.
    """
    file = folder / "tokenizer.json"
    if file.is_file():
        try:
            return TextTokenizer(Tokenizer.from_file(str(file)))
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


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    tokens = tokenizer.model.tokenize(_UNKNOWN_CHARACTER)
    # Byte-level vocabularies know everything: they spell the character out, or leave it away.
    return tokens[0].id if len(tokens) == 1 else None


def _spelling_of_control_tokens(tokenizer: Tokenizer, unknown_id: int | None) -> dict[int, tuple[int, ...]]:
    """Map each control token to the ids of its characters.

    `encode_special_tokens` keeps "</s>" in a text from being taken as the added token. A Unigram vocabulary, such as
    XLM-RoBERTa's, also lists "</s>" as an ordinary piece, at the best score there is, and finds it all the same: hence
    by ids.
    """
    in_template = tokenizer.post_process(tokenizer.encode("", add_special_tokens=False)).ids
    added = (token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    control = {*in_template, *added} - {unknown_id}
    return {token_id: _spell(tokenizer, token_id) for token_id in control}


def _spell(tokenizer: Tokenizer, token_id: int) -> tuple[int, ...]:
    content = tokenizer.id_to_token(token_id) or ""
    pieces = (token.id for character in content for token in tokenizer.model.tokenize(character))
    return tuple(piece for piece in pieces if piece != token_id)
