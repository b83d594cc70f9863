"""A head is built from its folder and scores as the reference does, from the same token ids."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sentence_transformers.base.modules import Dense as StDense
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.modules import LayerNorm as StLayerNorm
from sentence_transformers.sentence_transformer.modules import Pooling as StPooling
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
)

from rerank_plugins.backends.base import ModelFolder, Placement
from rerank_plugins.backends.heads import ClassifierHead, Dense, LayerNorm, ModulesHead, Pooling, TokenHead
from rerank_plugins.backends.networks import load_network
from rerank_plugins.backends.networks.pooling import POOLINGS
from rerank_plugins.backends.networks.precision import with_dtype
from tests.tiny_networks import (
    CLASSIFIERS,
    LANGUAGE_MODELS,
    VOCABULARY,
    decoder_classifier,
    language_model,
    padded,
    save,
    token_ids,
)

CPU = Placement("cpu", "fp32", None)
GELU = "torch.nn.modules.activation.GELU"
IDENTITY = "torch.nn.modules.linear.Identity"
ROWS = token_ids(40)


def scores(folder: ModelFolder, dtype: str = "fp32") -> list[float]:
    """Score all rows as one batch."""
    network = load_network(folder, Placement("cpu", dtype, None))
    ids, mask = padded(ROWS)
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    with torch.inference_mode():
        return network(*(arrays[name] for name in network.inputs)).tolist()


@torch.inference_mode()
def each_alone(model: PreTrainedModel) -> torch.Tensor:
    """The logits of the model's own forward pass, a row at a time and unpadded: of the last token, or of the head."""
    logits = [model(torch.tensor([row])).logits for row in ROWS]
    return torch.stack([each[0, -1] if each.ndim == 3 else each[0] for each in logits])


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_a_decoders_head_reads_the_last_token(family: str, tmp_path: Path) -> None:
    model = decoder_classifier(family)
    expected = each_alone(model)[:, 0].tolist()
    assert max(expected) - min(expected) > 0.5
    assert scores(save(model, tmp_path)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_label_names_the_row_that_counts(label: int, tmp_path: Path) -> None:
    decoder = decoder_classifier("qwen3", labels=3)
    expected = each_alone(decoder)[:, label].tolist()
    assert scores(save(decoder, tmp_path / "decoder", ClassifierHead(label))) == pytest.approx(expected, abs=1e-4)
    encoder = tiny_bert(labels=3)
    expected = each_alone(encoder)[:, label].tolist()
    assert scores(save(encoder, tmp_path / "encoder", ClassifierHead(label))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_label_that_excludes_the_others_has_its_log_odds(label: int, tmp_path: Path) -> None:
    head = ClassifierHead(label, exclusive=True)
    for name, model in (("decoder", decoder_classifier("qwen3", labels=3)), ("encoder", tiny_bert(labels=3))):
        expected = each_alone(model).softmax(1)[:, label].logit().tolist()
        assert scores(save(model, tmp_path / name, head)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
@pytest.mark.parametrize("false_token", [5, None])
def test_tokens_have_the_logits_of_the_whole_model(family: str, false_token: int | None, tmp_path: Path) -> None:
    """With each family's own scaling and softcapping, tied to the embeddings or not."""
    model = language_model(family)
    module = LogitScore(true_token_id=9, false_token_id=false_token)
    expected = module({"causal_logits": each_alone(model).unsqueeze(1)})["scores"].flatten().tolist()
    assert max(expected) - min(expected) > 0.1
    assert scores(save(model, tmp_path, TokenHead(9, false_token))) == pytest.approx(expected, abs=1e-4)


def tiny_bert(*, labels: int = 1) -> PreTrainedModel:
    torch.manual_seed(5)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=VOCABULARY, initializer_range=0.3, num_labels=labels, **shape)
    return BertForSequenceClassification(config).eval()


def tiny_modernbert() -> PreTrainedModel:
    torch.manual_seed(6)
    config = ModernBertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
    )
    return ModernBertModel(config).eval()


def chain_folder(folder: Path, mode: str = "cls", *, residual: bool = False) -> tuple[ModelFolder, nn.Sequential]:
    """Save an ettin-like chain, and return it with the modules of sentence-transformers."""
    torch.manual_seed(7)
    width = 24 if residual else 32
    modules = nn.Sequential(
        StPooling(32, pooling_mode=mode),
        StDense(32, width, activation_function=nn.GELU(), bias=not residual, use_residual=residual),
        StLayerNorm(width),
        StDense(width, 1, activation_function=nn.Identity()),
    ).eval()
    for place, module in enumerate(modules[1:], 2):
        (folder / f"{place}").mkdir(parents=True)
        module.save(str(folder / f"{place}"))
    declared = (
        Pooling(mode),
        Dense("2", 32, width, not residual, GELU, residual),
        LayerNorm("3", width),
        Dense("4", width, 1, True, IDENTITY),
    )
    return save(tiny_modernbert(), folder, ModulesHead(declared)), modules


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("mode", StPooling.POOLING_MODES)
def test_a_chain_scores_as_the_modules_of_sentence_transformers(mode: str, residual: bool, tmp_path: Path) -> None:
    folder, modules = chain_folder(tmp_path, mode, residual=residual)
    model = tiny_modernbert()
    expected = []
    with torch.inference_mode():
        for row in ROWS:
            hidden = model(torch.tensor([row])).last_hidden_state
            features = {"token_embeddings": hidden, "attention_mask": torch.ones(1, len(row), dtype=torch.long)}
            expected.append(modules(features)["sentence_embedding"].item())
    assert scores(folder) == pytest.approx(expected, abs=1e-4)


def test_all_pooling_modes_of_sentence_transformers_are_there() -> None:
    assert set(POOLINGS) == set(StPooling.POOLING_MODES)


def test_a_pooling_layer_that_no_score_reads_may_be_missing(tmp_path: Path) -> None:
    head = ModulesHead((Pooling("cls"), Dense("1", 32, 1, True, IDENTITY)))
    folder = save(BertModel(tiny_bert().config, add_pooling_layer=False), tmp_path, head)
    (tmp_path / "1").mkdir()
    StDense(32, 1, activation_function=nn.Identity()).save(str(tmp_path / "1"))
    assert len(set(scores(folder))) > 1


def test_half_precision_keeps_apart_what_differs(tmp_path: Path) -> None:
    """The head computes in fp32: logits near 50 have steps of 0.25 in bf16."""
    model = decoder_classifier("llama")
    with torch.no_grad():
        model.score.weight.mul_(30)
    folder = save(model, tmp_path)
    half, whole = scores(folder, "bf16"), scores(folder)
    assert len(set(half)) == len(set(ROWS_AS_TEXT))
    assert half == pytest.approx(whole, abs=0.05 * (max(whole) - min(whole)))


ROWS_AS_TEXT = [str(row) for row in ROWS]


def test_activations_that_fp16_cannot_hold(tmp_path: Path) -> None:
    """In bf16 they are finite: it is the default on a GPU for weights that were saved in it."""
    model = decoder_classifier("qwen2")
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(1e5)
    folder = save(model, tmp_path)
    assert not torch.tensor(scores(folder, "fp16")).isfinite().all()
    whole = scores(folder)
    assert scores(folder, "bf16") == pytest.approx(whole, abs=0.05 * (max(whole) - min(whole)))


@pytest.mark.parametrize(
    ("kind", "stored", "chosen"),
    [
        ("encoder", torch.float32, "fp16"),
        ("encoder", torch.float16, "fp16"),
        ("encoder", torch.bfloat16, "bf16"),
        ("decoder", torch.float32, "bf16"),
        ("decoder", torch.float16, "fp16"),
        ("decoder", torch.bfloat16, "bf16"),
    ],
)
def test_half_precision_is_what_the_weights_were_saved_in(
    kind: str, stored: torch.dtype, chosen: str, tmp_path: Path
) -> None:
    model = tiny_bert() if kind == "encoder" else decoder_classifier("qwen3")
    folder = save(model.to(stored), tmp_path)
    assert with_dtype(Placement("mps", "auto", None), folder).dtype == chosen
    assert with_dtype(Placement("mps", "fp32", None), folder).dtype == "fp32"
    assert with_dtype(Placement("cpu", "auto", None), folder).dtype == "fp32"


# Not ru_maxrss, which begins with the memory of the process that started this one.
_PEAK = """
import pathlib, sys, torch
from transformers import AutoModelForCausalLM
from rerank_plugins.backends.base import ModelFolder, Placement
from rerank_plugins.backends.heads import TokenHead
from rerank_plugins.backends.networks import load_network
ids = torch.ones(64, 64, dtype=torch.long)
with torch.inference_mode():
    if sys.argv[1] == "ours":
        folder = ModelFolder("tiny", sys.argv[2], ("model.safetensors",), head=TokenHead(9, 5))
        load_network(folder, Placement("cpu", "fp32", None))(ids, torch.ones_like(ids))
    else:
        AutoModelForCausalLM.from_pretrained(sys.argv[2])(ids, use_cache=False)
status = pathlib.Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads Linux's record of a process's memory")
def test_the_whole_vocabulary_has_no_logits(tmp_path: Path) -> None:
    """4,096 tokens times 100,000 logits are 1.6 GB."""
    language_model("llama", vocab_size=100_000).save_pretrained(tmp_path)
    ours, whole = (
        int(subprocess.run([sys.executable, "-c", _PEAK, who, tmp_path], capture_output=True, check=True).stdout)
        for who in ("ours", "whole")
    )
    assert (whole - ours) * 1024 > 1.4e9
