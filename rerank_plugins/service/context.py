"""What the routes of one application share."""

from dataclasses import dataclass

from fastapi import Request

from rerank_plugins.options import ServiceSettings
from rerank_plugins.service.engine import Engine
from rerank_plugins.service.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Context:
    """The engine, how the service was set up, and where it counts."""

    engine: Engine
    settings: ServiceSettings
    metrics: Metrics


def context_of(request: Request) -> Context:
    """Return the context of the application that a request came to."""
    context: Context = request.app.state.context
    return context
