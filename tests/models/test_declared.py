"""What a folder's files declare, and which models are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import ModelNotFoundError, Reranker, UnsupportedModelError
from rerank_plugins.models.declared import read_declared
from tests.models.folders import CROSS_ENCODER, folder_with
from tests.tiny_models import save_bert


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({}, None),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "identity"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}, "sigmoid"),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}},
            "torch.nn.modules.activation.Tanh",
        ),
    ],
)
def test_activation(tmp_path: Path, config: dict[str, Any], activation: str | None) -> None:
    assert read_declared("m", folder_with(tmp_path, **config)).activation == activation


@pytest.mark.parametrize(
    ("config", "tokenizer", "positions"),
    [
        ({}, None, None),
        ({"max_position_embeddings": 512}, None, 512),
        ({"max_position_embeddings": 512}, {"model_max_length": 128}, 128),
        ({"max_position_embeddings": 512}, {"model_max_length": 1000000000000000019884624838656}, 512),
        ({"max_position_embeddings": 8194, "model_type": "xlm-roberta", "pad_token_id": 1}, None, 8192),
        ({"max_position_embeddings": 514, "model_type": "roberta"}, {"model_max_length": 512}, 512),
    ],
)
def test_positions(
    tmp_path: Path, config: dict[str, Any], tokenizer: dict[str, Any] | None, positions: int | None
) -> None:
    declared = read_declared("m", folder_with(tmp_path, tokenizer=tokenizer, **config))
    assert (declared.max_positions or 10**9) >= (positions or 0)
    assert declared.max_positions == positions


@pytest.mark.parametrize(
    ("own", "languages"),
    [({}, None), ({"languages": ["en"]}, ("en",)), ({"languages": ["zh-Hans", "en"]}, ("zh-Hans", "en"))],
)
def test_languages(tmp_path: Path, own: dict[str, Any], languages: tuple[str, ...] | None) -> None:
    assert read_declared("m", folder_with(tmp_path, rerank_plugins=own)).languages == languages


@pytest.mark.parametrize(("config", "pad"), [({}, 0), ({"model_type": "roberta"}, 1), ({"pad_token_id": 7}, 7)])
def test_pad_token_id(tmp_path: Path, config: dict[str, Any], pad: int) -> None:
    assert read_declared("m", folder_with(tmp_path, **config)).pad_token_id == pad


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"id2label": {"0": "no", "1": "yes"}}, "'m' has 2 labels; a reranker has one"),
        ({"id2label": None}, "'m' has 2 labels"),
        (
            {"architectures": ["BertModel"]},
            "'m' declares BertModel, which has no classification head, and has no modules.json that",
        ),
        (
            {"architectures": ["Qwen3ForCausalLM"]},
            r"'m' is a language model \(Qwen3ForCausalLM\), and nothing in its folder says which tokens",
        ),
        ({"architectures": None}, "names no architecture"),
        (
            {"rerank_plugins": {"pair_encoding": "braid"}},
            "rerank_plugins.pair_encoding='braid' in its config.json; it must be one of template, segments",
        ),
        (
            {"rerank_plugins": {"max_length": "256"}},
            r"rerank_plugins.max_length='256' in its config.json; it must be a whole number from",
        ),
        ({"rerank_plugins": {"languages": "en"}}, r"rerank_plugins.languages='en' .* a list of strings"),
        ({"rerank_plugins": {"languages": []}}, r"rerank_plugins.languages=\[\] in its config.json"),
        ({"rerank_plugins": {"languages": ["en", 5]}}, r"rerank_plugins.languages=\['en', 5\]"),
        ({"rerank_plugins": {"max_length": 2}}, r"rerank_plugins.max_length=2 .* a whole number from"),
    ],
)
def test_what_is_no_cross_encoder_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        read_declared("m", folder_with(tmp_path, **config))


def test_nulls_are_nothing_declared(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path, rerank_plugins=None, sentence_transformers=None, tokenizer={"model_max_length": None}
    )
    declared = read_declared("m", folder)
    assert (declared.activation, declared.pair_encoding) == (None, "template")
    assert (declared.max_positions, declared.max_length) == (None, 512)


def test_lengths_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": Infinity}')
    (tmp_path / "config.json").write_text(json.dumps(CROSS_ENCODER))
    assert read_declared("m", tmp_path).max_positions == 10**9
    with pytest.raises(UnsupportedModelError, match="declares a limit of 2 tokens, too few for a pair"):
        read_declared("m", folder_with(tmp_path, tokenizer={"model_max_length": 2}))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "has no config.json"), ("{", "is not JSON"), ("[]", "holds list, not an object")]
)
def test_a_missing_or_broken_config(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelNotFoundError, match=message):
        read_declared("m", tmp_path)


def test_a_saved_model_with_two_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"has 2 labels.*num_labels=1"):
        Reranker(save_bert(tmp_path / "two", labels=2))


def test_an_embedding_model_is_refused(minilm_folder: Path) -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"is an embedding model: its modules.json names 1_Pooling \(sentence_transformers"
    ):
        Reranker(minilm_folder)


def test_an_embedding_model_with_the_config_of_a_classifier_is_refused(
    model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    for file in model_folder("bert").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    headless = {name: weight for name, weight in weights.items() if not name.startswith("classifier")}
    save_file(headless, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"lacks 2 weights \(classifier.bias, classifier.weight\)"):
        Reranker(tmp_path)
