"""Configuration as one frozen value; each field is also a variable (`max_length` is `RERANK_MAX_LENGTH`)."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias, get_args

from rerank_plugins.caching.base import REDIS_SCHEMES, ScoreCache
from rerank_plugins.errors import InvalidTypeError, InvalidValueError

BackendName = Literal["auto", "onnx", "torch"]
DtypeName = Literal["auto", "fp32", "fp16", "bf16"]
ActivationName = Literal["sigmoid", "identity"]
LongDocuments = Literal["truncate", "windows"]
Fallback = Literal["cpu"]

# Room for the special tokens of a pair, some of the query and some of the document.
MIN_MAX_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class RerankConfig:
    """How to load a model and how to score with it.

    Attributes:
        model: A folder, or a name on the Hub; None for the embedded model.
        backend: `onnx`, `torch`, a `Backend` class of your own, or `auto`: ONNX for a folder that holds an `.onnx`
            file, torch otherwise.
        device: `auto` (cuda, then mps, then cpu), or a torch device such as `cuda:1`.
        dtype: `fp32`, `fp16`, `bf16`, or `auto`: fp16 on cuda and mps, fp32 on the CPU.
        max_length: Tokens a pair may have, special tokens included; capped by the model's positions. None for what the
            model's config asks for (`rerank_plugins.max_length`; 256 for the embedded model), and 512 where it asks for
            nothing, which is what FlagEmbedding's `FlagReranker` takes for bge-reranker-v2-m3.
        activation: From logit to score; None for what the model's config declares, sigmoid when it declares none.
        max_batch_tokens: Tokens a batch may have, padding included; None for 16,384 on a GPU, which is the default of
            text-embeddings-inference, and what measured best on the CPU: 4,096 with torch, 256 for an ONNX file. An
            int8 file runs one pair at a time.
        long_documents: `truncate` cuts what does not fit into `max_length`; `windows` reads all of it in windows that
            overlap by a quarter, and the best one's score is the document's.
        num_threads: Threads of the ONNX backend; None for as many as there are cores.
        max_queue: How many pairs of all callers may wait for the model; more are refused with `OverloadedError`.
        timeout: Seconds after which a call gives up with `DeadlineExceededError`; None for never.
        fallback: `cpu` to finish on the CPU what the device's memory cannot hold, even one pair at a time.
        cache: Where scores are kept from one call to the next: `memory`, a Redis URL (redis://host:6379/0), a
            `ScoreCache`; None for nowhere.
        revision: A branch, tag or commit of a Hub repository.
        cache_folder: Where downloads are kept; None for the Hub's own choice (`HF_HOME`).
        local_files_only: Never ask the Hub, take what is in the cache.
        token: A Hub access token; None for the one that `hf auth login` or `HF_TOKEN` set.
        trust_remote_code: Run Python code that comes with the model. Off: a model is data.
        onnx_file: Which `.onnx` file of the folder or repository, where there are several.

    Raises:
        InvalidValueError: If a value is not among the allowed ones.
        InvalidTypeError: If a value has the wrong type.

    Examples:
        >>> RerankConfig(max_length=256).max_length
        256
    """

    model: str | None = None
    backend: BackendName | type = "auto"
    device: str = "auto"
    dtype: DtypeName = "auto"
    max_length: int | None = None
    activation: ActivationName | None = None
    max_batch_tokens: int | None = None
    long_documents: LongDocuments = "truncate"
    max_windows: int = 64
    num_threads: int | None = None
    max_queue: int = 100_000
    timeout: float | None = None
    fallback: Fallback | None = None
    cache: str | ScoreCache | None = field(default=None, repr=False)
    revision: str | None = None
    cache_folder: str | None = None
    local_files_only: bool = False
    token: str | None = field(default=None, repr=False)
    trust_remote_code: bool = False
    onnx_file: str | None = None

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            check(name, getattr(self, name))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> "RerankConfig":
        """Read `RERANK_*` variables; what is given by name, and is not None, wins over them.

        Args:
            environ: The variables; None for the process's own.
            given: Fields by name, such as the flags of a command line.

        Raises:
            InvalidValueError: If a variable cannot be read as what its field needs.

        Examples:
            >>> RerankConfig.from_env({"RERANK_MAX_LENGTH": "128"}, device="cpu").max_length
            128
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for name in (each.name for each in fields(cls)):
            raw = environ.get(f"RERANK_{name.upper()}")
            if raw:
                values[name] = _parse(name, raw)
        values.update({name: value for name, value in given.items() if value is not None})
        return cls(**values)


_CHOICES: dict[str, tuple[str | None, ...]] = {
    "backend": get_args(BackendName),
    "dtype": get_args(DtypeName),
    "activation": (None, *get_args(ActivationName)),
    "long_documents": get_args(LongDocuments),
    "fallback": (None, *get_args(Fallback)),
}
_INTEGERS = {"max_length": MIN_MAX_LENGTH, "max_windows": 1, "max_batch_tokens": 1, "num_threads": 1, "max_queue": 1}
_OPTIONAL = ("max_length", "max_batch_tokens", "num_threads", "timeout")
_SWITCHES = ("local_files_only", "trust_remote_code")
_TEXTS = ("model", "device", "revision", "cache_folder", "token", "onnx_file")


def _check_choice(name: str, value: object) -> None:
    if name == "backend" and isinstance(value, type):  # `choose_backend` says whether it is one.
        return
    if value not in _CHOICES[name]:
        allowed = ", ".join(repr(choice) for choice in _CHOICES[name])
        raise InvalidValueError(f"{name} must be one of {allowed}, got {value!r}.")


def _check_integer(name: str, value: object) -> None:
    if value is None and name in _OPTIONAL:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidTypeError(f"{name} must be an integer, got {value!r}.")
    if value < _INTEGERS[name]:
        raise InvalidValueError(f"{name} must be at least {_INTEGERS[name]}, got {value}.")


def _check_timeout(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTypeError(f"{name} must be a number of seconds, got {value!r}.")
    if not (value > 0 and math.isfinite(value)):
        raise InvalidValueError(f"{name} must be above 0 seconds, got {value}. Leave it out for no limit.")


def _check_cache(name: str, value: object) -> None:
    if value is None or isinstance(value, ScoreCache):
        return
    if not isinstance(value, str):
        raise InvalidTypeError(f"{name} must be 'memory', a Redis URL or a ScoreCache, got {type(value).__name__}.")
    if value != "memory" and not value.startswith(REDIS_SCHEMES):
        schemes = ", ".join(REDIS_SCHEMES)
        # Not the rest of it, where a password may stand.
        scheme = value.partition(":")[0]
        raise InvalidValueError(f"{name} must be 'memory' or a Redis URL ({schemes}), got {scheme!r}.")


def _check_switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be True or False, got {value!r}.")


def _check_words(name: str, value: object) -> None:
    if value is None and name != "device":
        return
    if not isinstance(value, str):
        raise InvalidTypeError(f"{name} must be a string, got {type(value).__name__}.")
    if not value.strip():
        raise InvalidValueError(f"{name} must not be empty. Leave it out for its default.")


_CHECKS: dict[str, Callable[[str, object], None]] = {
    **dict.fromkeys(_CHOICES, _check_choice),
    **dict.fromkeys(_INTEGERS, _check_integer),
    **dict.fromkeys(_SWITCHES, _check_switch),
    **dict.fromkeys(_TEXTS, _check_words),
    "timeout": _check_timeout,
    "cache": _check_cache,
}

_SWITCH_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def _parse(name: str, raw: str) -> Any:
    try:
        if name in _INTEGERS:
            return int(raw)
        if name == "timeout":
            return float(raw)
        if name in _SWITCHES:
            return _SWITCH_WORDS[raw.lower()]
    except (ValueError, KeyError):
        kind = "an integer" if name in _INTEGERS else "a number" if name == "timeout" else "true or false"
        raise InvalidValueError(f"RERANK_{name.upper()} must be {kind}, got {raw!r}.") from None
    return raw


ModelOptions: TypeAlias = RerankConfig
RuntimeOptions: TypeAlias = RerankConfig
ReadingOptions: TypeAlias = RerankConfig
LimitOptions: TypeAlias = RerankConfig
