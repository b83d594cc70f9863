"""Download what a reranker needs of a Hub repository, and say what went wrong and how to fix it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import huggingface_hub
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

from rerank_plugins.errors import ModelNotFoundError
from rerank_plugins.models.hub_errors import explained, is_temporary
from rerank_plugins.options import RerankConfig

_TOKENIZER_AND_CONFIG = ["*.json", "*.txt", "*.model", "*.jinja"]
_WEIGHTS = ["*.safetensors"]
# Repositories keep copies of the weights for other engines in folders, several times their size.
_NOT_FOLDERS = ["*/*"]


def download(config: RerankConfig, backend: str) -> Path:
    """Return the local folder of a repository's snapshot, downloading what is missing.

    Takes configuration, tokenizer and safetensors for torch; for ONNX one `.onnx` file with its external data.
    `revision`, `cache_folder`, `local_files_only`, `token` and the Hub's environment variables (`HF_HOME`,
    `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`) work as in transformers.

    Raises:
        ModelNotFoundError: If the repository or revision does not exist, may not be read, or cannot be downloaded.
    """
    with explained(config):
        if backend == "onnx":
            return _onnx_snapshot(config)
        return _snapshot(config, _WEIGHTS, ignored=_NOT_FOLDERS)


def download_file(config: RerankConfig, name: str) -> Path | None:
    """Return one file of a repository, downloading it if it is missing; None if the repository does not have it.

    Raises:
        ModelNotFoundError: If the repository or revision does not exist, may not be read, or cannot be downloaded.
    """
    with explained(config):
        try:
            file = huggingface_hub.hf_hub_download(
                str(config.model),
                name,
                revision=config.revision,
                cache_dir=config.cache_folder,
                local_files_only=config.local_files_only,
                token=config.token,
            )
        except RemoteEntryNotFoundError:
            return None
    return Path(file)


def has_onnx(config: RerankConfig) -> bool:
    """Tell whether a repository has an ONNX file; False if the Hub cannot be asked."""
    return bool(_onnx_files(list_files(config) or []))


def list_files(config: RerankConfig) -> list[str] | None:
    """List the paths of a repository's files at the revision.

    Returns:
        The paths; None if the Hub cannot be asked now: no network, offline mode, `local_files_only`, too many requests.

    Raises:
        ModelNotFoundError: If there is no such repository or revision, or the token may not read it.
    """
    if config.local_files_only:
        return None
    with explained(config):
        try:
            return _list(config)
        except Exception as error:
            if is_temporary(error):
                return None
            raise


def _list(config: RerankConfig) -> list[str]:
    info = huggingface_hub.HfApi(token=config.token).model_info(str(config.model), revision=config.revision)
    return [file.rfilename for file in info.siblings or []]


def _onnx_snapshot(config: RerankConfig) -> Path:
    """Download one of the repository's ONNX files, since it holds several, of gigabytes each."""
    if config.onnx_file is not None or config.local_files_only:
        return _snapshot(config, _with_external_data(config.onnx_file))
    try:
        files = _list(config)
    except Exception as error:
        if not is_temporary(error):
            raise
        try:  # Without the list, use what is in the cache.
            return _snapshot(config, [], local_files_only=True)
        except LocalEntryNotFoundError:
            raise error from None
    return _snapshot(config, _with_external_data(_choose(str(config.model), _onnx_files(files))))


def _snapshot(
    config: RerankConfig, weights: Sequence[str], *, ignored: list[str] | None = None, local_files_only: bool = False
) -> Path:
    scripts = ["*.py"] if config.trust_remote_code else []
    folder = huggingface_hub.snapshot_download(
        str(config.model),
        revision=config.revision,
        cache_dir=config.cache_folder,
        local_files_only=config.local_files_only or local_files_only,
        token=config.token,
        allow_patterns=[*_TOKENIZER_AND_CONFIG, *scripts, *weights],
        ignore_patterns=ignored,
    )
    return Path(folder)


def _with_external_data(file: str | None) -> list[str]:
    return [] if file is None else [file, f"{file}_data", f"{file}.data"]


def _onnx_files(files: Sequence[str]) -> list[str]:
    return [file for file in files if PurePosixPath(file).suffix == ".onnx"]


def _choose(model: str, found: list[str]) -> str:
    for preferred in ("model.onnx", "onnx/model.onnx"):
        if preferred in found:
            return preferred
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelNotFoundError(
            f"'{model}' has {len(found)} ONNX files. Choose one with onnx_file=: {', '.join(found)}"
        )
    raise ModelNotFoundError(
        f"'{model}' has no ONNX file. Its safetensors need backend='torch', which comes with: "
        "pip install 'rerank-plugins[torch]'"
    )
