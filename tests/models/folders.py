"""Folders that hold nothing but what a model declares."""

import json
from pathlib import Path
from typing import Any

CROSS_ENCODER: dict[str, Any] = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}


def folder_with(folder: Path, *, tokenizer: dict[str, Any] | None = None, **config: Any) -> Path:
    """Write a cross-encoder's config.json with some fields replaced, and maybe a tokenizer_config.json."""
    (folder / "config.json").write_text(json.dumps(CROSS_ENCODER | config))
    if tokenizer is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder
