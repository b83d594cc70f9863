"""`rerank-plugins serve`: one model for many applications, over HTTP."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rerank_plugins.cli import options
from rerank_plugins.options import RerankConfig

if TYPE_CHECKING:
    from rerank_plugins.service.settings import ServiceSettings


def _flag(kind: Any, text: str, default: object = None, *, name: str | None = None) -> Any:
    return options.flag(kind, text, default=default, panel="Service", name=name)


# The fields of `ServiceSettings`, which is not imported for `--help`; a test holds names and defaults together.
SERVICE: Mapping[str, Any] = {
    "host": _flag(str, "The address to listen on.", "127.0.0.1"),
    "port": _flag(int, "The port; 0 for any free one.", 8000),
    "api_keys": _flag(
        str,
        "Keys that callers must send, between commas; needed to listen beyond this machine. Better in "
        "RERANK_API_KEYS, where no process list shows them.",
    ),
    "timeout": _flag(float, "Seconds that a request may take, the wait for the model included.", 60.0),
    "max_documents": _flag(int, "Documents a request may have.", 1000),
    "max_characters": _flag(int, "Characters a text may have.", 200000),
    "max_body_bytes": _flag(int, "Bytes a request's body may have.", 16777216),
    "cors_origins": _flag(str, "Origins of pages that may call it from a browser, between commas."),
    "log_texts": _flag(bool, "Write questions and documents into the log.", name="--log-texts"),
}


def _settings(**given: Any) -> "ServiceSettings":
    from rerank_plugins.service.settings import ServiceSettings

    return ServiceSettings.read(**given)


@options.collects("settings", SERVICE, _settings)
@options.takes_config(*options.MODEL, *options.ENGINE)
def serve(*, config: RerankConfig, settings: "ServiceSettings") -> None:
    """Serve the model over HTTP. Each flag is a RERANK_* variable too: --max-queue is RERANK_MAX_QUEUE."""
    from rerank_plugins.service.server import serve as run

    run(settings, config)
