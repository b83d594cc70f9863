"""The OpenAPI document is correct: schemathesis sends valid and invalid requests."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tests.service.conftest import Service

ROUTES = {
    ("/rerank", "post"), ("/v1/rerank", "post"), ("/v2/rerank", "post"), ("/health", "get"), ("/ready", "get"),
    ("/info", "get"), ("/metrics", "get"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rerank_plugins.errors.UnreadableTextWarning")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "forbidden"])
def test_the_document_holds(service: Service, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {(operation.path, operation.method) for operation in operations} == ROUTES
    with requests.Session() as session:
        for operation in operations:
            if operation.method == "get" and mode is GenerationMode.NEGATIVE:
                continue  # They take nothing that could be wrong.

            @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=operation.as_strategy(generation_mode=mode))
            def conforms(case: schemathesis.Case) -> None:
                if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
                    case.body.pop("instruction", None)  # The document allows it; the embedded model takes none.
                case.call_and_validate(session=session)

            conforms()
