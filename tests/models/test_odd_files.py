"""Whatever a model's JSON files contain gives a usable declaration, or an error that names file, key and value."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank_plugins.errors import ModelNotFoundError, RerankError, UnsupportedModelError
from rerank_plugins.models.declared import DeclaredConfig, read_declared
from rerank_plugins.models.unusable import check_usable
from rerank_plugins.text.tokenizer import load_tokenizer
from tests.models.folders import CROSS_ENCODER, saved_by_sentence_transformers
from tests.tiny_models import word_piece

FIELDS = {
    "config.json": [
        "architectures",
        "model_type",
        "num_labels",
        "id2label",
        "problem_type",
        "is_decoder",
        "max_position_embeddings",
        "pad_token_id",
        "vocab_size",
        "dtype",
        "license",
        "auto_map",
        "is_causal",
        "use_bidirectional_attention",
        "vision_config",
        "quantization_config",
        "quantization_config.quant_method",
        "sentence_transformers",
        "sentence_transformers.activation_fn",
        "sbert_ce_default_activation_function",
        "rerank_plugins",
        "rerank_plugins.max_length",
        "rerank_plugins.pair_encoding",
        "rerank_plugins.prompt",
        "rerank_plugins.head",
        "rerank_plugins.label",
        "tokenizer_class",
    ],
    "tokenizer_config.json": [
        "model_max_length",
        "chat_template",
        "tokenizer_class",
        "do_lower_case",
        "strip_accents",
        "tokenize_chinese_chars",
        "cls_token",
        "pad_token.content",
        "own_token",
        "add_bos_token",
    ],
    "special_tokens_map.json": ["cls_token", "mask_token.content", "own_token"],
    "config_sentence_transformers.json": ["model_type", "activation_fn", "prompts", "default_prompt_name"],
    "sentence_bert_config.json": [
        "transformer_task",
        "module_output_name",
        "max_seq_length",
        "do_lower_case",
        "modality_config",
        "modality_config.text",
        "modality_config.message",
        "processing_kwargs",
        "processing_kwargs.text",
        "processing_kwargs.chat_template",
        "model_args",
        "config_kwargs.num_labels",
    ],
    "1_Pooling/config.json": ["embedding_dimension", "pooling_mode", "pooling_mode_cls_token", "include_prompt"],
    "2_Dense/config.json": [
        "in_features",
        "out_features",
        "bias",
        "activation_function",
        "module_input_name",
        "module_output_name",
        "use_residual",
    ],
    "adapter_config.json": ["base_model_name_or_path"],
    "model.safetensors.index.json": ["weight_map", "weight_map.a"],
}
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    10**30,
    -(10**30),
    0.5,
    1e400,
    float("nan"),
    "",
    "512",
    "\ud800",
    "a" * 10_000,
    [],
    [None],
    [[1]],
    ["x", 1],
    {},
    {"a": None},
    {"content": 1},
    {"a": {"b": []}},
]
CHAIN: list[tuple[str, str, dict[str, Any]]] = [
    ("1_Pooling", "sentence_transformers.models.Pooling", {"pooling_mode": "cls"}),
    (
        "2_Dense",
        "sentence_transformers.models.Dense",
        {"in_features": 32, "out_features": 1, "module_output_name": "scores"},
    ),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def write(folder: Path, file: str, key: str, value: Any) -> None:
    """Write the files of a cross-encoder, and one field of one of them."""
    word_piece().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "config.json").write_text(json.dumps(CROSS_ENCODER))
    first, _, second = key.partition(".")
    content = CROSS_ENCODER if file == "config.json" else {}
    if "/" in file:
        saved_by_sentence_transformers(folder, CHAIN, task="feature-extraction")
        content = json.loads((folder / file).read_text())
    elif file == "sentence_bert_config.json":
        saved_by_sentence_transformers(folder)
        content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | {first: {second: value} if second else value}))


def read(folder: Path) -> DeclaredConfig:
    check_usable(folder)
    declared = read_declared("m", folder)
    load_tokenizer("m", folder)
    return declared


@pytest.mark.parametrize(("file", "key"), [(file, key) for file, keys in FIELDS.items() for key in keys])
def test_an_odd_value_is_an_error_of_this_library_or_none(tmp_path: Path, file: str, key: str) -> None:
    for value in ODD:
        write(tmp_path, file, key, value)
        with contextlib.suppress(RerankError):
            assert isinstance(read(tmp_path), DeclaredConfig)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from([(file, key) for file, keys in FIELDS.items() for key in keys]), value=JSON)
def test_any_value_is_an_error_of_this_library_or_none(tmp_path: Path, place: tuple[str, str], value: Any) -> None:
    for file in (each for each in tmp_path.rglob("*") if each.is_file()):
        file.unlink()
    write(tmp_path, *place, value)
    with contextlib.suppress(RerankError):
        assert isinstance(read(tmp_path), DeclaredConfig)


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("config.json", "max_position_embeddings", "512", "declares max_position_embeddings='512' in its config.json"),
        (
            "config.json",
            "max_position_embeddings",
            -1,
            "max_position_embeddings=-1 .* must be a whole number from 1 to",
        ),
        ("config.json", "max_position_embeddings", True, "max_position_embeddings=True"),
        ("config.json", "pad_token_id", 10**30, "pad_token_id=1000.* must be a whole number from 0 to"),
        ("config.json", "architectures", "BertForSequenceClassification", "architectures='Bert.*must be a list of str"),
        ("config.json", "id2label", ["a"], r"id2label=\['a'\] in its config.json; it must be an object"),
        ("config.json", "num_labels", 0, "num_labels=0 in its config.json; it must be a whole number from 1"),
        ("config.json", "rerank_plugins", [], r"rerank_plugins=\[\] in its config.json; it must be an object"),
        ("config.json", "rerank_plugins.max_length", 1e3, "rerank_plugins.max_length=1000.0 .* a whole number from"),
        (
            "config.json",
            "sentence_transformers.activation_fn",
            {},
            r"sentence_transformers.activation_fn=\{\}.*a string",
        ),
        ("tokenizer_config.json", "model_max_length", "x", "model_max_length='x' in its tokenizer_config.json"),
        ("tokenizer_config.json", "model_max_length", float("nan"), "model_max_length=nan .* a number of at least 1"),
        ("tokenizer_config.json", "pad_token", [], r"pad_token=\[\] in its tokenizer_config.json; it must be a string"),
        ("tokenizer_config.json", "pad_token.content", 1, "pad_token.content=1 in its tokenizer_config.json"),
        ("special_tokens_map.json", "cls_token", "\ud800", "cls_token=.* in its special_tokens_map.json"),
        ("config_sentence_transformers.json", "default_prompt_name", 3, "default_prompt_name=3 in its config_sentence"),
    ],
)
def test_the_message_names_file_key_and_value(tmp_path: Path, file: str, key: str, value: Any, message: str) -> None:
    write(tmp_path, file, key, value)
    with pytest.raises(UnsupportedModelError, match=message):
        read(tmp_path)


def test_a_padding_id_outside_the_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CROSS_ENCODER | {"vocab_size": 100, "pad_token_id": 100}))
    with pytest.raises(UnsupportedModelError, match=r"pad_token_id=100 in its config.json; .* from 0 to 99"):
        read_declared("m", tmp_path)


@pytest.mark.parametrize("file", [*(each for each in FIELDS if "/" not in each), "modules.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"3", b"[1]", b'"a"', b"null", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000]
)
def test_what_is_not_a_json_object(tmp_path: Path, file: str, content: bytes) -> None:
    write(tmp_path, "config.json", "model_type", "bert")
    (tmp_path / file).write_bytes(content)
    with pytest.raises(
        (ModelNotFoundError, UnsupportedModelError), match=r"is not JSON|holds |does not hold|not a whole model"
    ):
        read(tmp_path)


@pytest.mark.parametrize("modules", [[{}], [{"type": None}], [{"type": 3}], [{"type": "a.B", "path": []}]])
def test_odd_modules(tmp_path: Path, modules: list[dict[str, Any]]) -> None:
    write(tmp_path, "config.json", "model_type", "bert")
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModelError, match=r"modules.json"):
        read(tmp_path)


def test_a_flag_that_is_named_like_a_token_is_not_a_control_token(tmp_path: Path) -> None:
    """`add_bos_token: true` ends with `_token`, and "True" may be a word of the vocabulary."""
    write(tmp_path, "tokenizer_config.json", "hamlet_token", True)
    tokenizer = load_tokenizer("m", tmp_path)
    assert tokenizer.encode(["bread hamlet"], enough=9)[0].ids == (
        tokenizer.tokenizer.token_to_id("bread"),
        tokenizer.tokenizer.token_to_id("hamlet"),
    )
