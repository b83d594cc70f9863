"""What a model is, and whether it would be loaded and how, from what its folder declares: no weights are loaded."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.backends import backend_name
from rerank_plugins.errors import ModelError, RerankError
from rerank_plugins.json_files import read_fields, read_list
from rerank_plugins.models.loaded import read_model_template
from rerank_plugins.models.shown import Piece, describe_head, template_pieces
from rerank_plugins.models.source import Source, find_source
from rerank_plugins.models.spec import ModelSpec, head_weights, resolve
from rerank_plugins.options import RerankConfig
from rerank_plugins.text.prompt import Prompt
from rerank_plugins.text.template import PairTemplate
from rerank_plugins.text.tokenizer import load_tokenizer

_FRONT_MATTER_LICENCE = re.compile(r"^license:\s*[\"']?([^\"'\n#]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands in a folder, whether or not the model can be used.

    Attributes:
        folder: Where its files are.
        architecture: The class of the network; None where none is declared.
        model_type: The family, such as `qwen3`; None where none is declared.
        modules: The modules that sentence-transformers saved, as path and type.
        licence: The licence that its README.md or config.json names; None where neither does.
        weights_bytes: The size of all weights in the folder; None where they are not on this machine.
    """

    folder: str
    architecture: str | None
    model_type: str | None
    modules: tuple[str, ...]
    licence: str | None
    weights_bytes: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a model would be loaded.

    Attributes:
        backend: What runs it.
        device: Where.
        dtype: What it computes in; `auto` for what the file holds.
        weights: The files that are loaded.
        head: How a score is made.
        scale: What the raw scores are.
        activation: What turns them into scores; None: the scale's own.
        saved_dtype: What its weights are saved in; None where nothing is declared.
        max_length: Default number of tokens of a pair.
        max_tokens: The most tokens of a pair that it has positions for; None: no limit.
        prompt_tokens: Tokens that are read beside query and document.
        template: What is read for a pair.
        instruction: The default instruction; None: there is none.
        takes_instruction: Whether one may be given.
        query_prompt: What is read before each query; empty: nothing.
        languages: The languages that it reads; None where it declares none.
    """

    backend: str
    device: str
    dtype: str
    weights: tuple[str, ...]
    head: str
    scale: str
    activation: str | None
    saved_dtype: str | None
    max_length: int
    max_tokens: int | None
    prompt_tokens: int
    template: tuple[Piece, ...]
    instruction: str | None
    takes_instruction: bool
    query_prompt: str
    languages: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a model is.

    Attributes:
        model: Its name.
        facts: What stands in its folder; None where there is no folder.
        reading: How it would be loaded; None: it is refused.
        refusal: Why it is refused; None: it is not.
    """

    model: str
    facts: Facts | None
    reading: Reading | None
    refusal: str | None


def inspect_model(config: RerankConfig) -> Inspection:
    """Find out what a model is and whether it would be loaded, without its weights.

    Args:
        config: Which model, and how it should run.

    Examples:
        >>> inspect_model(RerankConfig()).reading.head
        'the classification head'
    """
    name = str(config.model or "embedded")
    facts: Facts | None = None
    try:
        source = find_source(config)
        folder = source.fetch([])
        facts = _facts(name, folder, _read_me(source, folder, config))
        return Inspection(name, facts, _reading(resolve(config, download=False)), None)
    except RerankError as error:
        return Inspection(name, facts, None, str(error))


def _read_me(source: Source, folder: Path, config: RerankConfig) -> str:
    """Return the text of a README.md, which no model is loaded from, so that it may still be on the Hub."""
    file: Path | None = folder / "README.md"
    if "README.md" in source.files and not (folder / "README.md").is_file():
        from rerank_plugins.models.hub import download_file

        with suppress(ModelError):
            file = download_file(config, "README.md")
    return file.read_text(encoding="utf-8", errors="replace") if file is not None and file.is_file() else ""


def _facts(name: str, folder: Path, read_me: str) -> Facts:
    architecture = model_type = None
    modules: tuple[str, ...] = ()
    # What is wrong with these files is what the refusal says.
    with suppress(ModelError):
        config = read_fields(name, folder / "config.json")
        model_type = config.text("model_type")
        architecture = next(iter(config.texts("architectures")), None)
    with suppress(ModelError):
        listed = read_list(name, folder / "modules.json")
        modules = tuple(f"{each.text('path') or '.'} ({each.text('type')})" for each in listed)
    files = [*folder.glob("*"), *folder.glob("*/*")]
    weights = [each for each in files if each.suffix in (".safetensors", ".onnx", ".onnx_data", ".bin", ".gguf")]
    size = sum(each.stat().st_size for each in weights if each.is_file()) if weights else None
    return Facts(str(folder), architecture, model_type, modules, _licence(name, folder, read_me), size)


def _licence(name: str, folder: Path, read_me: str) -> str | None:
    front_matter = read_me.removeprefix("---\n").partition("\n---")[0] if read_me.startswith("---\n") else ""
    if found := _FRONT_MATTER_LICENCE.search(front_matter):
        return found[1].strip()
    with suppress(ModelError):
        return read_fields(name, folder / "config.json").text("license")
    return None


def _reading(spec: ModelSpec) -> Reading:
    declared, placement = spec.declared, spec.placement
    tokenizer = load_tokenizer(spec.folder.name, spec.folder.path)
    template = read_model_template(spec.folder.name, declared, tokenizer)
    prompt = template if isinstance(template, Prompt) else None
    limit = declared.max_positions
    if limit is not None and isinstance(template, PairTemplate) and template.restarts:
        limit *= 2  # a segment each
    return Reading(
        backend=backend_name(spec.backend),
        device=placement.device,
        dtype=placement.dtype,
        weights=(*spec.folder.weights, *head_weights(declared.head)),
        head=describe_head(declared.head, tokenizer),
        scale=str(declared.scale),
        activation=declared.activation,
        saved_dtype=declared.dtype,
        max_length=declared.max_length if limit is None else min(declared.max_length, limit),
        max_tokens=limit,
        prompt_tokens=template.tokens if isinstance(template, Prompt) else template.special,
        template=tuple(template_pieces(template, tokenizer)),
        instruction=None if prompt is None else prompt.instruction,
        takes_instruction=prompt is not None and prompt.instructed is not None,
        query_prompt=declared.query_prompt,
        languages=declared.languages,
    )
