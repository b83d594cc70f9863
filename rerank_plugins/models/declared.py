"""What a model's own files declare about it: head, prompt, activation, lengths, and how it wants a pair encoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.backends.heads import ClassifierHead, Head, ModulesHead, TokenHead
from rerank_plugins.errors import InvalidValueError, ModelNotFoundError, UnsupportedModelError
from rerank_plugins.json_files import Fields, read_fields
from rerank_plugins.models.architectures import Architecture, check_architecture, read_architecture
from rerank_plugins.models.chains import read_chain
from rerank_plugins.models.heads import choose_head, scale_of
from rerank_plugins.models.prompts import read_prompt_of
from rerank_plugins.models.refusals import check_quantization
from rerank_plugins.models.saved import Saved, read_saved
from rerank_plugins.options import MIN_MAX_LENGTH, ModelOptions
from rerank_plugins.scores import ScoreScale
from rerank_plugins.text.prompt import DeclaredPrompt

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
# The default of FlagEmbedding's `FlagReranker` for bge-reranker-v2-m3.
_MAX_LENGTH = 512
_PAIR_ENCODINGS = ("template", "segments")
_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


@dataclass(frozen=True, slots=True)
class DeclaredConfig:
    """The part of a model's configuration that decides how it is used.

    Attributes:
        architecture: The class of the network, such as `Qwen3ForCausalLM`.
        head: How its hidden states become a score.
        scale: What the raw scores are.
        prompt: What it reads around query and document; None: the tokenizer's own pair template.
        query_prompt: What it reads before each query, as a part of it; empty: nothing.
        causal: Whether a token sees only those before it.
        dtype: What its weights are saved in: `fp32`, `fp16`, `bf16`; None where nothing is declared.
        activation: `sigmoid`, `identity`, another one's dotted name, or None where nothing is declared.
        max_positions: The longest sequence, or segment, the model has positions for; None where nothing is declared.
        max_length: Default number of tokens of a pair.
        pad_token_id: The id that pads a batch.
        unread_token_id: A token that its prompt may end with, and that its head does not read; None: there is none.
        token_types: Whether the document has a token type of its own, where its tokenizer gives it one.
        pair_encoding: `template`: one sequence in the tokenizer's own pair template. `segments`: query and document
            side by side as two single sequences, positions restarting in the second.
        languages: The languages the model reads, as ISO 639-1 codes or language tags; None where it declares none.
    """

    architecture: str
    head: Head
    scale: ScoreScale
    prompt: DeclaredPrompt | None
    query_prompt: str
    causal: bool
    dtype: str | None
    activation: str | None
    max_positions: int | None
    max_length: int
    pad_token_id: int
    unread_token_id: int | None
    token_types: bool
    pair_encoding: str
    languages: tuple[str, ...] | None


def read_declared(name: str, folder: Path, options: ModelOptions | None = None) -> DeclaredConfig:
    """Read a folder's `config.json` and the files beside it, and refuse what cannot be scored as it declares.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
        options: What the user says where the folder says nothing: `prompt`, `head` and `label`; None: nothing.

    Raises:
        InvalidValueError: If one of the options contradicts what the folder declares, or has no meaning for the model.
        ModelNotFoundError: If files are missing, are not JSON, or are not those of a whole model.
        UnsupportedModelError: If nothing says how the model scores a pair, if it says something that is not supported,
            or if a field has a wrong value.

    Examples:
        >>> read_declared("BAAI/bge-reranker-v2-m3", folder).max_positions
        8192
    """
    config = _read_config(name, folder)
    architecture = read_architecture(config)
    check_architecture(config, architecture)
    check_quantization(config)
    saved = read_saved(name, folder)
    chain = read_chain(name, folder, saved)
    own = config.fields("rerank_plugins")
    options = _with_own(own, options or ModelOptions())
    head = choose_head(folder, config, architecture, chain, saved, options)
    prompt = read_prompt_of(name, folder, saved, architecture, options.prompt)
    return DeclaredConfig(
        architecture=architecture.name,
        head=head,
        scale=scale_of(head),
        prompt=prompt,
        query_prompt=saved.instruction or "" if prompt is None else "",
        causal=architecture.causal,
        dtype=_DTYPES.get(config.text("dtype") or config.text("torch_dtype") or ""),
        activation=_activation(config, saved, chain),
        max_positions=_max_positions(folder, config, saved),
        max_length=own.integer("max_length", at_least=MIN_MAX_LENGTH) or _MAX_LENGTH,
        pad_token_id=_pad_token_id(config),
        unread_token_id=_unread_token_id(config, head, architecture),
        token_types=_has_token_types(name, folder),
        pair_encoding=_pair_encoding(own),
        languages=_languages(own),
    )


def _read_config(name: str, folder: Path) -> Fields:
    if not (folder / "config.json").is_file():
        read_chain(name, folder, read_saved(name, folder))  # It may name where the config.json is.
        raise ModelNotFoundError(
            f"'{folder}' has no config.json, so it is not a model's folder. Check model={name!r}; if a download was "
            "interrupted, download it again."
        )
    return read_fields(name, folder / "config.json")


def _with_own(own: Fields, options: ModelOptions) -> ModelOptions:
    """Add what the folder itself says in place of these options, as an exported one does."""
    said: dict[str, Any] = {"prompt": own.text("prompt"), "head": own.text("head"), "label": own.integer("label")}
    for name, value in said.items():
        if value is not None and getattr(options, name) not in (None, value):
            raise InvalidValueError(
                f"{name}={getattr(options, name)!r}: '{own.model}' says {value!r} itself, in its {own.file}. Leave "
                f"{name} out."
            )
    try:
        return ModelOptions(
            **{name: getattr(options, name) if value is None else value for name, value in said.items()}
        )
    except InvalidValueError as error:
        raise UnsupportedModelError(
            f"'{own.model}' says under rerank_plugins in its {own.file} what is not valid: {error}"
        ) from error


def _activation(config: Fields, saved: Saved, chain: TokenHead | ModulesHead | None) -> str | None:
    declared = (
        saved.activation
        or config.fields("sentence_transformers").text("activation_fn")
        or config.text("sbert_ce_default_activation_function")
    )
    if declared is None:
        # What sentence-transformers takes for one score (`CrossEncoder.get_default_activation_fn`), for one token too.
        return "sigmoid" if chain is not None else None
    return _ACTIVATIONS.get(declared, declared)


def _max_positions(folder: Path, config: Fields, saved: Saved) -> int | None:
    limits = [] if saved.max_length is None else [saved.max_length]
    if positions := config.integer("max_position_embeddings", at_least=1):
        skipped = _pad_token_id(config) + 1 if config.text("model_type") in _OFFSET_POSITIONS else 0
        limits.append(positions - skipped)
    tokenizer = read_fields(config.model, folder / "tokenizer_config.json")
    if limit := tokenizer.limit("model_max_length", at_most=_NO_LIMIT):
        limits.append(limit)
    least = min(limits, default=None)
    if least is not None and least < MIN_MAX_LENGTH:
        raise UnsupportedModelError(
            f"'{config.model}' declares a limit of {least} tokens, too few for a pair. Check max_position_embeddings "
            "in its config.json, model_max_length in its tokenizer_config.json and max_seq_length in its "
            "sentence_bert_config.json."
        )
    return least


def _pad_token_id(config: Fields) -> int:
    # The defaults of transformers' configuration classes, for a config.json that leaves it out.
    default = 1 if config.text("model_type") in _OFFSET_POSITIONS else 0
    if config.value("pad_token_id") == -1:  # how older configurations of Llama say that there is none
        return default
    vocabulary = config.integer("vocab_size", at_least=1)
    if vocabulary is None:
        declared = config.integer("pad_token_id")
    else:
        declared = config.integer("pad_token_id", at_most=vocabulary - 1)
    return default if declared is None else declared


def _unread_token_id(config: Fields, head: Head, architecture: Architecture) -> int | None:
    # A decoder's classifier reads the last token that is not config.json's pad_token_id, also where a prompt ends with
    # that token (transformers, `GenericForSequenceClassification.forward`).
    if not isinstance(head, ClassifierHead) or not architecture.decoder or config.value("pad_token_id") is None:
        return None
    return None if config.value("pad_token_id") == -1 else _pad_token_id(config)


def _has_token_types(name: str, folder: Path) -> bool:
    tokenizer = read_fields(name, folder / "tokenizer_config.json")
    if inputs := tokenizer.texts("model_input_names"):
        return "token_type_ids" in inputs
    # Without a list the tokenizer's class decides. That of DistilBERT has none; a generic one had them in transformers
    # 4, with which most such models were trained, and has none in 5.
    return (tokenizer.text("tokenizer_class") or "").removesuffix("Fast") != "DistilBertTokenizer"


def _pair_encoding(own: Fields) -> str:
    declared = own.text("pair_encoding") or "template"
    if declared not in _PAIR_ENCODINGS:
        raise own.wrong("pair_encoding", f"one of {', '.join(_PAIR_ENCODINGS)}")
    return declared


def _languages(own: Fields) -> tuple[str, ...] | None:
    if "languages" not in own:
        return None
    declared = own.texts("languages")
    if not declared or not all(declared):
        raise own.wrong("languages", 'a list of language codes, such as ["en", "de"]')
    return tuple(declared)
