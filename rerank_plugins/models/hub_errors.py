"""What the Hub's errors mean, and how to fix each."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's, of whichever version
    DisabledRepoError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from rerank_plugins.errors import ModelNotFoundError, RerankError
from rerank_plugins.options import ModelOptions

_LOG_IN = "log in with `hf auth login`, set HF_TOKEN or pass token="
_INSTEAD = "Or download it on a machine that can and pass the folder, or use Reranker() for the embedded model."
_BY_CLASS: dict[type[Exception], Callable[[ModelOptions], str]] = {
    GatedRepoError: lambda config: f"'{config.model}' on the Hub is gated. Ask for access on its page, then {_LOG_IN}.",
    RepositoryNotFoundError: lambda config: (
        f"There is no folder '{config.model}', and no repository of that name on the Hub that this token may read. "
        f"Check the spelling; for a private repository {_LOG_IN}."
    ),
    RevisionNotFoundError: lambda config: (
        f"'{config.model}' on the Hub has no revision {config.revision!r}. Check its page for branches and tags."
    ),
    DisabledRepoError: lambda config: f"'{config.model}' is disabled on the Hub. Choose another model.",
    HFValidationError: lambda config: (
        f"There is no folder '{config.model}', and it is not a valid name on the Hub, such as BAAI/bge-reranker-v2-m3."
    ),
    LocalTokenNotFoundError: lambda _: f"token=True asks for a saved token, and there is none: {_LOG_IN}.",
}
_BY_STATUS = {
    401: "the Hub rejects the token (401). Check it at https://huggingface.co/settings/tokens; for a public model "
    "remove it: unset HF_TOKEN, or `hf auth logout`",
    403: "the token may not read this repository (403). Give it read access, or use another one",
    407: "the proxy wants a login (407). Put it into HTTPS_PROXY, such as http://user:password@proxy:8080",
    429: f"the Hub's rate limit is reached (429). Wait a few minutes, or {_LOG_IN} for a higher limit",
}
_BY_ERRNO = {
    errno.ENOSPC: "the disk is full. Free some space, or choose another disk with cache_folder= or HF_HOME",
    errno.EDQUOT: "the disk quota is used up. Free some space, or choose another disk with cache_folder= or HF_HOME",
    errno.EFBIG: "a file is too large for this file system or limit. Choose another disk with cache_folder= or HF_HOME",
    errno.EACCES: "the cache cannot be written. Choose a folder you may write with cache_folder= or HF_HOME",
    errno.EPERM: "the cache cannot be written. Choose a folder you may write with cache_folder= or HF_HOME",
    errno.EROFS: "the cache is read-only. Choose a folder you may write with cache_folder= or HF_HOME",
    errno.ENOTDIR: "the cache is not a folder. Choose one with cache_folder= or HF_HOME",
    errno.EEXIST: "the cache is not a folder. Choose one with cache_folder= or HF_HOME",
}
_FINAL = tuple(_BY_CLASS)
_RETRYABLE = 429


@contextmanager
def explained(config: ModelOptions) -> Iterator[None]:
    """Raise what the Hub's library raises as an error that names the cause and the remedy.

    Raises:
        ModelNotFoundError: For each of its errors.
    """
    try:
        yield
    except RerankError:
        raise
    except Exception as error:  # it also raises JSONDecodeError, KeyError and AssertionError, on a proxy's pages
        raise ModelNotFoundError(_explanation(config, _cause(error))) from error


def is_temporary(error: Exception) -> bool:
    """Whether the Hub could not be asked now, so that what is in the cache should be used."""
    if isinstance(error, _FINAL):
        return False
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status == _RETRYABLE or status >= 500
    return True


def _cause(error: Exception) -> Exception:
    """`snapshot_download` wraps what stopped it into a LocalEntryNotFoundError."""
    inner = error.__cause__
    return inner if isinstance(error, LocalEntryNotFoundError) and isinstance(inner, Exception) else error


def _explanation(config: ModelOptions, error: Exception) -> str:
    for kind, sentence in _BY_CLASS.items():
        if isinstance(error, kind):
            return sentence(config)
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        switch = "local_files_only=True" if config.local_files_only else "HF_HUB_OFFLINE=1"
        return (
            f"'{config.model}' is neither a folder nor complete in the Hub's cache, and {switch} forbids downloading "
            f"it. Load it once without. {_INSTEAD}"
        )
    return f"'{config.model}' is not a folder, and downloading it from {constants.ENDPOINT} failed: {_reason(error)}"


def _reason(error: Exception) -> str:
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if reason := _BY_STATUS.get(status):
            return f"{reason}."
        return f"it answered {status} ({_first_line(error)}). Try again later. {_INSTEAD}"
    if isinstance(error, HTTPError | ConnectionError | TimeoutError):
        what = "the proxy" if "Proxy" in type(error).__name__ else "it"
        return (
            f"{what} cannot be reached ({_first_line(error)}). Check the network, HTTPS_PROXY and HF_ENDPOINT. "
            f"{_INSTEAD}"
        )
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return f"{_BY_ERRNO[error.errno]} ({_first_line(error)})."
    if isinstance(error, FileMetadataError | ValueError | KeyError | TypeError | AssertionError | AttributeError):
        return (
            f"the answer is not the Hub's ({_first_line(error)}). A proxy or a login page may have answered in its "
            f"place: check HTTPS_PROXY and HF_ENDPOINT. {_INSTEAD}"
        )
    return f"{type(error).__name__}: {_first_line(error)}. {_INSTEAD}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
