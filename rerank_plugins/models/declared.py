"""What a model's own files declare about it: labels, activation, lengths, and how it wants a pair encoded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.errors import ModelNotFoundError, UnsupportedModelError
from rerank_plugins.options import MIN_MAX_LENGTH

# These models count positions from pad_token_id + 1, so the first pad_token_id + 1 rows of the position table are
# never used (transformers, `create_position_ids_from_input_ids`).
_OFFSET_POSITIONS = frozenset(
    {
        "camembert",
        "data2vec-text",
        "longformer",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
    }
)
# The spelling of sentence-transformers, which most published cross-encoders carry.
_ACTIVATIONS = {"torch.nn.modules.activation.Sigmoid": "sigmoid", "torch.nn.modules.linear.Identity": "identity"}
_NO_LIMIT = 10**9
# What FlagEmbedding's `FlagReranker` takes for bge-reranker-v2-m3.
_MAX_LENGTH = 512
_PAIR_ENCODINGS = ("template", "segments")


@dataclass(frozen=True, slots=True)
class DeclaredConfig:
    """The part of a model's configuration that decides how it is used.

    Attributes:
        activation: `sigmoid`, `identity`, another one's dotted name, or None where nothing is declared.
        max_positions: The longest sequence, or segment, the model has positions for; None where nothing is declared.
        max_length: Tokens of a pair, unless somebody says otherwise.
        pad_token_id: The id that fills a batch up.
        pair_encoding: `template`: one sequence in the tokenizer's own pair template. `segments`: query and document
            side by side as two single sequences, positions restarting in the second.
        languages: The languages the model reads, as ISO 639-1 codes or language tags; None where it declares none.
    """

    activation: str | None
    max_positions: int | None
    max_length: int
    pad_token_id: int
    pair_encoding: str
    languages: tuple[str, ...] | None


def read_declared(name: str, folder: Path) -> DeclaredConfig:
    """Read a folder's `config.json` and what stands beside it, and refuse what is no cross-encoder.

    Raises:
        ModelNotFoundError: If there is no `config.json`, or it is not JSON.
        UnsupportedModelError: If the model has no classification head, or more than one label.
    """
    config = read_json(folder / "config.json")
    if config is None:
        raise ModelNotFoundError(f"'{folder}' holds no config.json, so it is no model folder. Check model={name!r}.")
    _check_head(name, config)
    own = config.get("rerank_plugins") or {}
    pair_encoding = own.get("pair_encoding", "template")
    if pair_encoding not in _PAIR_ENCODINGS:
        raise UnsupportedModelError(
            f"'{name}' asks for pair_encoding={pair_encoding!r}; this version knows {' and '.join(_PAIR_ENCODINGS)}."
        )
    return DeclaredConfig(
        activation=_activation(folder, config),
        max_positions=_max_positions(name, folder, config),
        max_length=_max_length(name, own),
        pad_token_id=_pad_token_id(config),
        pair_encoding=pair_encoding,
        languages=_languages(name, own),
    )


def _check_head(name: str, config: dict[str, Any]) -> None:
    architecture = str((config.get("architectures") or ["no architecture"])[0])
    if not architecture.endswith("ForSequenceClassification"):
        raise UnsupportedModelError(
            f"'{name}' declares {architecture}, which has no classification head: is it an embedding or a language "
            "model? Choose a cross-encoder, such as BAAI/bge-reranker-v2-m3."
        )
    # transformers falls back to two labels where a config names none.
    labels = config.get("num_labels") or len(config.get("id2label") or (0, 1))
    if labels != 1:
        raise UnsupportedModelError(
            f"'{name}' has {labels} labels; a reranker has one, the relevance. Choose a cross-encoder trained with "
            "num_labels=1."
        )


def _activation(folder: Path, config: dict[str, Any]) -> str | None:
    declared = (
        (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get("sbert_ce_default_activation_function")
        or (read_json(folder / "config_sentence_transformers.json") or {}).get("activation_fn")
    )
    return None if declared is None else _ACTIVATIONS.get(declared, str(declared))


def _max_positions(name: str, folder: Path, config: dict[str, Any]) -> int | None:
    limits = []
    if positions := config.get("max_position_embeddings"):
        skipped = _pad_token_id(config) + 1 if config.get("model_type") in _OFFSET_POSITIONS else 0
        limits.append(positions - skipped)
    # A tokenizer without a limit of its own carries a number around 1e30 there.
    if limit := (read_json(folder / "tokenizer_config.json") or {}).get("model_max_length"):
        limits.append(int(min(limit, _NO_LIMIT)))
    least = min(limits, default=None)
    if least is not None and least < MIN_MAX_LENGTH:
        raise UnsupportedModelError(
            f"'{name}' declares that it takes {least} tokens, too few for a pair. Check max_position_embeddings in its "
            "config.json and model_max_length in its tokenizer_config.json."
        )
    return least


def _max_length(name: str, own: dict[str, Any]) -> int:
    declared = own.get("max_length")
    if declared is None:
        return _MAX_LENGTH
    if not (isinstance(declared, int) and declared >= MIN_MAX_LENGTH):
        raise UnsupportedModelError(
            f"'{name}' declares rerank_plugins.max_length={declared!r} in its config.json; it is the tokens of a pair, "
            f"a whole number from {MIN_MAX_LENGTH} on."
        )
    return int(declared)


def _languages(name: str, own: dict[str, Any]) -> tuple[str, ...] | None:
    declared = own.get("languages")
    if declared is None:
        return None
    if not (isinstance(declared, list) and declared and all(isinstance(tag, str) and tag for tag in declared)):
        raise UnsupportedModelError(
            f"'{name}' declares rerank_plugins.languages={declared!r} in its config.json. It must be a list of "
            'language codes, such as ["en", "de"].'
        )
    return tuple(declared)


def _pad_token_id(config: dict[str, Any]) -> int:
    # The defaults of transformers' configuration classes, for a config.json that leaves it out.
    default = 1 if config.get("model_type") in _OFFSET_POSITIONS else 0
    declared = config.get("pad_token_id")
    return default if declared is None else int(declared)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a file of a model; None where there is none.

    Raises:
        ModelNotFoundError: If it is not a JSON object.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelNotFoundError(f"'{path}' is not JSON ({error}). Download the model again.") from error
    if not isinstance(content, dict):
        raise ModelNotFoundError(f"'{path}' holds {type(content).__name__}, not an object. Download the model again.")
    return content
