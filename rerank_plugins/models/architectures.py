"""What kind of network a `config.json` declares, and which kinds cannot be scored here."""

import re
from dataclasses import dataclass

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.json_files import Fields

_CLASSIFIER = "ForSequenceClassification"
_LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel")
ELSEWHERE = "Choose a cross-encoder with one label, such as BAAI/bge-reranker-v2-m3"
# Prefixes of the model types of decoders, in small letters and without "-" and "_". A test compares them with
# transformers: what it maps to a causal language model and not to a masked one is a decoder.
_DECODERS = (
    "apertus",
    "arcee",
    "axk",
    "baichuan",
    "bamba",
    "biogpt",
    "bloom",
    "codegen",
    "cohere",
    "ctrl",
    "deepseek",
    "diffllama",
    "doge",
    "dots",
    "ernie4",
    "exaone",
    "falcon",
    "gemma",
    "glm",
    "gpt",
    "granite",
    "helium",
    "hunyuan",
    "internlm",
    "jamba",
    "jetmoe",
    "kimi",
    "lfm2",
    "llama",
    "mamba",
    "minicpm",
    "minimax",
    "ministral",
    "mistral",
    "mixtral",
    "modernbertdecoder",
    "mpt",
    "nemotron",
    "olmo",
    "openaigpt",
    "opt",
    "persimmon",
    "phi",
    "qwen",
    "rwkv",
    "seedoss",
    "smollm",
    "stablelm",
    "starcoder",
    "t5gemma",
    "zamba",
)
# Fields of FlagEmbedding's layer-wise rerankers, which have a head for each layer.
_LAYER_WISE_FIELDS = ("start_layer", "layer_sep", "layer_wise", "cutoff_layers")
_OTHER_SENSES = ("vision_config", "audio_config", "video_config")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a `config.json` says of the network.

    Attributes:
        name: The class, such as `Qwen3ForCausalLM`; `no architecture` where none is declared.
        decoder: Whether it belongs to a family of language models, whose tokenizers put nothing between two texts.
        causal: Whether a token sees only those before it.
    """

    name: str
    decoder: bool
    causal: bool

    @property
    def is_classifier(self) -> bool:
        """Whether it has a classification head of its own."""
        return self.name.endswith(_CLASSIFIER)

    @property
    def is_language_model(self) -> bool:
        """Whether it gives a logit to each token of the vocabulary."""
        return self.name.endswith(_LANGUAGE_MODELS)


def read_architecture(config: Fields) -> Architecture:
    """Read what network a `config.json` declares.

    Examples:
        >>> read_architecture(Fields("m", "config.json", {"architectures": ["Qwen3ForCausalLM"]})).decoder
        True
    """
    name = next(iter(config.texts("architectures")), "no architecture")
    kind = config.text("model_type") or ""
    names = (_plain(kind), _plain(name))
    decoder = bool(config.flag("is_decoder")) or any(each.startswith(family) for each in names for family in _DECODERS)
    both_sides = config.flag("is_causal") is False or config.flag("use_bidirectional_attention") is True
    # Code that comes with a model may see both sides without saying so, as that of LlamaBidirectional does.
    own_code = "auto_map" in config or "bidirec" in "".join(names)
    return Architecture(name, decoder, decoder and not both_sides and not own_code)


def check_architecture(config: Fields, architecture: Architecture) -> None:
    """Refuse networks that give something other than a score of one pair of texts.

    Raises:
        UnsupportedModelError: If it is one.
    """
    model, name = config.model, architecture.name
    if any(field in config for field in _LAYER_WISE_FIELDS) or _has(name, "layerwise|costwise"):
        raise UnsupportedModelError(
            f"'{model}' is a layer-wise reranker ({name}): it has a head for each layer, and which one counts "
            "(cutoff_layers) is chosen in FlagEmbedding's own code. Use FlagEmbedding for it, or a model with one "
            "head, such as BAAI/bge-reranker-v2-gemma."
        )
    if _has(name, "ForRanking"):
        raise UnsupportedModelError(
            f"'{model}' is a listwise reranker ({name}): it reads all documents of a query at once, so a score depends "
            f"on the documents beside it. {ELSEWHERE}."
        )
    if _has(name, "colbert|ForRetrieval|^col[a-z0-9]*(pali|qwen|gemma|idefics)"):
        raise UnsupportedModelError(multi_vector(model, name))
    if any(field in config for field in _OTHER_SENSES) or _has(name, "VL(Model|For)|Vision2Seq|ImageTextToText"):
        raise UnsupportedModelError(
            f"'{model}' reads images or sound beside text ({name}), which is not supported. {ELSEWHERE}."
        )
    if not architecture.is_classifier and (
        config.flag("is_encoder_decoder") or _has(name, "ForConditionalGeneration|Seq2Seq")
    ):
        raise UnsupportedModelError(
            f"'{model}' is an encoder with a decoder ({name}), which writes its answer as text. That is not supported. "
            f"{ELSEWHERE}."
        )


def multi_vector(model: str, what: str) -> str:
    """Say why a model with a vector for each token is refused."""
    return (
        f"'{model}' is a multi-vector model, such as ColBERT ({what}): it gives a vector for each token of a text, and "
        f"reads query and document apart. {ELSEWHERE}."
    )


def _has(name: str, pattern: str) -> bool:
    return re.search(pattern, name, re.IGNORECASE) is not None


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
