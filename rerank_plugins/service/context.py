"""What the routes of one application share."""

from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from rerank_plugins.options import RerankConfig, ServiceSettings
from rerank_plugins.service.admission import Admission
from rerank_plugins.service.engine import Engine, State
from rerank_plugins.service.incoming import Incoming
from rerank_plugins.service.keys import Keys
from rerank_plugins.service.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a service.

    Attributes:
        settings: How the service is set up.
        config: Which model it serves, and how.
        engine: The model's host.
        admission: Which requests are accepted.
        incoming: The bytes of bodies under way.
        keys: The API keys in force.
        metrics: Where requests are counted.
    """

    settings: ServiceSettings
    config: RerankConfig
    engine: Engine
    admission: Admission
    incoming: Incoming
    keys: Keys
    metrics: Metrics

    @property
    def state(self) -> State:
        """The state of the service: the engine's, unless it is shutting down."""
        engine = self.engine.state
        return State.DRAINING if self.admission.draining and engine is not State.FAILED else engine


def public_name(model: str) -> str:
    """Return the name of a model as callers may know it: of a folder on the server only its last part.

    Examples:
        >>> public_name("/srv/models/my-cross-encoder"), public_name("BAAI/bge-reranker-v2-m3")
        ('my-cross-encoder', 'BAAI/bge-reranker-v2-m3')
    """
    return Path(model).name if Path(model).is_dir() else model


def context_of(request: Request) -> Context:
    """Return the context of the application that a request was sent to."""
    context: Context = request.app.state.context
    return context
