"""No folder is scored wrongly in silence: it equals sentence-transformers, or raises, or warns."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from transformers import Qwen3ForCausalLM, Qwen3ForSequenceClassification

from rerank_plugins import InvalidValueError, Reranker, RerankError, UnsupportedModelError
from rerank_plugins.caching import open_cache
from tests.models.decoders import CHATML, TEMPLATE, save_decoder
from tests.models.edits import (
    Edit,
    bf16,
    fields,
    modules,
    named,
    prompts,
    residual,
    several,
    sharded,
    swapped_dense,
    template,
    transformer,
    unchanged,
    weights,
)
from tests.tiny_models import save_bert, save_modernbert

QUERY = "who wrote hamlet"
DOCUMENTS = ["shakespeare wrote hamlet", "bread is baked", "plants turn sunlight into sugar by photosynthesis", "paris"]
# sentence-transformers strips nothing and cuts nothing here; neither do we.
MAX_LENGTH = 256
YES, NO = 6, 7


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as transformers and sentence-transformers save them; a case copies one and changes it."""
    root = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    save_bert(root / "bert")
    _save(root / "encoder", [Transformer(str(root / "bert"), transformer_task="sequence-classification")])
    save_decoder(root / "classifier", Qwen3ForSequenceClassification, num_labels=1, pad_token_id=0)
    task = "sequence-classification"
    _save(root / "saved classifier", [Transformer(str(root / "classifier"), transformer_task=task)])
    save_decoder(root / "language model", Qwen3ForCausalLM, pad_token_id=0)
    language_model = Transformer(str(root / "language model"), transformer_task="text-generation")
    _save(root / "logit score", [language_model, LogitScore(YES, NO)])
    save_modernbert(root / "modernbert")
    _save(root / "chain", [_features(root / "modernbert"), Pooling(32, "cls"), *_head()])
    _save(root / "decoder chain", [_features(root / "language model"), Pooling(32, "lasttoken"), *_head()])
    return root


def _features(folder: Path) -> Transformer:
    return Transformer(str(folder), transformer_task="feature-extraction")


def _head() -> list[torch.nn.Module]:
    identity = torch.nn.Identity()
    wide = Dense(32, 32, activation_function=torch.nn.GELU())
    return [wide, LayerNorm(32), Dense(32, 1, activation_function=identity, module_output_name="scores")]


def _save(folder: Path, modules: list[Any]) -> None:
    CrossEncoder(modules=modules, num_labels=1, device="cpu").save_pretrained(str(folder))


STRUCTURED = TEMPLATE.replace("message.content", "message.content[0].text")
WITH_START = '{{ "<|endoftext|>" }}' + TEMPLATE
WITH_PADDING = TEMPLATE + '{{ "<|endoftext|>" }}'
WITH_MARK = TEMPLATE.replace("Relevant", "<|relevance|>")
GENERATION = TEMPLATE + "{% if add_generation_prompt %} yes{% endif %}"
POOLING = "1_Pooling/config.json"
KWARGS: dict[str, Any] = {"processing_kwargs": {"chat_template": {"add_generation_prompt": True}}}
RERANKER: dict[str, Any] = {"processing_kwargs": {"chat_template": {"chat_template": "reranker"}}}
MESSAGES: dict[str, Any] = {
    "modality_config": {
        "text": {"method": "forward", "method_output_name": "logits"},
        "message": {"method": "forward", "method_output_name": "logits", "format": "flat"},
    }
}
OUTER_TOKEN: dict[str, Any] = {"content": "<|endoftext|>", "special": True}
TEXT_ONLY: dict[str, Any] = {"modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}}

# base, change: what sentence-transformers scores, and so do we.
SCORED: dict[str, tuple[str, Edit]] = {
    "an encoder by transformers": ("bert", unchanged),
    "an encoder by sentence-transformers": ("encoder", unchanged),
    "an encoder's default prompt": ("encoder", prompts("explain how ")),
    "an encoder's prompt that is not the default": (
        "encoder",
        fields("config_sentence_transformers.json", prompts={"web": "explain "}),
    ),
    "an encoder's empty default prompt": ("encoder", prompts("")),
    "an encoder without modality_config": ("encoder", transformer(modality_config=None, module_output_name=None)),
    "an encoder with a longest sequence": ("encoder", transformer(max_seq_length=128)),
    "an encoder with a template of both roles": ("encoder", several(template(TEMPLATE), transformer(**MESSAGES))),
    "an encoder whose tokenizer names no token types": (
        "bert",
        fields("tokenizer_config.json", model_input_names=["input_ids", "attention_mask"]),
    ),
    "an encoder with the tokenizer of DistilBERT": (
        "bert",
        fields("tokenizer_config.json", model_input_names=None, tokenizer_class="DistilBertTokenizer"),
    ),
    "an encoder in shards": ("encoder", sharded),
    "an encoder with a template that is not applied": ("encoder", template(CHATML)),
    "an encoder that was not saved as a CrossEncoder": (
        "encoder",
        several(fields("config_sentence_transformers.json", model_type=None), transformer(do_lower_case=True)),
    ),
    "a classifier by transformers": ("classifier", unchanged),
    "a classifier by sentence-transformers": ("saved classifier", unchanged),
    "a classifier without pad_token_id": ("classifier", fields("config.json", pad_token_id=None)),
    "a classifier with pad_token_id -1": ("classifier", fields("config.json", pad_token_id=-1)),
    "a classifier in bf16": ("classifier", several(weights(bf16), fields("config.json", dtype="bfloat16"))),
    "a template in tokenizer_config.json": (
        "classifier",
        several(template(None), fields("tokenizer_config.json", chat_template=TEMPLATE)),
    ),
    "a list of templates": ("saved classifier", named(("default", TEMPLATE), ("tool_use", CHATML))),
    "a file before tokenizer_config.json": ("classifier", fields("tokenizer_config.json", chat_template=CHATML)),
    "a template for reranking by name": (
        "saved classifier",
        several(
            template(CHATML), template(TEMPLATE, "additional_chat_templates/reranker.jinja"), transformer(**RERANKER)
        ),
    ),
    "a structured template": ("classifier", template(STRUCTURED)),
    "a structured template by sentence-transformers": (
        "saved classifier",
        several(
            template(STRUCTURED),
            transformer(
                modality_config={
                    "text": {"method": "forward", "method_output_name": "logits"},
                    "message": {"method": "forward", "method_output_name": "logits", "format": "structured"},
                }
            ),
        ),
    ),
    "a template that trims": ("classifier", template(TEMPLATE.replace("message.content", "message.content | trim"))),
    "a template with a control token": ("classifier", template(WITH_START)),
    "a template that asks for tools": (
        "classifier",
        template("{% if tools is not none or documents is not none %}Environment: work {% endif %}" + TEMPLATE),
    ),
    "a template that ends with padding": ("classifier", template(WITH_PADDING)),
    "a template that ends with padding twice": (
        "saved classifier",
        several(template(WITH_PADDING + '{{ "<|endoftext|>" }}'), prompts("explain how light work")),
    ),
    "a template that ends with padding, which config.json does not name": (
        "classifier",
        several(template(WITH_PADDING), fields("config.json", pad_token_id=None)),
    ),
    "a LogitScore whose template ends with padding": ("logit score", template(WITH_PADDING)),
    "a chain whose template ends with padding": ("decoder chain", template(WITH_PADDING)),
    "a template that adds a system text by itself": (
        "saved classifier",
        template('{% if messages[0].role != "system" %}Instruct: explain how{% endif %}' + TEMPLATE),
    ),
    "a template whose last line break Jinja strips": ("classifier", template(TEMPLATE + "\n")),
    "a template with a token that an older file names otherwise": (
        "classifier",
        several(
            template("{{ bos_token }}" + TEMPLATE),
            fields("tokenizer_config.json", bos_token="<|endoftext|>", added_tokens_decoder={"0": OUTER_TOKEN}),
            fields("special_tokens_map.json", bos_token="[UNK]"),
        ),
    ),
    "a template's variable": ("saved classifier", several(template(GENERATION), transformer(**KWARGS))),
    "a template's variable that is not set": ("saved classifier", template(GENERATION)),
    "a default prompt as the system message": ("saved classifier", prompts("explain how light work")),
    "a default prompt that the template drops": (
        "saved classifier",
        several(template(TEMPLATE.replace('"system"', '"none"')), prompts("explain how light work")),
    ),
    "a LogitScore": ("logit score", unchanged),
    "a LogitScore of one token": ("logit score", fields("1_LogitScore/config.json", false_token_id=None)),
    "a LogitScore with a default prompt": ("logit score", prompts("explain how light work")),
    "a LogitScore with the default input": ("logit score", fields("1_LogitScore/config.json", module_input_name=None)),
    "a chain": ("chain", unchanged),
    **{
        f"a chain with {mode} pooling": ("chain", fields(POOLING, pooling_mode=mode))
        for mode in ("lasttoken", "mean", "max", "mean_sqrt_len_tokens", "weightedmean")
    },
    "a chain with a list of one pooling": ("chain", fields(POOLING, pooling_mode=["mean"])),
    "a chain with an older pooling": (
        "chain",
        fields(
            POOLING,
            pooling_mode=None,
            embedding_dimension=None,
            word_embedding_dimension=32,
            pooling_mode_cls_token=False,
            pooling_mode_max_tokens=True,
        ),
    ),
    "a chain with the default pooling": ("chain", fields(POOLING, pooling_mode=None)),
    "a chain with a residual Dense": ("chain", residual),
    "a chain with the default activation": ("chain", fields("2_Dense/config.json", activation_function=None)),
    "a chain with the default names": (
        "chain",
        fields("2_Dense/config.json", module_input_name=None, module_output_name=None),
    ),
    "a chain with older names of types": (
        "chain",
        modules(
            lambda listed: [
                each | {"type": f"sentence_transformers.models.{each['type'].rpartition('.')[2]}"} for each in listed
            ]
        ),
    ),
    "a chain with other numbers": ("chain", modules(lambda listed: [each | {"idx": 9} for each in listed])),
    "a chain in bf16": (
        "chain",
        several(weights(bf16), weights(bf16, "2_Dense/model.safetensors"), fields("config.json", dtype="bfloat16")),
    ),
    "a chain with a default prompt": ("chain", prompts("explain how ")),
    "a chain over a decoder": ("decoder chain", unchanged),
}
# What would be scored otherwise than by sentence-transformers, or by nobody.
REFUSED: dict[str, tuple[str, Edit]] = {
    "a classifier with a chat's template": ("classifier", template(CHATML)),
    "a classifier without a template": ("classifier", template(None)),
    "a classifier whose pairs are text": ("saved classifier", transformer(**TEXT_ONLY)),
    "an encoder, not a CrossEncoder, with a chat's template": (
        "encoder",
        several(fields("config_sentence_transformers.json", model_type=None), template(CHATML)),
    ),
    "a classifier without its modules.json": ("saved classifier", lambda folder: (folder / "modules.json").unlink()),
    "a language model alone": ("language model", unchanged),
    **{
        f"a template with a token that only {field} names": (
            "classifier",
            several(template(WITH_MARK), fields("tokenizer_config.json", **{field: value})),
        )
        for field, value in {
            "added_tokens_decoder": {"60": {"content": "<|relevance|>", "special": True}},
            "additional_special_tokens": ["<|relevance|>"],
            "extra_special_tokens": {"relevance_token": "<|relevance|>"},
            "eos_token": "<|relevance|>",
        }.items()
    },
    "a template with a token that only added_tokens.json names": (
        "classifier",
        several(template(WITH_MARK), fields("added_tokens.json", **{"<|relevance|>": 60})),
    ),
    "a tokenizer that splits its special tokens": (
        "classifier",
        several(template(WITH_START), fields("tokenizer_config.json", split_special_tokens=True)),
    ),
    "a LogitScore of a SentenceTransformer": (
        "logit score",
        fields("config_sentence_transformers.json", model_type="SentenceTransformer"),
    ),
    "a LogitScore over a classifier": (
        "logit score",
        fields("config.json", architectures=["Qwen3ForSequenceClassification"]),
    ),
    "a LogitScore beyond the vocabulary": ("logit score", fields("1_LogitScore/config.json", true_token_id=10**6)),
    "a LogitScore with a field of its own": ("logit score", fields("1_LogitScore/config.json", temperature=2.0)),
    "a chain's Pooling with a field of its own": ("chain", fields(POOLING, normalize=True)),
    "a chain's LayerNorm with a field of its own": ("chain", fields("3_LayerNorm/config.json", eps=0.5)),
    "a LogitScore twice": (
        "logit score",
        modules(lambda listed: [*listed, listed[1] | {"name": "2"}]),
    ),
    "a chain of a SentenceTransformer": (
        "chain",
        fields("config_sentence_transformers.json", model_type="SentenceTransformer"),
    ),
    "a chain with exchanged modules": (
        "chain",
        modules(lambda listed: [*listed[:2], listed[4], listed[3], listed[2]]),
    ),
    "a chain with exchanged folders": ("chain", swapped_dense),
    "a chain with one name twice": ("chain", modules(lambda listed: [each | {"name": "0"} for each in listed])),
    "a chain with two Transformers": ("chain", modules(lambda listed: [listed[0], listed[0] | {"name": "x"}])),
    "a chain with a module of another kind": (
        "chain",
        modules(
            lambda listed: [
                *listed[:2],
                {"idx": 2, "name": "n", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
                *listed[2:],
            ]
        ),
    ),
    "a chain with weights of another size": (
        "chain",
        weights(lambda found: found.update({"linear.weight": torch.zeros(32, 16)}), "2_Dense/model.safetensors"),
    ),
    "a chain without a bias that it declares": (
        "chain",
        weights(lambda found: found.pop("linear.bias"), "2_Dense/model.safetensors"),
    ),
    "a chain with a prompt outside of its pooling": (
        "chain",
        several(prompts("how "), fields(POOLING, include_prompt=False)),
    ),
    "a chain with two poolings": ("chain", fields(POOLING, pooling_mode=["cls", "mean"])),
    "a chain of another hidden state": (
        "chain",
        transformer(
            modality_config={"text": {"method": "forward", "method_output_name": ["hidden_states", -2]}},
        ),
    ),
    "an encoder with two rows in its head": (
        "bert",
        weights(
            lambda found: found.update({"classifier.weight": torch.zeros(2, 32), "classifier.bias": torch.zeros(2)})
        ),
    ),
    "an encoder without its head": ("bert", weights(lambda found: found.pop("classifier.weight"))),
    "a classifier without its head": ("classifier", weights(lambda found: found.pop("score.weight"))),
    "an encoder with truncated weights": (
        "bert",
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100]),
    ),
    "an encoder of NaN": ("bert", weights(lambda found: found["classifier.weight"].fill_(float("nan")))),
    "an encoder that lowers its texts": ("encoder", transformer(do_lower_case=True)),
    "an encoder with another tokenizer": ("encoder", transformer(tokenizer_name_or_path="bert-base-uncased")),
    "an encoder with fewer labels in its arguments": ("encoder", transformer(config_args={"num_labels": 2})),
    "a decoder chain without a template": ("decoder chain", template(None)),
}


def ours(folder: Path, **options: Any) -> list[float]:
    with Reranker(folder, device="cpu", max_length=MAX_LENGTH, **options) as reranker:
        results = sorted(reranker.rank(QUERY, DOCUMENTS), key=lambda result: result.index)
    return [result.raw_score for result in results]


def theirs(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
        # One pair at a time: a model without a padding token cannot be given more.
        pairs = [(QUERY, document) for document in DOCUMENTS]
        return model.predict(pairs, batch_size=1, activation_fn=torch.nn.Identity())


@pytest.mark.parametrize("case", SCORED)
def test_it_equals_sentence_transformers(bases: Path, tmp_path: Path, case: str) -> None:
    base, edit = SCORED[case]
    folder = Path(shutil.copytree(bases / base, tmp_path / "model"))
    edit(folder)
    assert np.allclose(ours(folder), theirs(folder), atol=1e-4)


@pytest.mark.parametrize("case", REFUSED)
def test_it_raises(bases: Path, tmp_path: Path, case: str) -> None:
    base, edit = REFUSED[case]
    folder = Path(shutil.copytree(bases / base, tmp_path / "model"))
    edit(folder)
    with pytest.raises(RerankError):
        ours(folder)


def test_a_prompt_and_a_head_by_hand_equal_those_that_are_declared(bases: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bases / "language model", tmp_path / "model"))
    template(None)(folder)
    prompt = "Query: {query}\nDocument: {document} Relevant:"
    for head, false_token_id in (("tokens:yes,no", NO), ("token:yes", None)):
        fields("1_LogitScore/config.json", false_token_id=false_token_id)(bases / "logit score")
        assert np.allclose(ours(folder, prompt=prompt, head=head), ours(bases / "logit score"), atol=1e-5)
    fields("1_LogitScore/config.json", false_token_id=NO)(bases / "logit score")


def test_a_prompt_that_needs_an_instruction_loads_without_one(bases: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bases / "classifier", tmp_path / "model"))
    template(None)(folder)
    prompt = "Instruct: {instruction} Query: {query} Document: {document} Relevant:"
    with Reranker(folder, device="cpu", prompt=prompt) as reranker:
        assert len(reranker.rank(QUERY, DOCUMENTS, instruction="explain how light work")) == len(DOCUMENTS)
        with pytest.raises(InvalidValueError, match="needs an instruction"):
            reranker.rank(QUERY, DOCUMENTS)


def several_labels(folder: Path, model: str) -> Path:
    if model == "encoder":
        return save_bert(folder, labels=3)
    return save_decoder(folder, Qwen3ForSequenceClassification, num_labels=2, pad_token_id=0)


@pytest.mark.parametrize("model", ["encoder", "classifier"])
def test_a_label_is_its_column_of_the_softmax(tmp_path: Path, model: str) -> None:
    """Rerankers of one folder, in one process, with a cache in common."""
    folder = several_labels(tmp_path / "several", model)
    logits = torch.tensor(theirs(folder))
    cache = open_cache("memory")
    for label, column in enumerate(logits.softmax(1).T):
        found = torch.tensor(ours(folder, label=label, cache=cache))
        assert torch.allclose(found.sigmoid().float(), column, atol=1e-5)
        assert found.argsort().tolist() == column.argsort().tolist()
    # Otherwise either score would pass.
    assert model == "classifier" or any(
        logits[:, label].argsort().tolist() != logits.softmax(1)[:, label].argsort().tolist() for label in range(3)
    )


@pytest.mark.parametrize("model", ["encoder", "classifier"])
def test_a_label_that_excludes_no_other_is_its_logit(tmp_path: Path, model: str) -> None:
    folder = several_labels(tmp_path / "several", model)
    fields("config.json", problem_type="multi_label_classification")(folder)
    columns = theirs(folder)
    for label in range(columns.shape[1]):
        assert np.allclose(ours(folder, label=label), columns[:, label], atol=1e-4)


@pytest.mark.parametrize(
    ("base", "scale"), [("encoder", "logit"), ("classifier", "logit"), ("chain", "logit"), ("logit score", "log-odds")]
)
def test_the_report_says_what_a_raw_score_is(bases: Path, base: str, scale: str) -> None:
    with Reranker(bases / base, device="cpu") as reranker:
        report = reranker.rank(QUERY, DOCUMENTS).report
        assert (report.scale, str(reranker.scale), reranker.activation) == (scale, scale, "sigmoid")


def test_code_of_its_own_is_not_run(bases: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bases / "bert", tmp_path / "model"))
    (folder / "modeling.py").write_text("raise SystemExit")
    names = {"AutoConfig": "modeling.Config", "AutoModelForSequenceClassification": "modeling.Own"}
    fields("config.json", model_type="own", auto_map=names)(folder)
    with pytest.raises(UnsupportedModelError, match="trust_remote_code=True"):
        ours(folder)


def test_the_changes_change_scores(bases: Path, tmp_path: Path) -> None:
    """Else the comparisons above would say nothing."""
    assert len(SCORED) + len(REFUSED) >= 40
    for base, edit in (("encoder", prompts("explain how ")), ("saved classifier", prompts("explain how light work"))):
        folder = Path(shutil.copytree(bases / base, tmp_path / base))
        before = ours(folder)
        edit(folder)
        assert not np.allclose(before, ours(folder), atol=1e-3)
