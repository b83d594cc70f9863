"""What sentence-transformers saves beside a model about how it reads pairs (its `CrossEncoder` and `Transformer`)."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.json_files import Fields, read_fields

_TRANSFORMER_FILE = "sentence_bert_config.json"
_MODEL_FILE = "config_sentence_transformers.json"
# The Transformer's defaults by task (sentence-transformers 6.2, `TRANSFORMER_TASK_DEFAULTS`).
_OUTPUTS = {
    "feature-extraction": ("last_hidden_state", "token_embeddings"),
    "sequence-classification": ("logits", "scores"),
    "text-generation": ("logits", "causal_logits"),
}
# Arguments that change where and how fast a model runs, and not what it says in fp32.
_HARMLESS: dict[str, Collection[str]] = {
    "model_kwargs": ("dtype", "torch_dtype", "attn_implementation", "device_map", "trust_remote_code"),
    "processor_kwargs": ("model_max_length", "padding_side", "trust_remote_code"),
    "config_kwargs": ("trust_remote_code", "use_cache"),
}
_OLDER_NAMES = {"model_kwargs": "model_args", "processor_kwargs": "tokenizer_args", "config_kwargs": "config_args"}
# Truncation keeps the end of a prompt here whatever they say, and batches are padded on the right.
_HARMLESS_TEXT = ("max_length", "truncation", "padding", "padding_side", "logits_to_keep")
_NOT_FOR_TEMPLATES = ("max_length", "truncation", "padding", "return_tensors", "restore_suffix", "chat_template")
# Arguments of transformers' `apply_chat_template` that do more than fill a variable.
_UNREAD_ARGUMENTS = ("tools", "documents", "continue_final_message", "sanitize_control_tokens", "tokenizer_kwargs")


@dataclass(frozen=True, slots=True)
class Saved:
    """How a saved `CrossEncoder` reads pairs.

    Attributes:
        applied: Whether sentence-transformers loads it as it was saved: it has a `modules.json`, as a `CrossEncoder`.
        model_type: `CrossEncoder`, or what else it was saved as; None where nothing is declared.
        activation: The dotted name of the activation; None where nothing is declared.
        instruction: The text of the default prompt; None: there is none.
        task: What the Transformer is loaded for; None where nothing is declared.
        output: The name that its output has for the modules behind it.
        reads_messages: Whether pairs are rendered by a chat template; None where nothing is declared.
        structured: Whether a message's content is a list of parts; None where nothing is declared.
        template: The name of the chat template, or the template itself; None: the default one.
        variables: What the chat template may read, beside special tokens.
        max_length: The longest sequence; None where nothing is declared.
    """

    applied: bool = False
    model_type: str | None = None
    activation: str | None = None
    instruction: str | None = None
    task: str | None = None
    output: str | None = None
    reads_messages: bool | None = None
    structured: bool | None = None
    template: str | None = None
    variables: tuple[tuple[str, object], ...] = ()
    max_length: int | None = None


def read_saved(name: str, folder: Path) -> Saved:
    """Read `config_sentence_transformers.json` and `sentence_bert_config.json`, where a folder has them.

    Args:
        name: The model's name, for messages.
        folder: Its folder.

    Raises:
        UnsupportedModelError: If they declare something that would change a score and is not supported.
    """
    model = read_fields(name, folder / _MODEL_FILE)
    has_modules = (folder / "modules.json").is_file()
    applied = has_modules and model.text("model_type") == "CrossEncoder"
    transformer = read_fields(name, folder / _TRANSFORMER_FILE)
    if not applied:
        transformer = _ignored(transformer, has_modules=has_modules)
    _check_arguments(transformer)
    task = transformer.text("transformer_task")
    modality = _modality(transformer, task)
    processing = _processing(transformer)
    template = processing.fields("chat_template")
    return Saved(
        applied=applied,
        model_type=model.text("model_type"),
        activation=model.text("activation_fn"),
        instruction=_instruction(model),
        task=task,
        output=transformer.text("module_output_name") or _OUTPUTS.get(task or "", ("", None))[1],
        reads_messages="message" in transformer.fields("modality_config") if "modality_config" in transformer else None,
        structured=_structured(modality),
        template=template.text("chat_template"),
        variables=tuple((key, template.value(key)) for key in template if key not in _NOT_FOR_TEMPLATES),
        max_length=_max_length(transformer, processing, template),
    )


def _ignored(transformer: Fields, *, has_modules: bool) -> Fields:
    """Leave out the Transformer's own file where sentence-transformers does not read it either."""
    unread = [key for key in ("modality_config", "processing_kwargs") if key in transformer]
    if unread and not has_modules:
        raise UnsupportedModelError(
            f"'{transformer.model}' says in its {transformer.file} how pairs are read ({unread[0]}), and has no "
            "modules.json, without which sentence-transformers does not read that file. Add the modules.json of the "
            "original model."
        )
    return Fields(transformer.model, transformer.file, {})


def _instruction(model: Fields) -> str | None:
    default, prompts = model.text("default_prompt_name"), model.fields("prompts")
    if default is None:
        return None
    if default not in prompts:
        raise UnsupportedModelError(
            f"'{model.model}' declares default_prompt_name={default!r} in its {model.file}, and prompts has no prompt "
            "of that name. Correct the file, or download the model again."
        )
    return prompts.text(default) or None


def _modality(transformer: Fields, task: str | None) -> Fields:
    """Return how pairs are read, and refuse a Transformer that gives something other than its task's output."""
    declared = transformer.fields("modality_config")
    modality = declared.fields("message" if "message" in declared else "text")
    if declared and not modality:
        raise transformer.wrong("modality_config", "an object with text or message")
    expected = _OUTPUTS.get(task or "feature-extraction", (None, None))[0]
    if expected is None:
        raise transformer.wrong("transformer_task", f"one of {', '.join(_OUTPUTS)}")
    method = modality.text("method")
    output = modality.value("method_output_name")
    output = output[0] if isinstance(output, list) and len(output) == 1 else output
    if modality and (method != "forward" or output != expected):
        raise UnsupportedModelError(
            f"'{transformer.model}' takes {output!r} of {method!r} from its Transformer (modality_config in its "
            f"{transformer.file}), and only {expected!r} of 'forward' is supported. Choose a model that uses it."
        )
    return modality


def _structured(modality: Fields) -> bool | None:
    declared = modality.text("format")
    if declared in (None, "auto"):
        return None
    if declared not in ("flat", "structured"):
        raise modality.wrong("format", "flat or structured")
    return declared == "structured"


def _processing(transformer: Fields) -> Fields:
    processing = transformer.fields("processing_kwargs")
    for part in ("text", "common"):
        _refuse_unknown(processing.fields(part), _HARMLESS_TEXT + (("return_tensors",) if part == "common" else ()))
    template = processing.fields("chat_template")
    if unread := [key for key in template if key in _UNREAD_ARGUMENTS and template.value(key)]:
        raise template.wrong(unread[0], "left out: it is not supported")
    return processing


def _check_arguments(transformer: Fields) -> None:
    if transformer.flag("do_lower_case"):
        raise transformer.wrong("do_lower_case", "false: a tokenizer must lower its texts by itself")
    if "tokenizer_name_or_path" in transformer:
        raise transformer.wrong("tokenizer_name_or_path", "left out: only the tokenizer in the folder is read")
    for key, harmless in _HARMLESS.items():
        _refuse_unknown(transformer.fields(key), harmless)
        _refuse_unknown(transformer.fields(_OLDER_NAMES[key]), harmless)


def _refuse_unknown(arguments: Fields, known: Collection[str]) -> None:
    for key in arguments:
        if key not in known and arguments.value(key) is not None:
            raise arguments.wrong(key, "left out: it is not supported, and would change scores")


def _max_length(transformer: Fields, processing: Fields, template: Fields) -> int | None:
    limits = [
        transformer.integer("max_seq_length", at_least=1),
        transformer.fields("processor_kwargs").integer("model_max_length", at_least=1),
        transformer.fields("tokenizer_args").integer("model_max_length", at_least=1),
        processing.fields("text").integer("max_length", at_least=1),
        processing.fields("common").integer("max_length", at_least=1),
        template.integer("max_length", at_least=1),
    ]
    return min((limit for limit in limits if limit is not None), default=None)
