"""`rerank-plugins serve`: one model for many applications, over HTTP."""

from rerank_plugins.cli import options
from rerank_plugins.options import (
    LimitOptions,
    ModelOptions,
    ReadingOptions,
    RerankConfig,
    RuntimeOptions,
    ServiceSettings,
)

SETTINGS = options.flags_of(ServiceSettings)


@options.collects("settings", SETTINGS, ServiceSettings.from_env)
@options.takes_config(ModelOptions, RuntimeOptions, ReadingOptions, LimitOptions, without=SETTINGS)
def serve(*, config: RerankConfig, settings: ServiceSettings) -> None:
    """Serve the model over HTTP. Each flag is also an environment variable: --max-queue is RERANK_MAX_QUEUE."""
    from rerank_plugins.service.server import serve as run

    run(settings, config)
