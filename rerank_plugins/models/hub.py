"""Download what a reranker needs of a Hub repository, and say what went wrong in words."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

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
from rerank_plugins.options import ModelOptions

_TOKENIZER_AND_CONFIG = ["*.json", "*.txt", "*.model"]
T = TypeVar("T")


def download(config: ModelOptions, weights: Sequence[str]) -> Path:
    """Return the local folder of a repository's snapshot, downloading what is missing.

    Takes configuration, tokenizer and the weights named. `revision`, `cache_folder`, `local_files_only`, `token` and
    the Hub's environment variables (`HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`) work as in transformers.

    Raises:
        ModelNotFoundError: If the repository or revision does not exist, may not be read, or cannot be reached.
    """
    return _explained(config, lambda: _snapshot(config, weights, local_files_only=config.local_files_only))


def cached_folder(config: ModelOptions) -> Path:
    """Return the folder that an earlier download left.

    Raises:
        ModelNotFoundError: If there is none.
    """
    return _explained(config, lambda: _snapshot(config, ["*"], local_files_only=True))


def list_files(config: ModelOptions) -> list[str] | None:
    """Name the files of a repository; None where the Hub cannot be asked.

    Raises:
        ModelNotFoundError: If the repository or revision does not exist, or may not be read.
    """
    if config.local_files_only:
        return None
    return _explained(config, lambda: _list(config))


def _explained(config: ModelOptions, work: Callable[[], T]) -> T:
    try:
        return work()
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


def _snapshot(config: ModelOptions, weights: Sequence[str], *, local_files_only: bool) -> Path:
    scripts = ["*.py"] if config.trust_remote_code else []
    folder = huggingface_hub.snapshot_download(
        str(config.model),
        revision=config.revision,
        cache_dir=config.cache_folder,
        local_files_only=local_files_only,
        token=config.token,
        allow_patterns=[*_TOKENIZER_AND_CONFIG, *scripts, *weights],
    )
    return Path(folder)


def _list(config: ModelOptions) -> list[str] | None:
    try:
        info = huggingface_hub.HfApi(token=config.token).model_info(str(config.model), revision=config.revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except (ConnectionError, HTTPError):  # offline mode is a ConnectionError
        return None
    return [file.rfilename for file in info.siblings or []]
