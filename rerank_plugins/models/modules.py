"""The modules behind a Transformer, each from its own `config.json`, with sentence-transformers' defaults."""

from collections.abc import Callable
from dataclasses import dataclass

from rerank_plugins.backends.heads import ACTIVATIONS, POOLING_MODES, Dense, LayerNorm, Pooling
from rerank_plugins.json_files import Fields

# (sentence-transformers 6.2, `_LEGACY_POOLING_MODE_KWARGS`)
_OLDER_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# What each kind may declare; sentence-transformers does not load a field that it does not know either.
_FIELDS = {
    "Pooling": (
        *("embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt"),
        *_OLDER_POOLING,
    ),
    "Dense": (
        *("in_features", "out_features", "bias", "activation_function", "use_residual"),
        *("module_input_name", "module_output_name"),
    ),
    "LayerNorm": ("dimension",),
    "LogitScore": ("true_token_id", "false_token_id", "module_input_name"),
}


@dataclass(frozen=True, slots=True)
class Module:
    """A module behind the Transformer.

    Attributes:
        kind: The name of its class, such as `Dense`.
        path: Its folder, relative to the model's.
        title: What messages call it.
        config: Its own `config.json`.
    """

    kind: str
    path: str
    title: str
    config: Fields


def check_fields(module: Module) -> None:
    """Refuse a module that declares more than is read, such as a setting of a later sentence-transformers.

    Raises:
        UnsupportedModelError: If it does.
    """
    for key in module.config:
        if key not in _FIELDS[module.kind] and module.config.value(key) is not None:
            raise module.config.wrong(key, "left out: it is not known, and could change scores")


def _pooling(module: Module) -> Pooling:
    config = module.config
    declared = config.value("pooling_mode")
    if declared is None:
        declared = [mode for key, mode in _OLDER_POOLING.items() if config.flag(key)] or ["mean"]
    modes = [declared] if isinstance(declared, str) else declared
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in POOLING_MODES:
        raise config.wrong("pooling_mode", f"one of {', '.join(POOLING_MODES)}")
    return Pooling(modes[0])


def _dense(module: Module) -> Dense:
    config = module.config
    # The defaults of sentence-transformers' `Dense`.
    activation = config.text("activation_function") or "torch.nn.modules.activation.Tanh"
    if activation not in ACTIVATIONS:
        raise config.wrong("activation_function", f"one of torch's own: {', '.join(ACTIVATIONS)}")
    bias = config.flag("bias")
    return Dense(
        folder=module.path,
        in_features=_size(config, "in_features"),
        out_features=_size(config, "out_features"),
        bias=True if bias is None else bias,
        activation=activation,
        residual=config.flag("use_residual") or False,
    )


def _layer_norm(module: Module) -> LayerNorm:
    return LayerNorm(module.path, _size(module.config, "dimension"))


READERS: dict[str, Callable[[Module], Pooling | Dense | LayerNorm]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "LayerNorm": _layer_norm,
}


def _size(config: Fields, key: str) -> int:
    size = config.integer(key, at_least=1)
    if size is None:
        raise config.wrong(key, "a size")
    return size
