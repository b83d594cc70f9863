"""The rules of the Hub, tested against a small local Hub server."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.models.folders import sharded, with_external_data

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = b"<!doctype html><title>Sign in to the company's network</title>"
# A status, a body and headers.
Answer = tuple[int, bytes, dict[str, str]]
UNREACHABLE = {"HF_ENDPOINT": "http://127.0.0.1:9"}
SCRIPT = """
import json, sys
from rerank_plugins import Reranker, RerankError
try:
    reranker = Reranker(**json.loads(sys.argv[1]))
except RerankError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
else:
    results = reranker.rank("who wrote hamlet", ["bread", "shakespeare wrote hamlet"])
    logits = [each.raw_score for each in results]
    print(json.dumps({"backend": reranker.backend, "model": reranker.model, "logits": logits}))
"""
DOWNLOAD = """
import json, sys
from rerank_plugins import RerankConfig
from rerank_plugins.models.hub import download
config = RerankConfig(**json.loads(sys.argv[1]))
try:
    print(json.dumps({"files": sorted(file.name for file in download(config, config.backend).rglob("*"))}))
except ValueError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""
LISTING = """
import json, sys
from rerank_plugins import RerankConfig
from rerank_plugins.models.hub import list_files
try:
    print(json.dumps(list_files(RerankConfig(**json.loads(sys.argv[1])))))
except ValueError as error:
    print(json.dumps(str(error)))
"""


class Hub(ThreadingHTTPServer):
    """Serves folders as repositories: `acme/bert` with one commit, `acme/secret` only to a token."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories
        self.asked: list[str] = []
        self.answer: Answer | None = None  # to everything
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.answer is not None:
            status, body, headers = self.server.answer
            self._answer(status, body, **headers)
            return
        api = self.path.startswith("/api/models/")
        parts = self.path.partition("?")[0].removeprefix("/api/models").split("/")[1:]
        owner, name, kind, revision, *rest = [*parts, "", "main"] if len(parts) == 2 else parts
        folder = self.server.repositories.get(f"{owner}/{name}")
        if folder is None or (name == "secret" and self.headers["Authorization"] != "Bearer hf_right"):
            self._answer(401, b"{}", **{"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif revision not in ("main", "v1", COMMIT):
            self._answer(404, b"{}", **{"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        elif api and kind == "tree":
            self._answer(200, json.dumps(self._tree(folder)).encode())
        elif api:
            names = [{"rfilename": each["path"]} for each in self._tree(folder)]
            self._answer(200, json.dumps({"id": f"{owner}/{name}", "sha": COMMIT, "siblings": names}).encode())
        else:
            content = (folder / unquote("/".join(rest))).read_bytes()
            self._answer(200, content, **{"ETag": f'"{hash(content):x}"', "X-Repo-Commit": COMMIT})

    def _tree(self, folder: Path) -> list[dict[str, object]]:
        files = [file for file in folder.rglob("*") if file.is_file()]
        return [
            {"type": "file", "path": str(file.relative_to(folder)), "size": file.stat().st_size, "oid": f"{index:040x}"}
            for index, file in enumerate(files)
        ]

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    both = tmp_path_factory.mktemp("repository")
    for file in model_folder("bert").iterdir():
        (both / file.name).write_bytes(file.read_bytes())
    (both / "onnx").mkdir()
    (both / "onnx" / "model.onnx").write_bytes((model_folder("bert-onnx") / "model.onnx").read_bytes())
    (both / "onnx" / "model_quantized.onnx").write_bytes(b"unused")
    (both / "openvino").mkdir()
    (both / "openvino" / "copy.safetensors").write_bytes(b"unused")
    apart = with_external_data(
        model_folder("bert-onnx"),
        tmp_path_factory.mktemp("apart") / "m",
        name="onnx/model.onnx",
        location="all weights[1]",
    )
    (apart / "onnx" / "all weights1").write_bytes(b"unused")
    shards = sharded(
        model_folder("bert"), tmp_path_factory.mktemp("shards") / "m", ("one.safetensors", "parts/two.safetensors")
    )
    repositories = {
        "acme/both": both,
        "acme/bert": model_folder("bert"),
        "acme/secret": model_folder("bert-onnx"),
        "acme/apart": apart,
        "acme/shards": shards,
    }
    with Hub(repositories) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def load(hub: Hub, tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Load a model in a separate process, since the Hub's library reads the environment when it is imported."""
    return _in_a_process(hub, tmp_path, SCRIPT)


@pytest.fixture
def download(hub: Hub, tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Download a repository in a separate process, without loading it."""
    return _in_a_process(hub, tmp_path, DOWNLOAD)


@pytest.fixture
def list_files(hub: Hub, tmp_path: Path) -> Callable[..., object]:
    """List a repository's files in a separate process."""
    return _in_a_process(hub, tmp_path, LISTING)


def _in_a_process(hub: Hub, tmp_path: Path, script: str) -> Callable[..., Any]:
    hub.answer = None

    def run(environment: dict[str, str] | None = None, **options: object) -> Any:
        hub.asked.clear()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        own = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            **(environment or {}),
        }
        command = [sys.executable, "-c", script, json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, env=inherited | own, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_torch_weights_are_downloaded_once_and_nothing_else(load: Callable[..., dict[str, object]], hub: Hub) -> None:
    first = load(model="acme/both")
    assert (first["backend"], first["model"]) == ("torch", "acme/both")
    fetched = " ".join(hub.asked)
    assert "model.safetensors" in fetched
    assert ".onnx" not in fetched.replace("/tree/", "")
    assert "copy.safetensors" not in fetched
    assert load({"HF_HUB_OFFLINE": "1"}, model="acme/both") == first
    assert hub.asked == []


def test_the_onnx_backend_downloads_one_onnx_file(load: Callable[..., dict[str, object]], hub: Hub) -> None:
    first = load(model="acme/both", backend="onnx")
    assert first["backend"] == "onnx"
    fetched = " ".join(hub.asked)
    assert "onnx/model.onnx" in fetched
    assert "quantized" not in fetched
    assert "safetensors" not in fetched
    for environment, options in ({"HF_HUB_OFFLINE": "1"}, {}), ({}, {"local_files_only": True}), (UNREACHABLE, {}):
        assert load(environment, model="acme/both", backend="onnx", **options) == first
        assert hub.asked == []


@pytest.mark.parametrize(
    ("model", "backend", "named"),
    [("acme/apart", "onnx", "onnx/all%20weights%5B1%5D"), ("acme/shards", "torch", "parts/two.safetensors")],
)
def test_what_the_weights_name_is_downloaded_too(
    load: Callable[..., dict[str, object]], hub: Hub, model: str, backend: str, named: str
) -> None:
    first = load(model=model)
    assert first["backend"] == backend
    fetched = " ".join(hub.asked)
    assert named in fetched
    assert "weights1" not in fetched
    assert load({"HF_HUB_OFFLINE": "1"}, model=model) == first


def test_without_torch_the_onnx_file_is_taken(load: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    assert load({"PYTHONPATH": str(tmp_path)}, model="acme/both")["backend"] == "onnx"
    answer = load({"PYTHONPATH": str(tmp_path)}, model="acme/bert")
    assert answer["error"] == "MissingExtraError"
    assert "pip install 'rerank-plugins[torch]'" in str(answer["message"])


@pytest.mark.parametrize("revision", ["v1", COMMIT])
def test_a_revision(load: Callable[..., dict[str, object]], hub: Hub, revision: str) -> None:
    assert load(model="acme/both", revision=revision, backend="onnx")["backend"] == "onnx"
    assert any(revision in path for path in hub.asked)


def test_a_cache_folder(load: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    load(model="acme/both", cache_folder=str(tmp_path / "elsewhere"), backend="onnx")
    assert any((tmp_path / "elsewhere").rglob("model.onnx"))
    assert not any((tmp_path / "hf").rglob("model.onnx"))


@pytest.mark.parametrize(("environment", "options"), [({"HF_TOKEN": "hf_right"}, {}), ({}, {"token": "hf_right"})])
def test_a_token(load: Callable[..., dict[str, object]], environment: dict[str, str], options: dict[str, str]) -> None:
    assert load(environment, model="acme/secret", backend="onnx", **options)["backend"] == "onnx"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "acme/none"}, "There is no folder 'acme/none', and no repository of that name on the Hub"),
        ({"model": "acme/secret", "backend": "onnx"}, "no repository of that name on the Hub that this token may read"),
        ({"model": "acme/bert", "revision": "v9"}, "'acme/bert' on the Hub has no revision 'v9'"),
        (
            {"model": "acme/bert", "local_files_only": True},
            "'acme/bert' is neither a folder nor complete in the Hub's cache",
        ),
        ({"model": "acme/bert", "backend": "onnx"}, "'acme/bert' has no .onnx file"),
        ({"model": "acme--bert..x/y"}, "it is not a valid name on the Hub"),
    ],
)
def test_what_is_not_there(load: Callable[..., dict[str, object]], options: dict[str, object], words: str) -> None:
    answer = load(**options)
    assert answer["error"] == "ModelNotFoundError"
    assert words in str(answer["message"])


class TestFailures:
    """Errors when the Hub cannot be reached name the cause and the remedy."""

    @pytest.mark.parametrize("backend", ["onnx", "torch"])
    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (
                (429, b"{}", {}),
                "the Hub's rate limit is reached (429). Wait a few minutes, or log in with `hf auth login`",
            ),
            (
                (401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"}),
                "the Hub rejects the token (401). Check it at https://huggingface.co/settings/tokens",
            ),
            (
                (403, b"{}", {"X-Error-Message": "Forbidden"}),
                "the token may not read this repository (403). Give it read",
            ),
            ((401, b"{}", {"X-Error-Code": "GatedRepo"}), "is gated. Ask for access on its page, then log in"),
            ((407, b"", {}), "the proxy wants a login (407). Put it into HTTPS_PROXY"),
            ((500, b"", {}), "it answered 500"),
            ((200, PAGE, {"Content-Type": "text/html"}), "the answer is not the Hub's"),
            ((200, b"[]", {}), "the answer is not the Hub's"),
        ],
    )
    def test_the_hub_answers_something_else(
        self, download: Callable[..., dict[str, object]], hub: Hub, answer: Answer, words: str, backend: str
    ) -> None:
        hub.answer = answer
        found = download({"HF_TOKEN": "hf_wrong"}, model="acme/both", backend=backend)
        assert found["error"] == "ModelNotFoundError"
        assert words in str(found["message"])
        assert "local_files_only=False" not in str(found["message"])

    @pytest.mark.parametrize("backend", ["onnx", "torch"])
    @pytest.mark.parametrize("status", [429, 500])
    def test_what_is_in_the_cache_is_used(
        self, download: Callable[..., dict[str, object]], hub: Hub, backend: str, status: int
    ) -> None:
        first = download(model="acme/both", backend=backend)
        hub.answer = (status, b"", {})
        assert download(model="acme/both", backend=backend) == first

    @pytest.mark.parametrize("backend", ["onnx", "torch"])
    def test_no_network(self, download: Callable[..., dict[str, object]], backend: str) -> None:
        found = download(UNREACHABLE, model="acme/m", backend=backend)
        assert found["error"] == "ModelNotFoundError"
        message = str(found["message"])
        assert (
            "'acme/m' is not a folder, and downloading it from http://127.0.0.1:9 failed: it cannot be reac" in message
        )
        assert "Check the network, HTTPS_PROXY and HF_ENDPOINT." in message
        assert "pass the folder, or use Reranker() for the embedded model" in message

    @pytest.mark.parametrize("backend", ["onnx", "torch"])
    @pytest.mark.parametrize(
        ("environment", "options", "switch"),
        [
            ({"HF_HUB_OFFLINE": "1"}, {}, "HF_HUB_OFFLINE=1 forbids downloading it"),
            ({}, {"local_files_only": True}, "local_files_only=True forbids downloading it"),
        ],
    )
    def test_offline(
        self,
        download: Callable[..., dict[str, object]],
        environment: dict[str, str],
        options: dict[str, bool],
        switch: str,
        backend: str,
    ) -> None:
        found = download(environment, model="acme/both", backend=backend, **options)
        assert found["error"] == "ModelNotFoundError"
        assert "'acme/both' is neither a folder nor complete in the Hub's cache, and" in str(found["message"])
        assert switch in str(found["message"])

    def test_a_proxy_that_does_not_answer(self, download: Callable[..., dict[str, object]]) -> None:
        proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "HF_ENDPOINT": "https://hub.invalid"}
        found = download(proxy, model="acme/m", backend="torch")
        assert "cannot be reached" in str(found["message"])
        assert "HTTPS_PROXY" in str(found["message"])

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            ("ENOSPC", "the disk is full. Free some space, or choose another disk with cache_folder= or HF_HOME"),
            ("EDQUOT", "the disk quota is used up"),
            ("EROFS", "the cache is read-only"),
        ],
    )
    def test_a_disk_that_takes_no_more(
        self, download: Callable[..., dict[str, object]], tmp_path: Path, number: str, words: str
    ) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "import errno, os, huggingface_hub.file_download as hub\n"
            f"def http_get(*rest, **others): raise OSError(errno.{number}, os.strerror(errno.{number}))\n"
            "hub.http_get = http_get\n"
        )
        found = download({"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}, model="acme/both", backend="torch")
        assert found["error"] == "ModelNotFoundError"
        assert words in str(found["message"])

    def test_a_cache_that_is_a_file(self, download: Callable[..., dict[str, object]], tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        found = download(model="acme/both", backend="torch", cache_folder=str(tmp_path / "file"))
        assert "the cache is not a folder. Choose one with cache_folder= or HF_HOME" in str(found["message"])


def test_the_files_of_a_repository(hub: Hub, list_files: Callable[..., object]) -> None:
    files = list_files({}, model="acme/both")
    assert isinstance(files, list)
    assert {"config.json", "onnx/model.onnx", "model.safetensors"} <= set(files)
    assert list_files(UNREACHABLE, model="acme/both") is None
    assert list_files({"HF_HUB_OFFLINE": "1"}, model="acme/both") is None
    assert list_files({}, model="acme/both", local_files_only=True) is None
    assert "no repository of that name" in str(list_files({}, model="acme/none"))
    hub.answer = (429, b"", {})
    assert list_files({}, model="acme/both") is None
