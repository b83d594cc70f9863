"""Refuse what a folder declares and this version would score wrongly, with the reason and the remedy."""

from pathlib import Path

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.json_files import Fields, read_fields, read_list
from rerank_plugins.text.template import PairTemplate

_HEAD = "ForSequenceClassification"
_ELSEWHERE = "Choose an encoder with a classification head, such as BAAI/bge-reranker-v2-m3"
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


def check_declared(folder: Path, config: Fields) -> None:
    """Refuse a folder whose `config.json`, or what lies beside it, does not declare a plain cross-encoder.

    Raises:
        UnsupportedModelError: If it does not.
    """
    architecture = next(iter(config.texts("architectures")), "no architecture")
    _check_decoder(config, architecture)
    if not architecture.endswith(_HEAD):
        raise UnsupportedModelError(
            f"'{config.model}' declares {architecture}, which has no classification head: is it an embedding or a "
            f"language model? {_ELSEWHERE}."
        )
    _check_labels(config)
    _check_quantization(config)
    _check_prompts(read_fields(config.model, folder / "config_sentence_transformers.json"))
    _check_chat_template(config.model, folder)


def check_modules(name: str, folder: Path) -> None:
    """Refuse a sentence-transformers folder with modules other than its Transformer.

    Raises:
        UnsupportedModelError: If `modules.json` names any.
    """
    unread = []
    for module in read_list(name, folder / "modules.json"):
        kind, path = module.text("type") or "no type", module.text("path") or ""
        title = f"{path or '.'} ({kind})"
        if not kind.startswith("sentence_transformers."):
            raise UnsupportedModelError(
                f"The modules.json of '{name}' names the module {title}, which is Python code from outside of "
                f"sentence-transformers. It is not run, and the model's score needs it. {_ELSEWHERE}."
            )
        if not kind.endswith(".Transformer") or path not in ("", "."):
            unread.append(title)
    if not unread:
        return
    saved_as = read_fields(name, folder / "config_sentence_transformers.json").text("model_type")
    if saved_as == "CrossEncoder" or any("LogitScore" in title for title in unread):
        raise UnsupportedModelError(
            f"'{name}' is a reranker in several modules, and its modules.json names some that are not supported yet: "
            f"{', '.join(unread)}. Use sentence_transformers.CrossEncoder for this model. "
            f"{_ELSEWHERE}."
        )
    raise UnsupportedModelError(
        f"'{name}' is an embedding model: its modules.json names {', '.join(unread)}. A reranker scores query and "
        f"document together. {_ELSEWHERE}."
    )


def check_template(name: str, template: PairTemplate) -> None:
    """Refuse a pair template that leaves the model no way to tell the query from the document.

    Nothing between them, or only the tokens that begin a sequence (Llama's `<s> query <s> document`), is what the
    tokenizers of decoders do. Encoders put a separator there.

    Args:
        name: The model's name.
        template: What `read_template` read off its tokenizer.

    Raises:
        UnsupportedModelError: If there is no separator.
    """
    middle = set(template.middle.ids)
    if middle and (template.suffix.ids or middle - set(template.prefix.ids)):
        return
    raise UnsupportedModelError(
        f"The tokenizer of '{name}' puts no separator between query and document, so ('who wrote', 'hamlet') and "
        "('who', 'wrote hamlet') would be the same input: it belongs to a model that needs a prompt around each pair, "
        f"which is not supported, or its tokenizer.json lost its post-processor. {_ELSEWHERE}, or save the tokenizer "
        "again from the original model."
    )


def _check_decoder(config: Fields, architecture: str) -> None:
    kind = config.text("model_type") or ""
    names = (_plain(kind), _plain(architecture))
    if not architecture.endswith(_HEAD):
        return
    if config.flag("is_decoder") or any(name.startswith(family) for name in names for family in _DECODERS):
        raise UnsupportedModelError(
            f"'{config.model}' is a decoder saved as a classifier ({architecture}, model_type={kind!r}). Such a "
            "reranker was trained with a prompt around query and document. Prompts are not supported yet, and without "
            f"one its scores would be wrong. {_ELSEWHERE}."
        )


def _check_labels(config: Fields) -> None:
    # transformers falls back to two labels where a config names none.
    labels = config.integer("num_labels", at_least=1) or len(config.fields("id2label")) or 2
    if labels != 1:
        raise UnsupportedModelError(
            f"'{config.model}' has {labels} labels; a reranker has one, the relevance. Choose a cross-encoder trained "
            "with num_labels=1."
        )


def _check_quantization(config: Fields) -> None:
    if quantization := config.fields("quantization_config"):
        method = quantization.text("quant_method") or "an unnamed method"
        raise UnsupportedModelError(
            f"The weights of '{config.model}' are quantized with {method} (quantization_config in its config.json), "
            "which is not supported. Use the original weights; for int8 on a CPU export them with "
            "`rerank-plugins export --quantize int8`."
        )


def _check_prompts(saved: Fields) -> None:
    default = saved.text("default_prompt_name")
    prompts = saved.fields("prompts")
    if default is None or (default in prompts and not prompts.text(default)):
        return
    raise UnsupportedModelError(
        f"'{saved.model}' declares the prompt {default!r} before each text (prompts and default_prompt_name in its "
        f"{saved.file}). Prompts are not supported yet, and without it the scores would be wrong. {_ELSEWHERE} without "
        "a prompt, or set default_prompt_name to null if the model was trained without it."
    )


def _check_chat_template(name: str, folder: Path) -> None:
    saved = read_fields(name, folder / "sentence_bert_config.json")
    declared = "message" in saved.fields("modality_config")
    if "modality_config" not in saved:
        tokenizer = read_fields(name, folder / "tokenizer_config.json")
        declared = "chat_template" in tokenizer or (folder / "chat_template.jinja").is_file()
    if declared:
        raise UnsupportedModelError(
            f"'{name}' declares a chat template around query and document. Chat templates are not supported yet, and "
            f"without it the scores would be wrong. {_ELSEWHERE}, or delete the template if the model was trained "
            "without it."
        )


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
