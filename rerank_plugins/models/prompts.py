"""The prompt that a folder declares around query and document, or that a user gives for one that declares none."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rerank_plugins.errors import InvalidValueError, ModelNotFoundError, UnsupportedModelError
from rerank_plugins.json_files import read_fields
from rerank_plugins.models.architectures import ELSEWHERE, Architecture
from rerank_plugins.models.saved import Saved
from rerank_plugins.text.named_tokens import CONTROL_TOKENS
from rerank_plugins.text.prompt import ChatTemplate, DeclaredPrompt, TextTemplate, parse_prompt

# How a template shows that it wants a message's content in parts, and the model types that contradict it
# (sentence-transformers 6.2, `InputFormatter._infer_format`).
_STRUCTURED = ("content[0]", ".type", "'type'", '"type"', "item.type", "message.content[")
_FLAT_TYPES = ("apertus", "deepseek_v3", "gpt_oss", "seed_oss")
_DEFAULT, _RERANKER = "default", "reranker"
_GIVE = (
    "Add a chat_template.jinja with both roles from a copy of the model saved for sentence-transformers 5.4 or later, "
    "or give the prompt that it was trained with: prompt='qwen3', another name, or a text with {query} and {document}"
)


def read_prompt_of(
    name: str, folder: Path, saved: Saved, architecture: Architecture, given: str | None
) -> DeclaredPrompt | None:
    """Read the prompt around each pair.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
        saved: What sentence-transformers saved beside it.
        architecture: The network.
        given: The option `prompt`.

    Returns:
        The prompt; None for an encoder whose tokenizer has a pair template.

    Raises:
        InvalidValueError: If a prompt is given that contradicts what the folder declares, or has no meaning.
        UnsupportedModelError: If the model needs a prompt and declares none.

    Examples:
        >>> read_prompt_of("tomaarsen/Qwen3-Reranker-0.6B-seq-cls", folder, saved, qwen3, None).instruction
        'Given a web search query, retrieve relevant passages that answer the query'
    """
    templates = read_templates(name, folder)
    source = _chosen(name, saved, templates)
    _check_applied(name, folder, saved)
    reads_messages = (saved.reads_messages or False) if saved.applied else bool(templates)
    if source is not None and reads_messages and has_roles(source):
        if given is not None:
            raise InvalidValueError(
                f"prompt={given!r}: '{name}' declares its prompt itself, in its chat template. Leave prompt out."
            )
        return _chat_template(name, folder, source, saved)
    if given is not None:
        return _given(name, given, architecture, saved)
    if not architecture.decoder and not reads_messages:
        return None
    if reads_messages and source is None:
        raise UnsupportedModelError(
            f"'{name}' reads pairs as messages (modality_config in its sentence_bert_config.json), and has no chat "
            f"template to render them. {_GIVE}."
        )
    raise UnsupportedModelError(_missing(name, architecture, templates, reads_messages=reads_messages))


def _check_applied(name: str, folder: Path, saved: Saved) -> None:
    """Refuse a default prompt that sentence-transformers would not apply."""
    if saved.instruction is not None and not saved.applied:
        has_modules = (folder / "modules.json").is_file()
        lacks = "model_type is not CrossEncoder there" if has_modules else "there is no modules.json"
        raise UnsupportedModelError(
            f"'{name}' declares a default prompt in its config_sentence_transformers.json, and {lacks}, without which "
            "sentence-transformers does not apply it. Take both files from the original model, or set "
            "default_prompt_name to null."
        )


def has_roles(source: str) -> bool:
    """Whether a chat template names the roles `query` and `document`.

    One that passes any role through, as plain ChatML does, renders them too, but no reranker was trained with that.
    """
    return all(re.search(rf"""(["']){role}\1""", source) for role in ("query", "document"))


def read_templates(name: str, folder: Path) -> dict[str, str]:
    """Read a folder's chat templates by name; files take precedence over `tokenizer_config.json`, as in transformers.

    Raises:
        ModelNotFoundError: If a file cannot be read.
        UnsupportedModelError: If `chat_template` in `tokenizer_config.json` is neither a text nor a list of templates.
    """
    files = {file.stem: file for file in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
    if (folder / "chat_template.jinja").is_file():
        files[_DEFAULT] = folder / "chat_template.jinja"
    if files:
        return {title: _read_text(file) for title, file in files.items()}
    tokenizer = read_fields(name, folder / "tokenizer_config.json")
    if not isinstance(tokenizer.value("chat_template"), list):
        single = tokenizer.text("chat_template")
        return {} if single is None else {_DEFAULT: single}
    named = tokenizer.each("chat_template")
    return {each.text("name") or _DEFAULT: each.text("template") or "" for each in named}


def _chosen(name: str, saved: Saved, templates: Mapping[str, str]) -> str | None:
    """Return the template that sentence-transformers is told to use, else the default one, else one for reranking."""
    if saved.template is not None:
        if saved.template in templates or "{" in saved.template:
            return templates.get(saved.template, saved.template)
        raise UnsupportedModelError(
            f"'{name}' asks for the chat template {saved.template!r} in its sentence_bert_config.json, and has only: "
            f"{', '.join(templates) or 'none'}. If a download was interrupted, download it again."
        )
    default, reranker = templates.get(_DEFAULT), templates.get(_RERANKER)
    return reranker if reranker is not None and not (default and has_roles(default)) else default


def _chat_template(name: str, folder: Path, source: str, saved: Saved) -> ChatTemplate:
    tokenizer = read_fields(name, folder / "tokenizer_config.json")
    if tokenizer.flag("split_special_tokens"):
        raise tokenizer.wrong("split_special_tokens", "false: a prompt's control tokens would be read as characters")
    model_type = read_fields(name, folder / "config.json").text("model_type")
    structured = saved.structured
    if structured is None:
        structured = model_type not in _FLAT_TYPES and any(each in source for each in _STRUCTURED)
    variables = {**_special_tokens(name, folder, source), "add_generation_prompt": False, **dict(saved.variables)}
    return ChatTemplate(source, saved.instruction, tuple(sorted(variables.items())), structured)


def _special_tokens(name: str, folder: Path, source: str) -> dict[str, object]:
    files = [read_fields(name, folder / file) for file in ("special_tokens_map.json", "tokenizer_config.json")]
    if "added_tokens_decoder" in files[1]:  # transformers does not read the other one then
        files = files[1:]
    tokens: dict[str, object] = {}
    for key in CONTROL_TOKENS:  # what a template may read (transformers, `special_tokens_map`)
        for fields in files:
            if (token := fields.token(key)) is not None:
                tokens[key] = token
        if key not in tokens and re.search(rf"\b{key}\b", source) and not any(key in set(fields) for fields in files):
            raise UnsupportedModelError(
                f"The chat template of '{name}' writes its {key}, and its tokenizer_config.json does not say which one "
                f"that is. Add {key} to that file, null if it has none."
            )
    return tokens


def _given(name: str, given: str, architecture: Architecture, saved: Saved) -> TextTemplate:
    if not architecture.decoder:
        raise InvalidValueError(
            f"prompt={given!r}: '{name}' is an encoder ({architecture.name}), whose tokenizer separates query and "
            "document by itself. Leave prompt out."
        )
    template = parse_prompt(given)
    if saved.instruction is None:
        return template
    if "{instruction}" not in template.text:
        raise InvalidValueError(
            f"prompt={given!r} has no place for the prompt that '{name}' declares, {saved.instruction!r}. Add "
            "{instruction} to it."
        )
    return replace(template, instruction=saved.instruction)


def _missing(name: str, architecture: Architecture, templates: Mapping[str, str], *, reads_messages: bool) -> str:
    if not architecture.decoder:
        return (
            f"'{name}' is an encoder with a chat template that names no role query and no role document. Delete the "
            f"template if the model was trained without it. {ELSEWHERE}."
        )
    if templates and not reads_messages and any(map(has_roles, templates.values())):
        return (
            f"'{name}' has a chat template with query and document, and its sentence_bert_config.json says that pairs "
            "are read as plain text (modality_config without message). Add message there, or delete the template."
        )
    kind = "a decoder saved as a classifier" if architecture.is_classifier else "a language model"
    found = "its chat template names no role query and no role document" if templates else "it has no chat template"
    return (
        f"'{name}' is {kind} ({architecture.name}). Such a reranker was trained with a prompt around query and "
        f"document, and this folder does not declare one: {found}. Without it the scores would be wrong. {_GIVE}."
    )


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(f"'{file}' cannot be read ({error}). Download the model again.") from error
