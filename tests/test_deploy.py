"""The files in deploy/ are valid and agree with the service."""

import json
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import asdict
from pathlib import Path

import crossplane
import pytest
import yaml

from rerank_plugins.options.service import ServiceSettings

DEPLOY = Path(__file__).parents[1] / "deploy"
DEFAULTS = asdict(ServiceSettings())


def test_the_dockerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_has_no_rights_and_bakes_only_pinned_weights() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert lines.index("USER 10001") < next(place for place, line in enumerate(lines) if line.startswith("CMD"))
    text = "\n".join(lines)
    assert "HEALTHCHECK" in text
    assert "40 hex digits" in text


@pytest.mark.parametrize(
    ("port", "asked"), [(None, "8000"), ("", "8000"), ("9000", "9000"), ("tcp://10.96.104.172:8000", "8000")]
)
def test_the_health_check_asks_where_the_service_listens(
    port: str | None, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes sets RERANK_PORT to an address where a Service is named rerank."""
    line = next(line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if "/health" in line)
    python, dash_c, script = json.loads(line.strip().removeprefix("CMD "))
    assert (python, dash_c) == ("python", "-c")
    urls: list[str] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: urls.append(url))
    monkeypatch.delenv("RERANK_PORT", raising=False)
    if port is not None:
        monkeypatch.setenv("RERANK_PORT", port)
    exec(script, {})
    assert urls == [f"http://127.0.0.1:{asked}/health"]


def test_what_the_dockerfile_copies_is_there() -> None:
    for line in (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY"):
            assert all((DEPLOY.parent / source).exists() for source in line.split()[1:-1])


def test_compose_starts_all_three_and_needs_a_key() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert set(services) == {"rerank", "redis", "prometheus"}
    environment = services["rerank"]["environment"]
    assert ":?" in environment["RERANK_API_KEYS"]
    assert environment["RERANK_CACHE"].startswith("redis://redis")
    assert int(services["rerank"]["stop_grace_period"].removesuffix("s")) > DEFAULTS["timeout"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    mounted = services["prometheus"]["volumes"][0].split(":")[0]
    assert (DEPLOY / mounted).is_file()


def test_prometheus_asks_the_service_with_its_key() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["rerank:8000"]
    assert job["authorization"]["credentials_file"] in (DEPLOY / "compose.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("directive", "value"), [("client_max_body_size", "4m"), ("proxy_read_timeout", "65s")])
def test_nginx_takes_as_much_as_the_service(directive: str, value: str, tmp_path: Path) -> None:
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"events {{}}\nhttp {{\n{(DEPLOY / 'nginx.conf').read_text(encoding='utf-8')}\n}}\n")
    parsed = crossplane.parse(str(whole))
    assert parsed["status"] == "ok", parsed["errors"]
    http = next(block for block in parsed["config"][0]["parsed"] if block["directive"] == "http")["block"]
    server = next(block for block in http if block["directive"] == "server")["block"]
    assert next(each["args"] for each in server if each["directive"] == directive) == [value]
    assert (DEFAULTS["max_body_bytes"], DEFAULTS["timeout"]) == (4 * 2**20, 60.0)
