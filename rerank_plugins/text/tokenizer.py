"""The model's tokenizer, for texts that are data: nothing in them becomes a control token, nothing is cut here."""

import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tokenizers import Tokenizer

from rerank_plugins.errors import MissingExtraError, ModelNotFoundError, UnsupportedModelError
from rerank_plugins.extras import extra, is_installed
from rerank_plugins.json_files import read_fields
from rerank_plugins.text.named_tokens import named_added_tokens, named_control_tokens
from rerank_plugins.text.normalizer import apply_declared_normalizer

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
        renamed: Ids of the tokenizer, and what the model has in their place.

    Attributes:
        tokenizer: The same tokenizer.
        control: The same names.
    """

    def __init__(
        self, tokenizer: Tokenizer, control: Collection[str] = (), renamed: Mapping[int, int] = MappingProxyType({})
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.control = frozenset(control)
        self._renamed = renamed
        self._replaced = _control_ids(tokenizer, control, _unknown_id(tokenizer)) | renamed.keys()

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
        if self._replaced.isdisjoint(ids):
            return ids
        spelling = self._spelling(ids)
        return [piece for token in ids for piece in spelling.get(token, (token,))]

    def _repeat_spans(self, ids: list[int], spans: list[Span]) -> list[Span]:
        """Give each piece of a control token that was spelled out the span of the whole."""
        if self._replaced.isdisjoint(ids):
            return spans
        spelling = self._spelling(ids)
        return [span for token, span in zip(ids, spans, strict=True) for _ in spelling.get(token, (token,))]

    def _spelling(self, ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Say what stands for the ids that no text may have."""
        own = {token: (self._renamed[token],) for token in self._renamed.keys() & ids}
        return {token: _spell(self.tokenizer, token) for token in self._replaced.intersection(ids)} | own


def load_tokenizer(name: str, folder: Path) -> TextTokenizer:
    """Load a folder's `tokenizer.json`, or convert what older models have in its place with transformers.

    Raises:
        ModelNotFoundError: If the folder holds no tokenizer that can be read.
        UnsupportedModelError: If its tokenizer exists only as Python code, or a declared field has a wrong value.
        MissingExtraError: If it must be converted, and transformers or a library it needs is not installed.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        return TextTokenizer(_converted(name, folder))
    control, added = named_control_tokens(name, folder), named_added_tokens(name, folder)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelNotFoundError(
            f"'{file}' cannot be read by tokenizers {_version('tokenizers')} ({error}). A newer version may have "
            "written it: pip install -U tokenizers. Otherwise the file is damaged: download the model again."
        ) from error
    apply_declared_normalizer(name, folder, tokenizer)
    return TextTokenizer(tokenizer, control | {each for each in added if tokenizer.token_to_id(each) is None})


def _converted(name: str, folder: Path) -> Tokenizer:
    vocabularies = [vocabulary for vocabulary in _OLDER_VOCABULARIES if (folder / vocabulary).is_file()]
    if not vocabularies:
        raise ModelNotFoundError(
            f"'{name}' has no tokenizer: '{folder}' holds no tokenizer.json. If a download was interrupted, download "
            "it again; else save one there with AutoTokenizer's save_pretrained."
        )
    with extra("torch", provides="transformers"):
        import transformers
    declared = read_fields(name, folder / "tokenizer_config.json")
    class_name = declared.text("tokenizer_class") or "its tokenizer"
    known = getattr(transformers, class_name, None)
    is_python = isinstance(known, type) and not issubclass(known, transformers.PreTrainedTokenizerFast)
    if is_python or "auto_map" in declared:
        raise UnsupportedModelError(
            f"'{name}' has no tokenizer.json, and {class_name} exists only as Python code, which is not supported. "
            "Choose a model with a tokenizer.json."
        )
    if vocabularies[0].endswith(".model") and not is_installed("sentencepiece"):
        raise MissingExtraError(
            f"'{name}' has no tokenizer.json, and converting its {vocabularies[0]} needs sentencepiece, which is not "
            "installed. Install it with: pip install sentencepiece protobuf",
            name="sentencepiece",
        )
    return _convert(name, folder, class_name)


def _convert(name: str, folder: Path, class_name: str) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False).backend_tokenizer
    except ImportError as error:
        raise MissingExtraError(
            f"'{name}' has no tokenizer.json, and converting {class_name} needs a library that is not installed: "
            f"{_one_line(error)}",
            name=error.name,
        ) from error
    except Exception as error:  # transformers raises whatever a broken or unknown tokenizer provokes
        raise UnsupportedModelError(
            f"'{name}' has no tokenizer.json, and transformers {_version('transformers')} cannot convert {class_name} "
            f"({_one_line(error)}). Choose a model with a tokenizer.json, or save one there with AutoTokenizer's "
            "save_pretrained from the original model."
        ) from error


def _one_line(error: Exception) -> str:
    return textwrap.shorten(str(error), 200) or type(error).__name__


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    tokens = tokenizer.model.tokenize(_UNKNOWN_CHARACTER)
    # Byte-level vocabularies know everything: they spell the character out, or leave it away.
    return tokens[0].id if len(tokens) == 1 else None


def _control_ids(tokenizer: Tokenizer, named: Collection[str], unknown_id: int | None) -> frozenset[int]:
    """Find the control tokens: a text that holds one becomes the ids of its characters.

    `encode_special_tokens` keeps "</s>" in a text from being taken as the added token. A Unigram vocabulary, such as
    XLM-RoBERTa's, also lists "</s>" as an ordinary piece, at the best score there is, and finds it all the same: hence
    by ids.
    """
    in_template = tokenizer.post_process(tokenizer.encode("", add_special_tokens=False)).ids
    added = (token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    by_name = (token_id for name in named if (token_id := tokenizer.token_to_id(name)) is not None)
    return frozenset((*in_template, *added, *by_name)) - {unknown_id}


def _spell(tokenizer: Tokenizer, token_id: int) -> tuple[int, ...]:
    content = tokenizer.id_to_token(token_id) or ""
    pieces = (token.id for character in content for token in tokenizer.model.tokenize(character))
    return tuple(piece for piece in pieces if piece != token_id)


def _version(package: str) -> str:
    from importlib.metadata import version  # It takes a tenth of the whole import, and only an error needs it.

    return version(package)
