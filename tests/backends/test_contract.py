"""The contract of a backend, over those of the package and one that was written from the protocol alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.backends.torch import TorchBackend
from rerank_plugins.contracts import BackendContract
from rerank_plugins.models.source import EMBEDDED_FOLDER
from tests.fakes import CountBackend
from tests.models.test_source import copy_of


class TestOnnx(BackendContract):
    backend = OnnxBackend

    @pytest.fixture(params=["bert-onnx", "xlm-roberta-onnx"])
    def folder(self, request: pytest.FixtureRequest, model_folder: Callable[[str], Path]) -> Path:
        return model_folder(request.param)


class TestOnnxInInt8(BackendContract):
    backend = OnnxBackend

    @pytest.fixture
    def folder(self) -> Path:
        return EMBEDDED_FOLDER


class TestTorch(BackendContract):
    backend = TorchBackend

    @pytest.fixture(params=["bert", "xlm-roberta", "deberta", "modernbert"])
    def folder(self, request: pytest.FixtureRequest, model_folder: Callable[[str], Path]) -> Path:
        return model_folder(request.param)


class TestCount(BackendContract):
    backend = CountBackend

    @pytest.fixture
    def folder(self, model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
        folder = copy_of(model_folder("bert"), tmp_path / "m", "model.safetensors")
        (folder / "weights.count").write_bytes(b"")
        return folder
