"""`rerank-plugins serve`: one model for many applications, over HTTP."""

from typing import Annotated

import typer

from rerank_plugins.cli import options
from rerank_plugins.config import RerankConfig

_SERVICE = "Service"


@options.takes_config(*options.MODEL, *options.ENGINE)
def serve(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on; 127.0.0.1 without it.", rich_help_panel=_SERVICE)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port; 8000 without it, 0 for any free one.", rich_help_panel=_SERVICE)
    ] = None,
    api_keys: Annotated[
        str | None,
        typer.Option(
            help="Keys that callers must send, between commas; needed to listen beyond this machine. Better in "
            "RERANK_API_KEYS, where no process list shows them.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds that a request may take; 60 without it.", rich_help_panel=_SERVICE),
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option(help="Documents a request may have; 1000 without it.", rich_help_panel=_SERVICE)
    ] = None,
    max_characters: Annotated[
        int | None, typer.Option(help="Characters a text may have; 200000 without it.", rich_help_panel=_SERVICE)
    ] = None,
    max_body_bytes: Annotated[
        int | None, typer.Option(help="Bytes a body may have; 16 MiB without it.", rich_help_panel=_SERVICE)
    ] = None,
    cors_origins: Annotated[
        str | None,
        typer.Option(
            help="Origins of pages that may call it, between commas; none without it.", rich_help_panel=_SERVICE
        ),
    ] = None,
    log_texts: Annotated[
        bool | None,
        typer.Option("--log-texts", help="Write questions and documents into the log.", rich_help_panel=_SERVICE),
    ] = None,
    *,
    config: RerankConfig,
) -> None:
    """Serve the model over HTTP. Each flag is a RERANK_* variable too: --max-queue is RERANK_MAX_QUEUE."""
    from rerank_plugins.service.server import serve as run
    from rerank_plugins.service.settings import ServiceSettings

    given = {
        "host": host,
        "port": port,
        "api_keys": api_keys,
        "timeout": timeout,
        "max_documents": max_documents,
        "max_characters": max_characters,
        "max_body_bytes": max_body_bytes,
        "cors_origins": cors_origins,
        "log_texts": log_texts,
    }
    run(ServiceSettings.read(**given), config)
