"""The options of a reranker, in four groups, and `RerankConfig`, which has all of them."""

from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from typing import Annotated, Any, ClassVar, Literal

from rerank_plugins.caching.base import REDIS_SCHEMES, ScoreCache
from rerank_plugins.errors import InvalidTypeError, InvalidValueError
from rerank_plugins.options.declaration import Help, Options, documented
from rerank_plugins.options.kinds import AtLeast, Check
from rerank_plugins.validation import check_instruction

DtypeName = Literal["auto", "fp32", "fp16", "bf16"]
ActivationName = Literal["sigmoid", "identity"]
LongDocuments = Literal["truncate", "windows"]
Fallback = Literal["cpu"]

# Room for the special tokens of a pair, some of the query and some of the document.
MIN_MAX_LENGTH = 16


def _check_backend(name: str, value: object) -> str | type:
    """Accept any name: the table of backends says which ones there are."""
    if not isinstance(value, str | type):
        raise InvalidTypeError(f"{name} must be the name of a backend or a Backend class, got {value!r}.")
    if isinstance(value, str) and not value.strip():
        raise InvalidValueError(f"{name} must not be empty. Leave it out for its default.")
    return value


def _check_head(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidTypeError(f"{name} must be a string, such as 'tokens:yes,no', got {value!r}.")
    kind, _, tokens = value.partition(":")
    if (kind == "token" and tokens) or (kind == "tokens" and all(tokens.partition(","))):
        return value
    raise InvalidValueError(f"{name} must be 'token:' and a token, or 'tokens:' and two tokens, got {value!r}.")


def _check_cache(name: str, value: object) -> str | ScoreCache:
    if isinstance(value, ScoreCache):
        return value
    if not isinstance(value, str):
        raise InvalidTypeError(f"{name} must be 'memory', a Redis URL or a ScoreCache, got {type(value).__name__}.")
    if value != "memory" and not value.startswith(REDIS_SCHEMES):
        schemes = ", ".join(REDIS_SCHEMES)
        # The rest of a URL may hold a password.
        scheme = value.partition(":")[0]
        raise InvalidValueError(f"{name} must be 'memory' or a Redis URL ({schemes}), got {scheme!r}.")
    return value


@dataclass(frozen=True)
class ModelOptions(Options):
    """Which model, and where its files come from."""

    panel: ClassVar[str] = "Model"

    model: Annotated[
        str | PathLike[str] | None, Help("A folder, or a name on the Hugging Face Hub.", none="the embedded model")
    ] = None
    _: KW_ONLY
    revision: Annotated[
        str | None, Help("A branch, tag or commit of the model on the Hub.", none="the main branch")
    ] = None
    cache_folder: Annotated[
        str | PathLike[str] | None, Help("Where downloads are kept.", none="the Hub's own cache (HF_HOME)")
    ] = None
    local_files_only: Annotated[bool, Help("Never connect to the Hub; use what is already downloaded.")] = False
    token: Annotated[
        str | None, Help("An access token for the Hub.", none="the one set by HF_TOKEN or `hf auth login`")
    ] = field(default=None, repr=False)
    trust_remote_code: Annotated[bool, Help("Run Python code that comes with the model.")] = False
    onnx_file: Annotated[
        str | None,
        Help("Which .onnx file to load, if the folder or repository has several.", none="model.onnx, or the only one"),
    ] = None
    prompt: Annotated[
        str | None,
        Help(
            "For a language model whose folder declares no prompt: a name, such as qwen3, mxbai or flag, or a text "
            "with {query} and {document}.",
            none="what the folder declares",
        ),
    ] = None
    head: Annotated[
        str | None,
        Help(
            "For a language model whose folder does not say which tokens score: token:Yes for the logit of Yes, "
            "tokens:yes,no for the difference of the two.",
            none="what the folder declares",
        ),
        Check(_check_head),
    ] = None
    label: Annotated[
        int | None,
        Help("For a classifier with several labels: the one that means relevant, from 0.", none="the only label"),
        AtLeast(0),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions(Options):
    """What runs the model, where, and in which batches."""

    panel: ClassVar[str] = "Runtime"

    backend: Annotated[
        str | type[Any],
        Help("What runs the model, such as onnx or torch. auto: ONNX for a folder with an .onnx file, else torch."),
        Check(_check_backend),
    ] = "auto"
    device: Annotated[str, Help("cpu, cuda, cuda:1, mps, or auto: cuda, else mps, else cpu.")] = "auto"
    dtype: Annotated[
        DtypeName,
        Help(
            "Precision of the weights. auto: fp32 on the CPU; on cuda and mps bf16 for language models and weights "
            "saved in it, else fp16."
        ),
    ] = "auto"
    num_threads: Annotated[int | None, Help("Threads of the ONNX backend.", none="all cores"), AtLeast(1)] = None
    # On a GPU the default of text-embeddings-inference; on the CPU what measured best (benchmarks/README.md).
    max_batch_tokens: Annotated[
        int | None,
        Help("Maximum tokens of a batch, padding included.", none="16,384 on a GPU; on the CPU 4,096, or 256 for ONNX"),
        AtLeast(1),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ReadingOptions(Options):
    """What the model reads, how much of it, and what becomes of its output."""

    panel: ClassVar[str] = "Reading"

    instruction: Annotated[
        str | None,
        Help(
            "What relevant means, for a model whose prompt has a place for it. A call's own replaces it.",
            none="what the model's own prompt says",
        ),
        Check(check_instruction),
    ] = None
    # 512 is what FlagEmbedding's `FlagReranker` takes for bge-reranker-v2-m3.
    max_length: Annotated[
        int | None,
        Help(
            "Maximum tokens of a query and a document together, up to the model's own limit.",
            none="what the model's config.json asks for, else 512",
        ),
        AtLeast(MIN_MAX_LENGTH),
    ] = None
    long_documents: Annotated[
        LongDocuments,
        Help("Truncate documents longer than max_length, or read them in overlapping windows and keep the best score."),
    ] = "truncate"
    max_windows: Annotated[
        int,
        Help("Maximum windows of a document with long_documents=windows. What lies beyond them is truncated."),
        AtLeast(1),
    ] = 64
    activation: Annotated[
        ActivationName | None,
        Help("What turns the model's output into a score.", none="what the model's config.json asks for, else sigmoid"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LimitOptions(Options):
    """How much may wait, how long a call may take, and what happens beyond that."""

    panel: ClassVar[str] = "Limits"

    max_queue: Annotated[
        int, Help("Maximum pairs of all callers that may wait for the model. More are refused."), AtLeast(1)
    ] = 100_000
    timeout: Annotated[float | None, Help("Seconds after which a call is given up.", none="no limit")] = None
    fallback: Annotated[
        Fallback | None, Help("cpu: score there what does not fit into the device's memory.", none="raise an error")
    ] = None
    cache: Annotated[
        str | ScoreCache | None,
        Help("Where scores are cached: memory, or a Redis URL such as redis://host:6379/0.", none="no cache"),
        Check(_check_cache),
    ] = field(default=None, repr=False)


# Dataclasses collect fields from the last base to the first, so that `model` comes first.
@dataclass(frozen=True, kw_only=True)
class RerankConfig(LimitOptions, ReadingOptions, RuntimeOptions, ModelOptions):
    """How to load a model and how to score with it: the keywords of `Reranker` as one frozen value.

    Each option is also an environment variable (`max_length` is `RERANK_MAX_LENGTH`), a flag of the command line and
    a field of both adapters.

    Raises:
        InvalidValueError: If a value is not allowed.
        InvalidTypeError: If a value has the wrong type, or there is no option of that name.

    Examples:
        >>> RerankConfig(max_length=256).max_length
        256
    """


RerankConfig.__doc__ = documented(RerankConfig)
