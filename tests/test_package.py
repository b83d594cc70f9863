"""The package is light to import, complete, and names missing extras."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import rerank_plugins

HEAVY = ["torch", "transformers", "sentence_transformers", "tensorflow", "langchain_core", "llama_index", "pydantic"]
HEAVY += ["faiss", "fastapi", "onnxruntime", "redis", "scipy", "typer", "rich"]


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_is_light() -> None:
    script = "import sys, rerank_plugins; print(sorted(set(sys.argv[1:]) & set(sys.modules)))"
    assert run(script, *HEAVY) == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(rerank_plugins.__all__, key=str.lower) == sorted(
        (name for name in dir(rerank_plugins) if name in rerank_plugins.__all__), key=str.lower
    )
    for name in rerank_plugins.__all__:
        value = getattr(rerank_plugins, name)
        if inspect.isclass(value):
            assert value.__doc__, name
            for method, function in inspect.getmembers(value, inspect.isfunction):
                if not method.startswith("_"):
                    assert function.__doc__, f"{name}.{method}"


@pytest.mark.parametrize(
    ("statement", "blocked", "extra"),
    [
        ("import rerank_plugins.langchain", "langchain_core", "langchain"),
        ("import rerank_plugins.llama_index", "llama_index", "llama-index"),
        ("import rerank_plugins.retrieval.index", "faiss", "faiss"),
        ("import rerank_plugins.retrieval.embedding", "sentence_transformers", "faiss"),
        (
            "from rerank_plugins.reading.passages import parse_passages; parse_passages(b'PAR1', source='a')",
            "pyarrow",
            "parquet",
        ),
        ("from rerank_plugins import Reranker; Reranker(sys.argv[1], backend='torch')", "torch", "torch"),
        ("from rerank_plugins import Reranker; Reranker(sys.argv[1], backend='torch')", "transformers", "torch"),
    ],
)
def test_a_missing_extra_is_named(
    model_folder: Callable[[str], Path], statement: str, blocked: str, extra: str
) -> None:
    script = f"""
import sys
class Block:
    def find_spec(self, name, *_):
        if name == {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
try:
    {statement}
except ImportError as error:
    print(type(error).__name__, error)
"""
    answer = run(script, str(model_folder("bert")))
    assert answer.startswith("MissingExtraError")
    assert answer.endswith(f"is not installed. Install it with: pip install 'rerank-plugins[{extra}]'")


def test_a_broken_installation_keeps_its_own_error() -> None:
    from rerank_plugins.extras import extra

    with pytest.raises(ModuleNotFoundError, match="its_dependency") as caught, extra("faiss", provides="faiss"):
        raise ModuleNotFoundError("No module named 'its_dependency'", name="its_dependency")
    assert not isinstance(caught.value, rerank_plugins.MissingExtraError)


def test_error_messages_end_with_a_remedy_and_errors_are_in_the_drawn_tree() -> None:
    tree = rerank_plugins.errors.__doc__ or ""
    for name, value in inspect.getmembers(rerank_plugins.errors, inspect.isclass):
        if issubclass(value, Exception) and not issubclass(value, Warning):
            assert name in tree
            assert issubclass(value, rerank_plugins.RerankError)
