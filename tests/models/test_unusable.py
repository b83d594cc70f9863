"""Errors for a folder or a name that is not a model's say what it is and what to do."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rerank_plugins import ModelNotFoundError, Reranker
from rerank_plugins.models.unusable import explain, explain_files, explain_name

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2271071852\n"
INDEX = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"m-Q8_0.gguf": b"GGUF"}, r"holds GGUF weights, for llama.cpp \(m-Q8_0.gguf\), and neither .* safetensors"),
        ({"config.json": "{}", "M.GGUF": b"GGUF", "N.GGUF": b""}, r"\(M.GGUF and 1 more\)"),
        ({"config.json": "{}", "tf_model.h5": b""}, "holds TensorFlow weights"),
        ({"openvino_model.xml": b"", "openvino_model.bin": b""}, "holds OpenVINO weights"),
        ({"config.json": "{}", "pytorch_model.bin": b""}, r"only as pickles \(pytorch_model.bin\).*save_pretrained"),
        ({"pytorch_model.bin": b"", "tf_model.h5": b""}, "only as pickles"),
        (
            {"adapter_config.json": '{"base_model_name_or_path": "Qwen/Qwen3-0.6B"}', "adapter_model.safetensors": b""},
            r"is a LoRA or other PEFT adapter for 'Qwen/Qwen3-0.6B' .*merge_and_unload",
        ),
        ({"adapter_config.json": "[]", "adapter_model.bin": b""}, "adapter for its base model"),
        ({"config.json": "{}", "model.safetensors": POINTER}, "without Git LFS: model.safetensors is a .*git lfs pull"),
        (
            {"config.json": "{}", "tokenizer.json": POINTER, "model.safetensors": POINTER},
            "model.safetensors and 1 more",
        ),
        ({"config.json": "{}", "model.safetensors": b"\x00", "tokenizer.json": POINTER}, "tokenizer.json is a pointer"),
        ({"config.json": "{}", "model.onnx": POINTER}, "model.onnx is a pointer"),
        ({"config.json": "{}", "onnx/model.onnx": POINTER}, "onnx/model.onnx is a pointer"),
        (
            {"model.safetensors.index.json": INDEX, "model-00001-of-00002.safetensors": b"\x00"},
            "lacks 1 of 2 weight files .* names: model-00002-of-00002.safetensors. The download is incomplete",
        ),
    ],
)
def test_folders_that_are_not_models(
    tmp_path: Path, files: dict[str, bytes | str], message: str, request: pytest.FixtureRequest
) -> None:
    folder = write(tmp_path, files)
    explained = explain(folder)
    assert explained is not None
    with pytest.raises(ModelNotFoundError, match=message) as caught:
        Reranker(folder, backend="torch" if "model.onnx" not in str(files) else "auto")
    assert str(caught.value) == explained


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": "{}"},
        {"config.json": "{}", "model.safetensors": b"\x00", "pytorch_model.bin": b"", "model.gguf": b""},
        {"config.json": "{}", "model.safetensors": b"\x00", "training_args.bin": b"", "onnx/model.onnx": POINTER},
        {"config.json": "{}", "model.onnx": b"\x00", "model.safetensors": POINTER, "adapter_config.json": "{}"},
        {"model.safetensors.index.json": INDEX, "model.safetensors": b"\x00"},
    ],
)
def test_nothing_is_said_of_what_can_be_used(tmp_path: Path, files: dict[str, bytes | str]) -> None:
    assert explain(write(tmp_path, files)) is None


def test_real_models_are_usable(model_folder: Callable[[str], Path]) -> None:
    assert [explain(model_folder(name)) for name in ("bert", "bert-onnx")] == [None, None]


def test_files_of_a_repository() -> None:
    assert explain_files("acme/m", ["config.json", "onnx/model.onnx"]) is None
    assert "'acme/m' holds GGUF weights" in (explain_files("acme/m", ["m.gguf", "README.md"]) or "")
    assert "adapter for its base model" in (
        explain_files("acme/m", ["adapter_config.json", "adapter_model.safetensors"]) or ""
    )


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        ("https://huggingface.co/BAAI/bge-reranker-v2-m3", "Use the name: model='BAAI/bge-reranker-v2-m3'."),
        ("https://huggingface.co/BAAI/bge-reranker-v2-m3/", "model='BAAI/bge-reranker-v2-m3'."),
        ("https://huggingface.co/BAAI/bge-reranker-v2-m3/tree/main", "model='BAAI/bge-reranker-v2-m3'."),
        ("https://huggingface.co/acme/m/tree/v1", "model='acme/m' with revision='v1'."),
        ("huggingface.co/acme/m", "model='acme/m'."),
        ("https://huggingface.co/acme/m.git", "model='acme/m'."),
        ("hf://acme/m", "model='acme/m'."),
        ("https://hf.co/acme/m", "model='acme/m'."),
        ("http://localhost:8080/rerank", "is a URL, and models are loaded from a folder or from the Hub"),
        ("s3://bucket/m", "is a URL, and models are loaded from a folder"),
        ("BAAI/bge-reranker-v2-m3/", "ends with a slash. Use model='BAAI/bge-reranker-v2-m3'."),
        (" BAAI/bge-reranker-v2-m3\n", "begins or ends with white space. Use model='BAAI/bge-reranker-v2-m3'."),
        ("acme/m@v1", "names a revision. Use model='acme/m' with revision='v1'."),
        ("acme\\m", "A name on the Hub has a slash: model='acme/m'."),
        ("models/m-Q8_0.gguf", "is a GGUF file, for llama.cpp"),
        ("", "is empty. Pass a folder or a name"),
    ],
)
def test_names_that_are_not_models(model: str, remedy: str) -> None:
    assert remedy in (explain_name(model) or "")


@pytest.mark.parametrize("model", ["BAAI/bge-reranker-v2-m3", "gpt2", "./models/m", "/models/m/", "~/m", "embedded"])
def test_nothing_is_said_of_names(model: str) -> None:
    assert explain_name(model) is None
