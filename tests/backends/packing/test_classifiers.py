"""Classifiers give the same scores on a packed row as with padding, whatever their head reads."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForSequenceClassification

from rerank_plugins.backends.networks.base import Network, accepted_inputs
from rerank_plugins.backends.networks.classifier import EncoderClassifier
from rerank_plugins.backends.networks.decoder import DecoderClassifier
from rerank_plugins.backends.packing.accelerated import packed_or_none
from rerank_plugins.backends.packing.network import PackedNetwork
from rerank_plugins.backends.packing.places import Places, rooms
from rerank_plugins.backends.packing.projections import join_projections
from rerank_plugins.backends.packing.rows import PackedRows
from rerank_plugins.backends.packing.running import CannotPackError, check_windows
from tests.backends.packing.batches import SHAPE, Batch, batch, random_rows, tensors

_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
_DECODER = {"num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0}
# The name of a config's class without its ending, and what it has beside the common shape.
CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {}),
    "roberta": ("Roberta", {}),
    "xlm-roberta": ("XLMRoberta", {"type_vocab_size": 1}),
    "electra": ("Electra", {}),
    "distilbert": ("DistilBert", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "modernbert": ("ModernBert", _TOKENS | {"local_attention": 12}),
    "modernbert, mean": ("ModernBert", _TOKENS | {"local_attention": 12, "classifier_pooling": "mean"}),
    "qwen3": ("Qwen3", _DECODER),
    "gemma3": ("Gemma3Text", _DECODER | {"sliding_window": 12}),
}


def classifier(name: str, **changes: Any) -> Any:
    """A tiny classifier with random weights."""
    cls, own = CLASSIFIERS[name]
    config = getattr(transformers, f"{cls}Config")(**SHAPE | {"num_labels": 1} | own | changes)
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


def network(model: Any, *rows: int) -> Network:
    """The network that is made of a classifier."""
    return (DecoderClassifier if hasattr(model, "score") else EncoderClassifier)(model, rows or (0,))


def pairs(model: Any) -> Batch:
    """Pairs of different lengths, four of which begin alike."""
    (prompt,), documents = random_rows(30, seed=1), random_rows(40, 7, 100, 33)
    rows = [*random_rows(2, 60, seed=2), *(prompt + document for document in documents)]
    inputs = batch(rows, pad=model.config.pad_token_id)
    if "token_type_ids" in accepted_inputs(model):
        inputs["token_type_ids"] = (np.arange(inputs["input_ids"].shape[1]) > 1) * inputs["attention_mask"]
    return inputs


@pytest.fixture(params=CLASSIFIERS)
def model(request: pytest.FixtureRequest) -> Any:
    """Each classifier in turn."""
    return classifier(request.param)


@torch.inference_mode()
def test_packed_scores_are_the_padded_ones(model: Any) -> None:
    inputs = pairs(model)
    expected = model(**tensors(inputs)).logits[:, 0]
    packed = PackedNetwork(network(model))
    rows = packed.lay_out(inputs)
    torch.testing.assert_close(packed.scores(rows), expected, atol=1e-4, rtol=0)
    assert expected.std() > 0.01
    assert rows.calls, "attention ran on the packed row"
    decoder = model.config.model_type in ("qwen3", "gemma3_text")
    assert rows.tokens == inputs["attention_mask"].sum() - (90 if decoder else 0)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["bert", "qwen3"])
def test_a_label_is_weighed_against_the_others(name: str) -> None:
    model = classifier(name, num_labels=3)
    inputs = pairs(model)
    expected = model(**tensors(inputs)).logits.softmax(1)[:, 1]
    packed = PackedNetwork(network(model, 1, 0, 2))
    torch.testing.assert_close(packed.scores(packed.lay_out(inputs)).sigmoid(), expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_joined_projections_change_no_score(model: Any) -> None:
    inputs = pairs(model)
    expected = model(**tensors(inputs)).logits[:, 0]
    packed = PackedNetwork(network(model))
    joined = join_projections(packed.encoder)
    torch.testing.assert_close(packed.scores(packed.lay_out(inputs)), expected, atol=1e-4, rtol=0)
    layers = 0 if model.config.model_type == "modernbert" else model.config.num_hidden_layers
    assert joined == layers, "ModernBERT has one product already"


@torch.inference_mode()
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "modernbert", "qwen3", "gemma3"])
def test_what_a_graph_reads_gives_the_same_scores(name: str) -> None:
    model = classifier(name)
    inputs = pairs(model)
    expected = model(**tensors(inputs)).logits[:, 0]
    packed = PackedNetwork(network(model))
    encode = packed.encode
    room = next(each for each in rooms(shares=packed.shares) if each.holds(packed.lay_out(inputs)))
    places = Places(room, "cpu", types="token_type_ids" in inputs)
    other = {name: array[1:] for name, array in inputs.items()}

    def through_places(rows: PackedRows) -> torch.Tensor:
        places.fill(packed.lay_out(other))  # what was there before does not matter
        places.fill(rows)
        return encode(places.rows())[: rows.tokens]

    packed.encode = through_places
    torch.testing.assert_close(packed.scores(packed.lay_out(inputs)), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_a_model_that_cannot_is_left_as_it_was() -> None:
    model = classifier("bert")
    inputs = pairs(model)
    expected = model(**tensors(inputs)).logits[:, 0]
    albert = transformers.AlbertConfig(**SHAPE, embedding_size=16, num_labels=1)
    other = AutoModelForSequenceClassification.from_config(albert).eval()
    before = other(**tensors(inputs)).logits
    with pytest.raises(CannotPackError, match="its scores without padding are"):  # its pooler is spread over the model
        PackedNetwork(network(other))
    assert torch.equal(other(**tensors(inputs)).logits, before)
    assert torch.equal(model(**tensors(inputs)).logits[:, 0], expected)


def test_a_layer_that_keeps_its_window_to_itself_is_noticed() -> None:
    model = classifier("modernbert")
    with torch.inference_mode():
        rows = PackedRows.of(pairs(model))
        PackedNetwork(network(model)).scores(rows)
    check_windows(model.config, rows.calls)
    silent = [call._replace(window=None) for call in rows.calls]
    with pytest.raises(CannotPackError, match="2 of its layers attend in a window, but 0 said so"):
        check_windows(model.config, silent)


def test_on_a_cpu_decoders_are_packed_and_encoders_are_not() -> None:
    encoder, decoder = classifier("bert"), classifier("qwen3")
    assert packed_or_none("bert", network(encoder)) is None
    assert packed_or_none("qwen3", network(decoder)) is not None
