"""Download what a reranker needs of a Hub repository, and say what went wrong in words."""

from pathlib import Path, PurePosixPath
from typing import Any

import huggingface_hub
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's, of whichever version
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from rerank_plugins.errors import ModelNotFoundError
from rerank_plugins.options import RerankConfig

_TOKENIZER_AND_CONFIG = ["*.json", "*.txt", "*.model"]
_WEIGHTS = ["*.safetensors"]
# Repositories keep copies of the weights for other engines in folders, several times their size.
_NOT_FOLDERS = ["*/*"]


def download(config: RerankConfig, backend: str | type[Any]) -> Path:
    """Return the local folder of a repository's snapshot, downloading what is missing.

    Takes configuration, tokenizer and safetensors for torch; for ONNX one `.onnx` file with its external data.
    `revision`, `cache_folder`, `local_files_only`, `token` and the Hub's environment variables (`HF_HOME`,
    `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`) work as in transformers.

    Raises:
        ModelNotFoundError: If the repository or revision does not exist, may not be read, or is out of reach.
    """
    try:
        return _snapshot(config, backend)
    except GatedRepoError as error:
        raise ModelNotFoundError(
            f"'{config.model}' on the Hub is gated. Ask for access on its page, then log in with "
            "`hf auth login` or pass token=."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"There is no folder '{config.model}', and no repository of that name on the Hub that this token may read. "
            "Check the spelling; for a private repository log in with `hf auth login` or pass token=."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(f"'{config.model}' on the Hub has no revision {config.revision!r}.") from error
    except HFValidationError as error:
        raise ModelNotFoundError(
            f"There is no folder '{config.model}', and it is no name on the Hub either."
        ) from error
    except (LocalEntryNotFoundError, ConnectionError, HTTPError) as error:
        raise ModelNotFoundError(
            f"'{config.model}' is neither a folder nor in the Hub's cache, and the Hub cannot be reached: {error} "
            "Download it where there is a network and pass the folder, or use Reranker() for the embedded model."
        ) from error
    except OSError as error:
        raise ModelNotFoundError(f"'{config.model}' could not be downloaded: {error}") from error


def has_onnx(config: RerankConfig) -> bool:
    """Tell whether a repository has an ONNX file; False if the Hub cannot be asked."""
    return bool(_onnx_files(config))


def _snapshot(config: RerankConfig, backend: str | type[Any]) -> Path:
    scripts = ["*.py"] if config.trust_remote_code else []
    chosen = _choose_onnx_file(config) if backend == "onnx" else None
    onnx_files = [] if chosen is None else [chosen, f"{chosen}_data", f"{chosen}.data"]
    folder = huggingface_hub.snapshot_download(
        str(config.model),
        revision=config.revision,
        cache_dir=None if config.cache_folder is None else str(config.cache_folder),
        # Without a list of the repository's ONNX files, what is in the cache must do.
        local_files_only=config.local_files_only or (backend == "onnx" and chosen is None),
        token=config.token,
        allow_patterns=[*_TOKENIZER_AND_CONFIG, *scripts, *(onnx_files if backend == "onnx" else _WEIGHTS)],
        ignore_patterns=None if backend == "onnx" else _NOT_FOLDERS,
    )
    return Path(folder)


def _choose_onnx_file(config: RerankConfig) -> str | None:
    """Choose the file to download, since a repository holds several, of gigabytes each; None if it cannot be asked."""
    if config.onnx_file is not None or config.local_files_only:
        return config.onnx_file
    files = _onnx_files(config)
    return None if files is None else _choose(str(config.model), files)


def _onnx_files(config: RerankConfig) -> list[str] | None:
    try:
        info = huggingface_hub.HfApi(token=config.token).model_info(str(config.model), revision=config.revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except (ConnectionError, HTTPError):  # offline mode is a ConnectionError
        return None
    return [file.rfilename for file in info.siblings or [] if PurePosixPath(file.rfilename).suffix == ".onnx"]


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
