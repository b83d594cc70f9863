"""The chain of modules that sentence-transformers saves, and the head that it makes."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rerank_plugins.backends.heads import ModulesHead, TokenHead
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.json_files import Fields, read_fields, read_list
from rerank_plugins.models.architectures import ELSEWHERE, multi_vector
from rerank_plugins.models.modules import READERS, Module, check_fields
from rerank_plugins.models.saved import Saved

_SIZES = {
    "Pooling": ("embedding_dimension", "embedding_dimension"),
    "Dense": ("in_features", "out_features"),
    "LayerNorm": ("dimension", "dimension"),
}
_KNOWN = ("Pooling", "Dense", "LayerNorm", "LogitScore")
_VECTOR, _SCORES = "sentence_embedding", "scores"
_MULTI_VECTOR = ("MultiVectorEncoder", "ColBERT")


def read_chain(name: str, folder: Path, saved: Saved) -> TokenHead | ModulesHead | None:
    """Read the head that the modules behind a Transformer make.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
        saved: What else sentence-transformers saved.

    Returns:
        The head; None where there is no `modules.json`, or it names a Transformer alone.

    Raises:
        UnsupportedModelError: If the modules make no score, or one of them is not supported.

    Examples:
        >>> read_chain("cross-encoder/ettin-reranker-32m-v1", folder, saved).modules[0]
        Pooling(mode='cls')
    """
    listed = read_list(name, folder / "modules.json")
    if not listed:
        return None
    _check_names(name, listed, saved)
    modules = [_module(name, folder, each) for each in listed[1:]]
    if not modules:
        return None
    _check_scores(name, modules, saved)
    if modules[0].kind == "LogitScore":
        return _token_head(name, modules, saved)
    return _modules_head(name, modules, saved)


def _check_scores(name: str, modules: Sequence[Module], saved: Saved) -> None:
    """Refuse an embedding model, a module that is not read, and a chain that sentence-transformers does not load."""
    titles = ", ".join(module.title for module in modules)
    scores = any(
        module.kind == "LogitScore" or module.config.text("module_output_name") == _SCORES for module in modules
    )
    declared = saved.model_type == "CrossEncoder"
    if not scores and not declared:
        raise UnsupportedModelError(
            f"'{name}' is an embedding model: its modules.json names {titles}, and none of them gives scores. A "
            f"reranker scores query and document together. {ELSEWHERE}."
        )
    if unknown := [module.title for module in modules if module.kind not in _KNOWN]:
        raise _unsupported(name, unknown[0], f"behind a Transformer only {', '.join(_KNOWN)} are read")
    if not scores:
        raise UnsupportedModelError(
            f"'{name}' was saved as a CrossEncoder, and none of its modules gives scores: {titles}. The last one must "
            "be a LogitScore, or a Dense with module_output_name='scores'. Correct its config.json."
        )
    if not declared:
        raise UnsupportedModelError(
            f"The modules.json of '{name}' names {titles}, and its config_sentence_transformers.json does not say "
            f'"model_type": "CrossEncoder", without which sentence-transformers does not use them. Correct the file.'
        )


def _check_names(name: str, listed: Sequence[Fields], saved: Saved) -> None:
    if saved.model_type in _MULTI_VECTOR:
        raise UnsupportedModelError(multi_vector(name, f"model_type {saved.model_type}"))
    for place, module in enumerate(listed):
        kind, path = module.text("type") or "no type", module.text("path") or ""
        title = f"{path or '.'} ({kind})"
        if kind.startswith("pylate."):
            raise UnsupportedModelError(multi_vector(name, title))
        if not kind.startswith("sentence_transformers."):
            raise UnsupportedModelError(
                f"The modules.json of '{name}' names the module {title}, which is Python code from outside of "
                f"sentence-transformers. It is not run, and the model's score needs it. {ELSEWHERE}."
            )
        if (place == 0) != kind.endswith(".Transformer"):
            raise _unsupported(name, title, "a chain has one Transformer, and begins with it")
        if place == 0 and path not in ("", "."):
            raise _unsupported(name, title, "the Transformer's files must lie in the model's own folder")
    names = [module.text("name") for module in listed]
    if repeated := [each for each in names if each is not None and names.count(each) > 1]:
        raise UnsupportedModelError(
            f"The modules.json of '{name}' has two modules named {repeated[0]!r}, of which sentence-transformers "
            "keeps one. Give each a name of its own."
        )


def _module(name: str, folder: Path, listed: Fields) -> Module:
    kind, path = listed.text("type") or "", listed.text("path") or ""
    title = f"{path or '.'} ({kind})"
    short = kind.rpartition(".")[2]
    if short not in _KNOWN:
        return Module(short, path, title, Fields(name, f"{path}/config.json", {}))
    place = PurePosixPath(path)
    if not path or place.is_absolute() or ".." in place.parts:
        raise _unsupported(name, title, "its path must be a folder inside the model's")
    if not (folder / path / "config.json").is_file():
        raise _unsupported(
            name, title, f"'{path}' has no config.json; if a download was interrupted, download it again"
        )
    config = read_fields(name, folder / path / "config.json")
    config.file = f"{path}/config.json"
    module = Module(short, path, title, config)
    check_fields(module)
    return module


def _token_head(name: str, modules: Sequence[Module], saved: Saved) -> TokenHead:
    if len(modules) > 1:
        raise _unsupported(name, modules[1].title, "nothing is read behind a LogitScore")
    if saved.task != "text-generation":
        raise _wrong_task(name, modules[0], saved, "text-generation")
    config = modules[0].config
    _check_input(name, modules[0], saved.output or "", config.text("module_input_name") or "causal_logits")
    true_token_id = config.integer("true_token_id")
    if true_token_id is None:
        raise config.wrong("true_token_id", "the id of the token that means relevant")
    return TokenHead(true_token_id, config.integer("false_token_id"))


def _modules_head(name: str, modules: Sequence[Module], saved: Saved) -> ModulesHead:
    if saved.task not in (None, "feature-extraction"):
        raise _wrong_task(name, modules[0], saved, "feature-extraction")
    first = modules[0]
    if first.kind != "Pooling":
        raise _unsupported(name, first.title, "behind the Transformer a Pooling makes one vector of all tokens")
    if saved.instruction is not None and first.config.flag("include_prompt") is False:
        raise first.config.wrong("include_prompt", "true beside a default prompt")
    _check_input(name, first, saved.output or "token_embeddings", "token_embeddings")
    for module in modules[1:]:
        if module.kind in ("Pooling", "LogitScore"):
            raise _unsupported(name, module.title, "only Dense and LayerNorm are read behind a Pooling")
    for place, module in enumerate(modules[1:], start=1):
        _check_input(name, module, _VECTOR, module.config.text("module_input_name") or _VECTOR)
        output = module.config.text("module_output_name") or _VECTOR
        expected = _SCORES if place == len(modules) - 1 else _VECTOR
        if output != expected:
            raise module.config.wrong("module_output_name", f"{expected!r} at this place of the chain")
    _check_sizes(name, modules)
    return ModulesHead(tuple(READERS[module.kind](module) for module in modules))


def _check_sizes(name: str, modules: Sequence[Module]) -> None:
    given: int | None = None
    for module in modules:
        reads, gives = _SIZES[module.kind]
        wanted = module.config.integer(reads, at_least=1)
        if given is not None and wanted is not None and given != wanted:
            raise UnsupportedModelError(
                f"The modules of '{name}' do not fit together: {module.title} reads vectors of {wanted} numbers "
                f"({reads}), and the module before it gives {given}. Download the model again."
            )
        given = module.config.integer(gives, at_least=1) or given
    if given != 1:
        raise UnsupportedModelError(
            f"'{name}' gives {given} scores a pair ({modules[-1].title}); a reranker gives one, the relevance. Choose "
            "a cross-encoder trained with num_labels=1."
        )


def _check_input(name: str, module: Module, given: str, wanted: str) -> None:
    if given != wanted:
        raise UnsupportedModelError(
            f"'{name}' is not a simple chain of modules: {module.title} reads {wanted!r}, and the module before it "
            f"gives {given!r}. Only chains are supported in which each module reads what the one before it gives."
        )


def _wrong_task(name: str, module: Module, saved: Saved, expected: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"'{name}' has transformer_task={saved.task!r} in its sentence_bert_config.json, and its {module.title} needs "
        f"{expected!r}. Correct the file, or download the model again."
    )


def _unsupported(name: str, title: str, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"The modules.json of '{name}' names {title}, which is not supported: {reason}. Use "
        f"sentence_transformers.CrossEncoder for this model. {ELSEWHERE}."
    )
