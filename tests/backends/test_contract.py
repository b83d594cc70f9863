"""The backend contract, run on the package's backends; tests/test_extending.py runs it on one from the docs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.backends.torch import TorchBackend
from rerank_plugins.contracts import BackendContract
from rerank_plugins.models.source import EMBEDDED_FOLDER


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

    @pytest.fixture(
        params=[
            "bert",
            "xlm-roberta",
            "deberta",
            "modernbert",
            "chain",
            "prompted encoder",
            "gemma2 tokens",
            "llama classifier",
            "qwen3 classifier",
            "qwen3 token",
        ]
    )
    def folder(self, request: pytest.FixtureRequest, model_folder: Callable[[str], Path]) -> Path:
        return model_folder(request.param)
