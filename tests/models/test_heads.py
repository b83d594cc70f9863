"""How a folder, or a user, says that a model makes one score."""

from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import InvalidValueError, RerankConfig, ScoreScale, UnsupportedModelError
from rerank_plugins.backends.heads import ClassifierHead, Dense, LayerNorm, ModulesHead, Pooling, TokenHead
from rerank_plugins.models.declared import DeclaredConfig, read_declared
from rerank_plugins.text.prompt import NAMED_PROMPTS, ChatTemplate, TextTemplate
from tests.models.decoders import CHATML, TEMPLATE
from tests.models.folders import folder_with, write_json
from tests.models.test_folders import QWEN, QWEN_CLASSIFIER, decoder, dense, encoder, logit_score

NO_YES = {"0": "no", "1": "yes"}
TEXT = "Query: {query} Document: {document} Relevant:"


def read(folder: Path, **options: Any) -> DeclaredConfig:
    return read_declared("m", folder, RerankConfig(**options))


class TestWhatIsDeclared:
    """Each kind of folder, and what is read of it."""

    def test_an_encoder(self, tmp_path: Path) -> None:
        declared = read(encoder(tmp_path))
        assert (declared.head, declared.scale, declared.prompt) == (ClassifierHead(), ScoreScale.LOGIT, None)
        assert not declared.causal

    def test_a_classifier_over_a_decoder(self, tmp_path: Path) -> None:
        declared = read(decoder(tmp_path))
        assert (declared.head, declared.scale) == (ClassifierHead(), ScoreScale.LOGIT)
        assert isinstance(declared.prompt, ChatTemplate)
        assert declared.prompt.source == TEMPLATE
        assert declared.causal

    @pytest.mark.parametrize(
        ("false_token_id", "scale"),
        [(7, ScoreScale.LOG_ODDS), (0, ScoreScale.LOG_ODDS), (None, ScoreScale.TOKEN_LOGIT)],
    )
    def test_a_logit_score(self, tmp_path: Path, false_token_id: int | None, scale: ScoreScale) -> None:
        declared = read(logit_score(tmp_path, false_token_id=false_token_id))
        assert (declared.head, declared.scale) == (TokenHead(6, false_token_id), scale)
        assert declared.activation == "sigmoid"  # sentence-transformers' default for one score

    def test_a_chain(self, tmp_path: Path) -> None:
        declared = read(dense(tmp_path))
        last = Dense("2_Dense", 32, 1, bias=True, activation="torch.nn.modules.linear.Identity")
        assert declared.head == ModulesHead((Pooling("cls"), last))
        assert (declared.scale, declared.prompt) == (ScoreScale.LOGIT, None)

    def test_a_layer_norm(self, tmp_path: Path) -> None:
        assert LayerNorm("3_LayerNorm", 32).dimension == 32
        assert read(dense(tmp_path, bias=False)).head.modules[1].bias is False  # type: ignore[union-attr]  # a chain

    @pytest.mark.parametrize(
        ("config", "dtype"), [({"dtype": "bfloat16"}, "bf16"), ({"torch_dtype": "float16"}, "fp16"), ({}, None)]
    )
    def test_the_dtype(self, tmp_path: Path, config: dict[str, Any], dtype: str | None) -> None:
        assert read(folder_with(tmp_path, **config)).dtype == dtype

    @pytest.mark.parametrize(
        "config",
        [
            {"use_bidirectional_attention": True},
            {"is_causal": False},
            {"auto_map": {"AutoModel": "modeling.Own"}},
            {"architectures": ["LlamaBidirectionalForSequenceClassification"], "model_type": "llama_bidirec"},
        ],
    )
    def test_a_decoder_that_sees_both_sides(self, tmp_path: Path, config: dict[str, Any]) -> None:
        assert not read(decoder(tmp_path, **config)).causal

    def test_the_activation_beside_the_model_comes_first(self, tmp_path: Path) -> None:
        folder = encoder(tmp_path, sentence_transformers={"activation_fn": "torch.nn.modules.activation.Sigmoid"})
        write_json(folder / "config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.linear.Identity"})
        assert read(folder).activation == "identity"

    def test_the_special_tokens_that_a_template_reads(self, tmp_path: Path) -> None:
        folder = decoder(tmp_path, template="{{ bos_token }}{{ eos_token }}" + TEMPLATE)
        write_json(folder / "tokenizer_config.json", {"bos_token": {"content": "<|endoftext|>"}, "eos_token": None})
        prompt = read(folder).prompt
        assert isinstance(prompt, ChatTemplate)
        assert dict(prompt.variables) == {"bos_token": "<|endoftext|>", "add_generation_prompt": False}


class TestPrompt:
    """`prompt=` for folders that declare none."""

    @pytest.mark.parametrize("template", [None, CHATML])
    def test_a_text(self, tmp_path: Path, template: str | None) -> None:
        assert read(decoder(tmp_path, template=template), prompt=TEXT).prompt == TextTemplate(TEXT)

    def test_a_name(self, tmp_path: Path) -> None:
        assert read(decoder(tmp_path, template=None), prompt="qwen3").prompt == NAMED_PROMPTS["qwen3"]

    @pytest.mark.parametrize("prompt", ["qwen2", "Query: {query}", "{query}{document}"])
    def test_neither(self, tmp_path: Path, prompt: str) -> None:
        with pytest.raises(InvalidValueError, match=r"prompt='.*It must be one of qwen3.*or a text with \{query\}"):
            read(decoder(tmp_path, template=None), prompt=prompt)

    def test_a_folder_that_declares_one(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"prompt='qwen3': 'm' declares its prompt itself.*Leave prompt"):
            read(decoder(tmp_path), prompt="qwen3")

    def test_an_encoder(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"'m' is an encoder .*BertForSeq.* separates query and document"):
            read(encoder(tmp_path), prompt="qwen3")


class TestHead:
    """`head=` for language models whose folders do not say which tokens score."""

    @pytest.mark.parametrize(
        ("head", "expected", "scale"),
        [
            ("tokens:yes,no", TokenHead(6, 7), ScoreScale.LOG_ODDS),
            ("token:yes", TokenHead(6), ScoreScale.TOKEN_LOGIT),
        ],
    )
    def test_tokens(self, tmp_path: Path, head: str, expected: TokenHead, scale: ScoreScale) -> None:
        declared = read(decoder(tmp_path, **QWEN), head=head)
        assert (declared.head, declared.scale, declared.activation) == (expected, scale, None)

    def test_several_tokens(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"'yes no' is 2 tokens of 'm' \('yes', 'no'\), and must be one"):
            read(decoder(tmp_path, **QWEN), head="token:yes no")

    def test_one_token_twice(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match="both are the same token"):
            read(decoder(tmp_path, **QWEN), head="tokens:no,no")

    def test_a_head_without_a_prompt(self, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedModelError, match=r"is a language model \(Qwen3ForCausalLM\).*prompt='qwen3'"):
            read(decoder(tmp_path, template=None, **QWEN), head="tokens:yes,no")

    @pytest.mark.parametrize("make", [encoder, decoder])
    def test_a_classifier(self, tmp_path: Path, make: Any) -> None:
        with pytest.raises(InvalidValueError, match="head='token:yes' is for language models, and 'm' has a classific"):
            read(make(tmp_path), head="token:yes")

    @pytest.mark.parametrize("make", [logit_score, dense])
    @pytest.mark.parametrize(("option", "value"), [("head", "token:yes"), ("label", 0)])
    def test_a_folder_that_declares_one(self, tmp_path: Path, make: Any, option: str, value: Any) -> None:
        with pytest.raises(InvalidValueError, match=f"{option}={value!r}: 'm' declares how it scores itself"):
            read(make(tmp_path), **{option: value})


class TestLabel:
    """`label=` for classifiers with several labels."""

    @pytest.mark.parametrize("label", [0, 1])
    @pytest.mark.parametrize("kind", [None, "single_label_classification"])
    def test_it_names_the_row_that_excludes_the_others(self, tmp_path: Path, label: int, kind: str | None) -> None:
        declared = read(encoder(tmp_path, id2label=NO_YES, problem_type=kind), label=label)
        assert (declared.head, declared.scale) == (ClassifierHead(label, exclusive=True), ScoreScale.LOG_ODDS)

    def test_it_names_the_row_that_stands_alone(self, tmp_path: Path) -> None:
        declared = read(encoder(tmp_path, id2label=NO_YES, problem_type="multi_label_classification"), label=1)
        assert (declared.head, declared.scale) == (ClassifierHead(1), ScoreScale.LOGIT)

    @pytest.mark.parametrize("options", [{}, {"label": 1}])
    def test_several_measures(self, tmp_path: Path, options: dict[str, Any]) -> None:
        folder = encoder(tmp_path, id2label=NO_YES, problem_type="regression")
        with pytest.raises(UnsupportedModelError, match="'m' declares problem_type='regression' with 2 labels"):
            read(folder, **options)

    def test_one_measure(self, tmp_path: Path) -> None:
        assert read(encoder(tmp_path, problem_type="regression")).head == ClassifierHead()

    def test_an_unknown_kind_of_labels(self, tmp_path: Path) -> None:
        folder = encoder(tmp_path, id2label=NO_YES, problem_type="ranking")
        with pytest.raises(
            UnsupportedModelError, match=r"problem_type='ranking' in its config\.json; it must be regre"
        ):
            read(folder, label=1)

    def test_there_is_no_such_label(self, tmp_path: Path) -> None:
        folder = encoder(tmp_path, id2label=NO_YES)
        with pytest.raises(InvalidValueError, match=r"label=2: 'm' has 2 labels, from 0 to 1 \(0: no, 1: yes\)"):
            read(folder, label=2)

    def test_there_is_one_label(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match="label=0: 'm' has one label"):
            read(encoder(tmp_path), label=0)

    def test_a_language_model(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"label=0: 'm' has no classification head \(Qwen3ForCausalLM\)"):
            read(decoder(tmp_path, **QWEN), label=0)

    def test_a_decoder_with_two_labels(self, tmp_path: Path) -> None:
        folder = decoder(tmp_path, **QWEN_CLASSIFIER | {"id2label": NO_YES})
        assert read(folder, label=1).head == ClassifierHead(1, exclusive=True)


class TestExported:
    """What an exported folder says in its config.json in place of the options."""

    def test_prompt_and_head(self, tmp_path: Path) -> None:
        own = {"prompt": TEXT, "head": "tokens:yes,no"}
        declared = read(decoder(tmp_path, template=None, **QWEN, rerank_plugins=own))
        assert (declared.head, declared.prompt) == (TokenHead(6, 7), TextTemplate(TEXT))

    def test_label(self, tmp_path: Path) -> None:
        folder = encoder(tmp_path, id2label=NO_YES, rerank_plugins={"label": 1})
        assert read(folder).head == read(folder, label=1).head == ClassifierHead(1, exclusive=True)

    def test_another_option(self, tmp_path: Path) -> None:
        folder = encoder(tmp_path, id2label=NO_YES, rerank_plugins={"label": 1})
        with pytest.raises(InvalidValueError, match=r"label=0: 'm' says 1 itself, in its config.json. Leave label out"):
            read(folder, label=0)

    def test_a_wrong_value(self, tmp_path: Path) -> None:
        folder = decoder(tmp_path, **QWEN, rerank_plugins={"head": "yes"})
        with pytest.raises(
            UnsupportedModelError, match=r"under rerank_plugins in its config.json .*: head must be 'tok"
        ):
            read(folder)
