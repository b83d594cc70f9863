"""Download what a reranker needs of a Hub repository, and say what went wrong and how to fix it."""

import glob
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

from rerank_plugins.models.hub_errors import explained, is_temporary
from rerank_plugins.options import ModelOptions

_TOKENIZER_AND_CONFIG = ["*.json", "*.txt", "*.model", "*.jinja"]
# Repositories keep copies for other engines in folders, with tokenizers of their own.
_COPIES = ["*/*.txt", "*/*.model", "*/tokenizer.json"]


def download(config: ModelOptions, weights: Sequence[str]) -> Path:
    """Return the local folder of a repository's snapshot, downloading what is missing.

    Takes configuration, tokenizer and the weights named. `revision`, `cache_folder`, `local_files_only`, `token` and
    the Hub's environment variables (`HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`) work as in transformers.

    Raises:
        ModelNotFoundError: If the repository or revision does not exist, may not be read, or cannot be downloaded.
    """
    with explained(config):
        return _snapshot(config, weights)


def cached_folder(config: ModelOptions) -> Path:
    """Return the folder that an earlier download left, for when the Hub cannot be asked.

    Raises:
        ModelNotFoundError: If there is none; it says why the Hub could not be asked.
    """
    with explained(config):
        try:
            return _snapshot(config, [], local_files_only=True)
        except LocalEntryNotFoundError:
            if not config.local_files_only:
                _list(config)
            raise


def download_file(config: ModelOptions, name: str) -> Path | None:
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
                cache_dir=_cache_dir(config),
                local_files_only=config.local_files_only,
                token=config.token,
            )
        except RemoteEntryNotFoundError:
            return None
    return Path(file)


def list_files(config: ModelOptions) -> list[str] | None:
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


def _list(config: ModelOptions) -> list[str]:
    info = huggingface_hub.HfApi(token=config.token).model_info(str(config.model), revision=config.revision)
    return [file.rfilename for file in info.siblings or []]


def _snapshot(config: ModelOptions, weights: Sequence[str], *, local_files_only: bool = False) -> Path:
    scripts = ["*.py"] if config.trust_remote_code else []
    folder = huggingface_hub.snapshot_download(
        str(config.model),
        revision=config.revision,
        cache_dir=_cache_dir(config),
        local_files_only=config.local_files_only or local_files_only,
        token=config.token,
        allow_patterns=[*_TOKENIZER_AND_CONFIG, *scripts, *map(glob.escape, weights)],
        ignore_patterns=_COPIES,
    )
    return Path(folder)


def _cache_dir(config: ModelOptions) -> str | None:
    return None if config.cache_folder is None else str(config.cache_folder)
