"""Say what a folder or a name is that cannot be loaded as a model, and what to do about it."""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from rerank_plugins.errors import ModelError, ModelNotFoundError
from rerank_plugins.json_files import read_fields

_LFS_HEADER = b"version https://git-lfs.github.com/spec/"
_HUB_HOSTS = r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf://(?:models/)?"
_HUB_URL = re.compile(rf"(?:{_HUB_HOSTS})(?P<name>[\w.-]+/[\w.-]+?)(?:\.git)?(?:@[^/]*)?(?:/(?P<rest>.*))?")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://.*", re.IGNORECASE)
_LOOKS_LIKE_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
# Weights of other engines, by the ending of their files.
_OTHER_ENGINES = {
    ".gguf": "GGUF weights, for llama.cpp",
    ".h5": "TensorFlow weights",
    ".msgpack": "Flax weights",
    ".ot": "rust-bert weights",
    ".mlmodel": "Core ML weights",
    ".tflite": "TensorFlow Lite weights",
    ".engine": "TensorRT weights",
    ".xml": "OpenVINO weights",
    ".pte": "ExecuTorch weights",
}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_NOT_PICKLED = ("training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "openvino_model.bin")
_READ_FIRST = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "spm.model",
)


def explain(folder: Path) -> str | None:
    """Say why a folder is not a usable model; None where nothing speaks against it.

    Finds adapters without their model, Git LFS pointers in place of files, shards that are missing, weights as pickles,
    and weights for other engines. Reads a few bytes of each file, and loads no weights.

    Examples:
        >>> explain(Path("bge-reranker-v2-m3-GGUF"))
        "'bge-reranker-v2-m3-GGUF' holds GGUF weights, for llama.cpp (bge-reranker-v2-m3-Q8_0.gguf), and ..."
    """
    files = [*folder.glob("*"), *folder.glob("onnx/*")]
    names = [file.relative_to(folder).as_posix() for file in files if file.is_file()]
    if _is_adapter(names):
        return _adapter(str(folder), _base_of_adapter(folder))
    return explain_files(str(folder), names) or _pointers(folder, names) or _missing_shards(folder, names)


def check_usable(folder: Path) -> None:
    """Refuse a folder that `explain` has something to say about.

    Raises:
        ModelNotFoundError: With what it says.
    """
    if reason := explain(folder):
        raise ModelNotFoundError(reason)


def explain_files(model: str, names: Collection[str]) -> str | None:
    """Say why files of these names do not make a usable model; None where nothing speaks against them.

    Args:
        model: The folder or the repository, for the message.
        names: The files' paths in it, such as those of `hub.list_files`.
    """
    if _is_adapter(names):
        return _adapter(model, "its base model")
    if any(name.endswith((".safetensors", ".onnx")) for name in names):
        return None
    pickles = [name for name in names if name.endswith(_PICKLES) and PurePosixPath(name).name not in _NOT_PICKLED]
    if pickles:
        return (
            f"'{model}' has its weights only as pickles ({_listed(pickles)}), which can run code and are not read. "
            "Choose a revision= with safetensors (the Hub's conversion bot opens refs/pr/... for it), or convert them "
            "where you trust them: AutoModelForSequenceClassification.from_pretrained(...).save_pretrained(...)."
        )
    for suffix, title in _OTHER_ENGINES.items():
        if found := [name for name in names if PurePosixPath(name).suffix.lower() == suffix]:
            return (
                f"'{model}' holds {title} ({_listed(found)}), and neither safetensors nor ONNX. Use the original "
                "model's repository, with safetensors."
            )
    return None


def explain_name(model: str) -> str | None:
    """Say what a model's name is that is neither a folder nor a name on the Hub; None where it may be one.

    Examples:
        >>> explain_name("BAAI/bge-reranker-v2-m3/")
        "model='BAAI/bge-reranker-v2-m3/' ends with a slash. Use model='BAAI/bge-reranker-v2-m3'."
    """
    if model != model.strip():
        return f"model={model!r} begins or ends with white space. Use model={model.strip()!r}."
    if not model:
        return "model='' is empty. Pass a folder or a name on the Hub, or leave model out for the embedded model."
    if url := _HUB_URL.fullmatch(model):
        revision = re.match(r"(?:tree|blob|resolve)/([^/]+)", url["rest"] or "")
        chosen = f" with revision={revision[1]!r}" if revision and revision[1] != "main" else ""
        return f"model={model!r} is a URL. Use the name: model={url['name']!r}{chosen}."
    if _URL.fullmatch(model):
        return (
            f"model={model!r} is a URL, and models are loaded from a folder or from the Hub. Download the files and "
            "pass their folder, or use a name such as model='BAAI/bge-reranker-v2-m3'."
        )
    trimmed = model.rstrip("/")
    if trimmed != model and _LOOKS_LIKE_HUB_NAME.fullmatch(trimmed):
        return f"model={model!r} ends with a slash. Use model={trimmed!r}."
    name, mark, revision_name = model.partition("@")
    if mark and _LOOKS_LIKE_HUB_NAME.fullmatch(name):
        return f"model={model!r} names a revision. Use model={name!r} with revision={revision_name!r}."
    if model.count("\\") and not Path(model).exists():
        return f"There is no folder {model!r}. A name on the Hub has a slash: model={model.replace(chr(92), '/')!r}."
    if PurePosixPath(model).suffix.lower() == ".gguf":
        return (
            f"model={model!r} is a GGUF file, for llama.cpp. Use the original model's folder or repository, with "
            "safetensors."
        )
    return None


def _adapter(model: str, base: str) -> str:
    return (
        f"'{model}' is a LoRA or other PEFT adapter for {base} (adapter_config.json), not a whole model. Merge it into "
        "that model and save the result: PeftModel.from_pretrained(...).merge_and_unload().save_pretrained(...). If "
        "the weights here are merged already, delete adapter_config.json."
    )


def _is_adapter(names: Collection[str]) -> bool:
    # A model exported to ONNX is whole, whatever it was trained with.
    return "adapter_config.json" in names and not any(name.endswith(".onnx") for name in names)


def _base_of_adapter(folder: Path) -> str:
    try:
        base = read_fields(str(folder), folder / "adapter_config.json").text("base_model_name_or_path")
    except ModelError:  # an adapter all the same
        base = None
    return repr(base) if base else "its base model"


def _pointers(folder: Path, names: Collection[str]) -> str | None:
    """Find what `git clone` leaves in place of large files where Git LFS is not installed."""
    graphs = [name for name in names if name.endswith((".onnx", ".onnx_data", ".onnx.data"))]
    in_root = [name for name in graphs if "/" not in name]
    weights = in_root or [name for name in names if name.endswith(".safetensors")] or graphs
    pointers = [name for name in (*_READ_FIRST, *weights) if name in names and _is_pointer(folder / name)]
    if not pointers:
        return None
    return (
        f"'{folder}' was cloned without Git LFS: {_listed(pointers)} is a pointer, not the file itself. Run `git lfs "
        f"install && git lfs pull` there, or download it with `hf download`."
    )


def _is_pointer(file: Path) -> bool:
    try:
        with file.open("rb") as contents:
            return contents.read(len(_LFS_HEADER)) == _LFS_HEADER
    except OSError:  # whoever loads it says why
        return False


def _missing_shards(folder: Path, names: Collection[str]) -> str | None:
    index = folder / "model.safetensors.index.json"
    whole = "model.safetensors" in names or any(name.endswith(".onnx") for name in names)
    if whole or index.name not in names:
        return None
    weight_map = read_fields(str(folder), index).fields("weight_map")
    shards = sorted({weight_map.text(weight) or "" for weight in weight_map})
    missing = [shard for shard in shards if not _is_there(folder / shard)]
    if not missing:
        return None
    return (
        f"'{folder}' lacks {len(missing)} of {len(shards)} weight files that its {index.name} names: "
        f"{_listed(missing)}. The download is incomplete: download it again."
    )


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # such as a name that is too long
        return False


def _listed(names: Collection[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first
