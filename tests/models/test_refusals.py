"""Models that would be scored wrongly are refused, with the reason and the remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForSequenceClassification
from transformers.models.auto import modeling_auto

from rerank_plugins import Reranker, UnsupportedModelError
from rerank_plugins.models.declared import read_declared
from rerank_plugins.models.refusals import check_template
from rerank_plugins.text.template import read_template
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.models.folders import folder_with, saved_by_sentence_transformers
from tests.tiny_models import WORDS, save_bert, unigram, word_piece

# Named among transformers' causal models only, and yet no decoders: XLNet sees both sides, and the others are encoders
# with a decoder, whose tokenizers separate query and document.
NOT_DECODERS = {"xlnet", "bigbird_pegasus", "plbart"}


def save_qwen(folder: Path, *, pad_token_id: int | None = 0) -> Path:
    """A decoder as the Hub's `...-seq-cls` rerankers are saved: one label, no post-processor in the tokenizer."""
    vocabulary = {word: place for place, word in enumerate(["<|endoftext|>", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        num_labels=1,
        pad_token_id=pad_token_id,
    )
    Qwen3ForSequenceClassification(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pad_token_id", [0, None])
def test_a_decoder_saved_as_a_classifier(tmp_path: Path, pad_token_id: int | None) -> None:
    folder = save_qwen(tmp_path / "qwen", pad_token_id=pad_token_id)
    with pytest.raises(
        UnsupportedModelError, match=r"is a decoder saved as a classifier \(Qwen3ForSequenceClass.*prompt='qwen3'"
    ):
        Reranker(folder)


@pytest.mark.parametrize(
    "config",
    [
        {"architectures": ["LlamaBidirectionalForSequenceClassification"], "model_type": "llama_bidirec"},
        {"architectures": ["Qwen2ForSequenceClassification"]},
        {"architectures": ["T5GemmaForSequenceClassification"], "model_type": "t5gemma"},
        {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "is_decoder": True},
    ],
)
def test_other_decoders(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModelError, match="is a decoder saved as a classifier"):
        read_declared("m", folder_with(tmp_path, **config))


def _named(*tables: str) -> set[str]:
    return set.intersection(*(set(getattr(modeling_auto, f"MODEL_FOR_{each}_MAPPING_NAMES")) for each in tables))


@pytest.mark.parametrize("model_type", sorted(_named("CAUSAL_LM", "SEQUENCE_CLASSIFICATION") - _named("MASKED_LM")))
def test_every_decoder_that_transformers_can_load_as_a_classifier(tmp_path: Path, model_type: str) -> None:
    architecture = modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES[model_type]
    folder = folder_with(tmp_path, architectures=[architecture], model_type=model_type)
    if model_type in NOT_DECODERS:
        assert read_declared("m", folder)
        return
    with pytest.raises(UnsupportedModelError, match="is a decoder saved as a classifier"):
        read_declared("m", folder)


@pytest.mark.parametrize("model_type", sorted(_named("MASKED_LM", "SEQUENCE_CLASSIFICATION")))
def test_no_encoder_is_taken_for_a_decoder(tmp_path: Path, model_type: str) -> None:
    architecture = modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES[model_type]
    assert read_declared("m", folder_with(tmp_path, architectures=[architecture], model_type=model_type))


class TestTemplate:
    """Query and document need a separator between them."""

    @pytest.mark.parametrize("make", [word_piece, unigram])
    @pytest.mark.parametrize("encoding", ["template", "segments"])
    def test_encoders_have_a_separator(self, make: Callable[[], Tokenizer], encoding: str) -> None:
        check_template("m", read_template(TextTokenizer(make()), encoding))

    @pytest.mark.parametrize(
        "pair",
        [
            "$A $B",  # Qwen
            "[CLS] $A $B",
            "[CLS] $A [CLS] $B",  # Llama and Gemma: each text begins as a sequence does
            "$A $B [SEP]",
        ],
    )
    def test_what_decoders_have_is_refused(self, pair: str) -> None:
        tokenizer = word_piece()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A", pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        with pytest.raises(
            UnsupportedModelError, match="tokenizer of 'm' puts no separator between query and document"
        ):
            check_template("m", read_template(TextTokenizer(tokenizer), "template"))


class TestModules:
    """The chains of modules that sentence-transformers saves."""

    def test_a_transformer_alone_is_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "saved"
        CrossEncoder(str(save_bert(tmp_path / "bert"))).save_pretrained(str(folder))
        assert (folder / "modules.json").is_file()
        with Reranker(folder) as reranker:
            assert len(reranker.rank("hamlet", ["bread", "paris"])) == 2

    def test_dense_modules_without_scores(self, tmp_path: Path) -> None:
        transformer = Transformer(str(save_bert(tmp_path / "bert")), transformer_task="feature-extraction")
        chain = [transformer, Pooling(32, "cls"), Dense(32, 32), LayerNorm(32), Dense(32, 1)]
        CrossEncoder(modules=chain, num_labels=1).save_pretrained(str(tmp_path / "chain"))
        message = r"none of its modules gives scores: 1_Pooling \(sentence_transformers.*, 3_La"
        with pytest.raises(UnsupportedModelError, match=message):
            Reranker(tmp_path / "chain")

    @pytest.mark.parametrize(
        ("modules", "message"),
        [
            (
                [("", "sentence_transformers.base.modules.transformer.Transformer"), ("1_Pooling", "evil.Pooling")],
                r"names the module 1_Pooling \(evil.Pooling\), which is Python code from outside of sentence-transf",
            ),
            (
                [
                    ("", "sentence_transformers.models.Transformer"),
                    ("1_LogitScore", "sentence_transformers.LogitScore"),
                ],
                r"names 1_LogitScore \(sentence_transformers.LogitScore\).*'1_LogitScore' has no config.json",
            ),
            (
                [("0_Transformer", "sentence_transformers.models.Transformer")],
                r"names 0_Transformer \(sentence_transformers.models.Tr.* must lie in the model's own folder",
            ),
        ],
    )
    def test_what_is_not_read_is_named(self, tmp_path: Path, modules: list[tuple[str, str]], message: str) -> None:
        folder = folder_with(tmp_path)
        listed = [
            {"idx": place, "name": str(place), "path": path, "type": kind} for place, (path, kind) in enumerate(modules)
        ]
        (folder / "modules.json").write_text(json.dumps(listed))
        with pytest.raises(UnsupportedModelError, match=message):
            read_declared("m", folder)


PROMPTS: dict[str, Any] = {"prompts": {"query": "search: ", "none": ""}}


@pytest.mark.parametrize("default", [None, "none"])
def test_prompts_without_a_default_one_change_nothing(tmp_path: Path, default: str | None) -> None:
    folder = folder_with(tmp_path)
    saved = PROMPTS | {"default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(saved))
    assert read_declared("m", folder)


@pytest.mark.parametrize(
    ("model_type", "default", "message"),
    [
        ("CrossEncoder", "missing", "default_prompt_name='missing' .* prompts has no prompt of that name"),
        ("SentenceTransformer", "query", "declares a default prompt .*, and model_type is not CrossEncoder there"),
    ],
)
def test_a_default_prompt_that_sentence_transformers_does_not_apply(
    tmp_path: Path, model_type: str, default: str, message: str
) -> None:
    folder = saved_by_sentence_transformers(
        folder_with(tmp_path), saved=PROMPTS | {"default_prompt_name": default, "model_type": model_type}
    )
    with pytest.raises(UnsupportedModelError, match=message):
        read_declared("m", folder)


def test_a_default_prompt_needs_its_modules_json(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    saved = PROMPTS | {"default_prompt_name": "query", "model_type": "CrossEncoder"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(saved))
    with pytest.raises(UnsupportedModelError, match=r"declares a default prompt .*, and there is no modules.json"):
        read_declared("m", folder)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("chat_template.jinja", "{{ messages }}", "is an encoder with a chat template that names no role query"),
        ("tokenizer_config.json", '{"chat_template": "{{ messages }}"}', "is an encoder with a chat template"),
        ("tokenizer_config.json", '{"chat_template": [{"name": "default", "template": ""}]}', "an encoder with a chat"),
        (
            "sentence_bert_config.json",
            '{"modality_config": {"message": {"format": "flat"}}}',
            r"says in its sentence_bert_config.json how pairs are read \(modality_config\), and has no modules.json",
        ),
    ],
)
def test_a_chat_template_without_the_roles_is_refused(tmp_path: Path, file: str, content: str, message: str) -> None:
    folder = folder_with(tmp_path)
    (folder / file).write_text(content)
    with pytest.raises(UnsupportedModelError, match=message):
        read_declared("m", folder)


def test_a_chat_template_that_sentence_transformers_does_not_apply_is_ignored(tmp_path: Path) -> None:
    folder = saved_by_sentence_transformers(folder_with(tmp_path))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert read_declared("m", folder).prompt is None


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes"])
def test_quantized_weights_are_refused(tmp_path: Path, method: str) -> None:
    folder = folder_with(tmp_path, quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(
        UnsupportedModelError, match=rf"quantized with {method} \(quantization_config in its config.json"
    ):
        read_declared("m", folder)
