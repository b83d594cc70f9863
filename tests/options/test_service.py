"""The service's settings are read from variables and flags, and never show a key."""

import pytest

from rerank_plugins import InvalidTypeError, InvalidValueError
from rerank_plugins.options import ServiceSettings

KEY = "a-key-of-16-chars"


def test_variables() -> None:
    variables = {"RERANK_PORT": "9000", "RERANK_LOG_TEXTS": "yes", "RERANK_TIMEOUT": "2.5"}
    settings = ServiceSettings.from_env(variables | {"RERANK_API_KEYS": f"{KEY}, b{KEY},"}, port=0)
    assert settings == ServiceSettings(port=0, api_keys=(KEY, f"b{KEY}"), log_texts=True, timeout=2.5)


@pytest.mark.parametrize("scheme", ["tcp", "udp", "sctp"])
def test_what_kubernetes_sets_for_a_service_of_that_name_is_ignored(scheme: str) -> None:
    linked = {
        "RERANK_SERVICE_HOST": "10.96.104.172",
        "RERANK_SERVICE_PORT": "8000",
        "RERANK_PORT": f"{scheme}://10.96.104.172:8000",
        "RERANK_PORT_8000_TCP": f"{scheme}://10.96.104.172:8000",
        "RERANK_PORT_8000_TCP_ADDR": "10.96.104.172",
    }
    assert ServiceSettings.from_env(linked) == ServiceSettings()
    assert ServiceSettings.from_env(linked, port=9000).port == 9000


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RERANK_PORT": "http"}, "RERANK_PORT must be an integer, got 'http'"),
        ({"RERANK_PORT": "70000"}, "RERANK_PORT must be at most 65535, got 70000"),
        ({"RERANK_PORT": "-1"}, "RERANK_PORT must be at least 0, got -1"),
        ({"RERANK_TIMEOUT": "0"}, "RERANK_TIMEOUT must be above 0 seconds, got 0.0. Leave it out for its default"),
        ({"RERANK_TIMEOUT": "nan"}, "RERANK_TIMEOUT must be above 0 seconds, got nan"),
        ({"RERANK_MAX_DOCUMENTS": "0"}, "RERANK_MAX_DOCUMENTS must be at least 1, got 0"),
        ({"RERANK_LOG_TEXTS": "maybe"}, "RERANK_LOG_TEXTS must be true or false, got 'maybe'"),
        ({"RERANK_HOST": "0.0.0.0"}, r"host='0.0.0.0' accepts requests from other machines.*Set api_keys"),
        ({"RERANK_API_KEYS": "sécret"}, "RERANK_API_KEYS must be printable ASCII without spaces"),
        ({"RERANK_API_KEYS": f"{KEY},secret"}, "RERANK_API_KEYS must have at least 16 characters each, and one has 6"),
        ({"RERANK_CORS_ORIGINS": "*"}, "cors_origins='.' lets every web page use the service, which needs an API key"),
        ({"RERANK_API_KEYS": "secret with spaces"}, "RERANK_API_KEYS must be printable ASCII without spaces"),
    ],
)
def test_wrong_variables(environ: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message) as caught:
        ServiceSettings.from_env(environ)
    assert "cret" not in str(caught.value)


def test_wrong_types() -> None:
    with pytest.raises(InvalidTypeError, match=r"api_keys must be strings in a list or tuple.*got dict") as caught:
        ServiceSettings(api_keys={"secret": 1})  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    with pytest.raises(InvalidTypeError, match=r"ServiceSettings has no option 'api_key'. Did you mean 'api_keys'\?"):
        ServiceSettings(api_key="secret")  # type: ignore[call-arg]


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(ServiceSettings(api_keys=(f"secret{KEY}",)))
