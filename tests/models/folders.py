"""Model folders that contain only configuration files."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

CROSS_ENCODER: dict[str, Any] = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}


def folder_with(folder: Path, *, tokenizer: dict[str, Any] | None = None, **config: Any) -> Path:
    """Write a cross-encoder's config.json with some fields replaced, and maybe a tokenizer_config.json."""
    (folder / "config.json").write_text(json.dumps(CROSS_ENCODER | config))
    if tokenizer is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


TRANSFORMER = ("", "sentence_transformers.base.modules.transformer.Transformer")
_OUTPUTS = {
    "sequence-classification": ("logits", "scores"),
    "text-generation": ("logits", "causal_logits"),
    "feature-extraction": ("last_hidden_state", "token_embeddings"),
}


def saved_by_sentence_transformers(
    folder: Path,
    modules: Sequence[tuple[str, str, dict[str, Any]]] = (),
    *,
    task: str = "sequence-classification",
    messages: str | None = None,
    saved: Mapping[str, Any] = MappingProxyType({}),
    transformer: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write what its `CrossEncoder` saves beside a model.

    Args:
        folder: The model's folder.
        modules: Path, type and config of each module behind the Transformer.
        task: What the Transformer is loaded for.
        messages: The format of messages, for pairs that are rendered by a chat template.
        saved: Fields of `config_sentence_transformers.json`.
        transformer: Fields of `sentence_bert_config.json`.
    """
    listed = [TRANSFORMER, *((path, kind) for path, kind, _ in modules)]
    write_json(
        folder / "modules.json",
        [{"idx": place, "name": str(place), "path": path, "type": kind} for place, (path, kind) in enumerate(listed)],
    )
    for path, _, config in modules:
        (folder / path).mkdir(parents=True, exist_ok=True)
        write_json(folder / path / "config.json", config)
    output, name = _OUTPUTS[task]
    modality: dict[str, Any] = {"text": {"method": "forward", "method_output_name": output}}
    if messages is not None:
        modality["message"] = modality["text"] | {"format": messages}
    own = {"transformer_task": task, "modality_config": modality, "module_output_name": name}
    write_json(folder / "sentence_bert_config.json", own | dict(transformer))
    write_json(
        folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder", "prompts": {}} | dict(saved)
    )
    return folder


def write_json(file: Path, content: Any) -> None:
    """Write a file of a model's folder."""
    file.write_text(json.dumps(content))


def with_external_data(folder: Path, place: Path, *, location: str = "weights.bin", name: str = "model.onnx") -> Path:
    """Copy an ONNX model, with its weights in a file of their own beside `name`."""
    import onnx

    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.onnx"))
    (place / name).parent.mkdir(exist_ok=True)
    onnx.save_model(
        onnx.load(folder / "model.onnx"),
        place / name,
        save_as_external_data=True,
        location=location,
        size_threshold=100,  # Shapes stay in the file: onnxruntime reads them before the weights.
    )
    return place


def sharded(folder: Path, place: Path, shards: Sequence[str] = ("one.safetensors", "two.safetensors")) -> Path:
    """Copy a model, with its safetensors in shards and an index that names them."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.safetensors"))
    weights = load_file(folder / "model.safetensors")
    weight_map = {key: shards[number % len(shards)] for number, key in enumerate(weights)}
    for shard in shards:
        (place / shard).parent.mkdir(exist_ok=True)
        own = {key: weights[key] for key, name in weight_map.items() if name == shard}
        save_file(own, place / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    return place
