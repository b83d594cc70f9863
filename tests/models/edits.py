"""Changes to a model's folder, for folders that are unusual or broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.models.folders import write_json

Edit = Callable[[Path], object]


def fields(file: str, **changes: Any) -> Edit:
    """Change fields of a JSON file; None removes one."""

    def edit(folder: Path) -> None:
        path = folder / file
        content = (json.loads(path.read_text()) if path.is_file() else {}) | changes
        write_json(path, {key: value for key, value in content.items() if value is not None})

    return edit


def template(text: str | None, file: str = "chat_template.jinja") -> Edit:
    """Replace a chat template."""

    def edit(folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).unlink(missing_ok=True)
        if text is not None:
            (folder / file).write_text(text)

    return edit


def prompts(text: str) -> Edit:
    """Declare a default prompt."""
    return fields("config_sentence_transformers.json", prompts={"web": text}, default_prompt_name="web")


def transformer(**changes: Any) -> Edit:
    return fields("sentence_bert_config.json", **changes)


def weights(change: Callable[[dict[str, torch.Tensor]], object], file: str = "model.safetensors") -> Edit:
    """Change the weights of a file."""

    def edit(folder: Path) -> None:
        found = load_file(folder / file)
        change(found)
        save_file(found, folder / file, metadata={"format": "pt"})

    return edit


def modules(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Edit:
    """Change the list of modules."""

    def edit(folder: Path) -> None:
        write_json(folder / "modules.json", change(json.loads((folder / "modules.json").read_text())))

    return edit


def several(*edits: Edit) -> Edit:
    def edit(folder: Path) -> None:
        for each in edits:
            each(folder)

    return edit


def unchanged(folder: Path) -> Path:
    return folder


def named(*templates: tuple[str, str]) -> Edit:
    """The form of tokenizer_config.json with several templates."""
    listed = [{"name": name, "template": text} for name, text in templates]
    return several(template(None), fields("tokenizer_config.json", chat_template=listed))


def bf16(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update({name: each.to(torch.bfloat16) for name, each in tensors.items()})


def sharded(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {name: f"model-0000{1 + place % 2}-of-00002.safetensors" for place, name in enumerate(names)}
    for file in set(files.values()):
        save_file({n: tensors[n] for n in names if files[n] == file}, folder / file, metadata={"format": "pt"})
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": files})


def swapped_dense(folder: Path) -> None:
    (folder / "2_Dense").rename(folder / "x")
    (folder / "4_Dense").rename(folder / "2_Dense")
    (folder / "x").rename(folder / "4_Dense")


def residual(folder: Path) -> None:
    fields("2_Dense/config.json", use_residual=True)(folder)
