"""Weights, modules and tokens that do not fit are refused when a network is loaded, with the reason."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    ModernBertDecoderConfig,
    ModernBertDecoderForSequenceClassification,
    PreTrainedModel,
)

from rerank_plugins.backends.base import ModelFolder
from rerank_plugins.backends.heads import ClassifierHead, Dense, ModulesHead, Pooling, TokenHead
from rerank_plugins.backends.networks import load_network
from rerank_plugins.errors import UnsupportedModelError
from tests.backends.test_networks import CPU, GELU, chain_folder, tiny_bert, tiny_modernbert
from tests.tiny_networks import (
    VOCABULARY,
    decoder_classifier,
    language_model,
    save,
)


def without(folder: Path, weight: str) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[weight]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("model", "head", "weight"),
    [
        (decoder_classifier("qwen3"), ClassifierHead(), "score.weight"),
        (language_model("llama"), TokenHead(9, 5), "lm_head.weight"),
        (language_model("llama"), TokenHead(9), "model.layers.1.mlp.up_proj.weight"),
        (tiny_modernbert(), ModulesHead((Pooling("cls"),)), "layers.0.attn.Wqkv.weight"),
    ],
)
def test_a_missing_weight(
    model: PreTrainedModel, head: ClassifierHead | TokenHead | ModulesHead, weight: str, tmp_path: Path
) -> None:
    folder = save(model, tmp_path, head)
    without(tmp_path, weight)
    with pytest.raises(UnsupportedModelError, match=f"'tiny' lacks 1 weights .{weight}.*without the head"):
        load_network(folder, CPU)


def test_a_weight_that_the_config_leaves_no_place_for(tmp_path: Path) -> None:
    """A model of fewer layers is another model."""
    folder = save(decoder_classifier("qwen3"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    changes = {"num_hidden_layers": 1, "layer_types": ["full_attention"]}
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(UnsupportedModelError, match=r"has 11 weights that its config.json leaves no place for"):
        load_network(folder, CPU)


def test_an_adapter_that_was_not_merged(tmp_path: Path) -> None:
    folder = save(decoder_classifier("qwen3"), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.layers.0.self_attn.q_proj.lora_A.weight"] = torch.ones(2, 32)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"lora_A.*merge an adapter \(LoRA\)"):
        load_network(folder, CPU)


def test_more_rows_than_the_config_says(tmp_path: Path) -> None:
    folder = save(decoder_classifier("qwen3", labels=2), tmp_path)
    decoder_classifier("qwen3").config.save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"other shapes than its config.json says: .*score"):
        load_network(folder, CPU)


@pytest.mark.parametrize("labels", [2, 3])
def test_several_labels_need_a_row(labels: int, tmp_path: Path) -> None:
    for place, model in enumerate((tiny_bert(labels=labels), decoder_classifier("llama", labels=labels))):
        with pytest.raises(UnsupportedModelError, match=f"'tiny' has {labels} labels; .*with label="):
            load_network(save(model, tmp_path / str(place)), CPU)
        with pytest.raises(UnsupportedModelError, match=f"label={labels} is not a row .*from 0 to {labels - 1}"):
            load_network(save(model, tmp_path / str(place), ClassifierHead(labels)), CPU)


@pytest.mark.parametrize("head", [TokenHead(VOCABULARY), TokenHead(5, VOCABULARY), TokenHead(-1)])
def test_a_token_that_the_model_has_not(head: TokenHead, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=f"by the token (-1|300), and has logits of {VOCABULARY} tokens"):
        load_network(save(language_model("llama"), tmp_path, head), CPU)


def test_a_decoder_with_another_head_is_refused(tmp_path: Path) -> None:
    config = ModernBertDecoderConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_labels=1, pad_token_id=0
    )
    folder = save(ModernBertDecoderForSequenceClassification(config), tmp_path)
    with pytest.raises(UnsupportedModelError, match="ModernBertDecoderForSequenceClassification, a decoder whose"):
        load_network(folder, CPU)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ((Dense("2", 32, 1, True, GELU),), "The first one must be a Pooling in one of these modes: cls, lasttoken"),
        ((Pooling("attention"), Dense("2", 32, 1, True, GELU)), "begins its modules with Pooling.mode='attention'"),
        ((Pooling("cls"), Pooling("cls")), "pools twice"),
        ((Pooling("cls"), Dense("2", 31, 32, True, GELU)), "declares 31 inputs for its module 2, .* gives 32"),
        ((Pooling("cls"), Dense("2", 32, 32, True, GELU)), "gives 32 numbers a pair; .* embedding model"),
        ((Pooling("cls"),), "gives 32 numbers a pair"),
        ((Pooling("cls"), Dense("2", 32, 16, True, GELU)), r"2/model.safetensors of 'tiny' are .*\(32, 32\).*declares"),
        ((Pooling("cls"), Dense("2", 32, 32, False, GELU)), "linear.bias"),
        ((Pooling("cls"), Dense("9", 32, 1, True, GELU)), "has no 9/model.safetensors.*Pickled weights"),
        ((Pooling("cls"), Dense("2", 32, 1, True, "os.system")), "declares the activation os.system"),
        ((Pooling("cls"), Dense("2", 32, 1, True, "torch.nn.Linear")), "declares the activation torch.nn.Linear"),
    ],
)
def test_modules_that_do_not_fit(modules: tuple[Pooling | Dense, ...], message: str, tmp_path: Path) -> None:
    folder, _ = chain_folder(tmp_path)
    broken = ModelFolder("tiny", folder.path, folder.weights, head=ModulesHead(modules))
    with pytest.raises(UnsupportedModelError, match=message):
        load_network(broken, CPU)


def test_a_modules_damaged_weights(tmp_path: Path) -> None:
    folder, _ = chain_folder(tmp_path)
    (tmp_path / "2" / "model.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(UnsupportedModelError, match=r"2/model.safetensors of 'tiny' cannot be read"):
        load_network(folder, CPU)
