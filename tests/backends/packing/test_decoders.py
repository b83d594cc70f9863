"""Decoders give the same logits on a packed row, with and without shared prefixes, as transformers with padding."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from rerank_plugins.backends.packing import CannotPackError, PackedRows, enable, hidden_states, run
from tests.backends.packing.batches import SHAPE, Batch, batch, random_rows, tensors

_GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
_TYPES = ["sliding_attention", "full_attention", "sliding_attention"]
# A model's class name without its ending, and what its config has beside the common shape.
DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": (
        "Qwen2",
        {"num_key_value_heads": 2, "use_sliding_window": True, "sliding_window": 12, "layer_types": _TYPES},
    ),
    "qwen3": ("Qwen3", _GROUPED),
    "llama": ("Llama", {"num_key_value_heads": 2}),
    "gemma": ("Gemma", _GROUPED),
    "gemma2": (
        "Gemma2",
        _GROUPED | {"sliding_window": 12, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
    ),
    "gemma3": ("Gemma3", _GROUPED | {"sliding_window": 12, "layer_types": _TYPES}),
    "mistral": ("Mistral", _GROUPED | {"sliding_window": 12}),
    "modernbert-decoder": (
        "ModernBertDecoder",
        {"local_attention": 12, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
    ),
}
_CONFIGS = {"Gemma3": "Gemma3TextConfig"}


def decoder(name: str, *, attention: str = "eager", **changes: Any) -> Any:
    """A tiny language model with random weights."""
    cls, own = DECODERS[name]
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = getattr(transformers, _CONFIGS.get(cls, f"{cls}Config"))(**SHAPE | special | own | changes)
    torch.manual_seed(0)
    return getattr(transformers, f"{cls}ForCausalLM")._from_config(config, attn_implementation=attention).eval()


@pytest.fixture(params=DECODERS)
def model(request: pytest.FixtureRequest) -> Any:
    """Each language model in turn."""
    return decoder(request.param)


def prompts_and_documents() -> Batch:
    """Pairs of two queries behind one system text, one of them nothing but its prompt, and two that share nothing."""
    (system,), queries = random_rows(40, seed=1), random_rows(9, 11, seed=2)
    documents = random_rows(5, 30, 17, 1, 2, 60)
    rows = [system + queries[place % 2] + document for place, document in enumerate(documents)]
    return batch([*rows, system + queries[0], *random_rows(21, 1, seed=3)])


@torch.inference_mode()
def padded(model: Any, inputs: Batch, run: Callable[..., torch.Tensor]) -> torch.Tensor:
    last = torch.from_numpy(inputs["attention_mask"]).sum(1) - 1
    return run(model(**tensors(inputs)))[torch.arange(len(last)), last]


@pytest.mark.parametrize("shared", [False, True])
def test_logits_at_the_last_token(model: Any, shared: bool) -> None:
    inputs = prompts_and_documents()
    expected = padded(model, inputs, lambda output: output.logits)
    enable(model)
    rows = PackedRows.of(inputs, shared_prefixes=shared)
    with torch.inference_mode():
        torch.testing.assert_close(run(model, rows), expected, atol=1e-4, rtol=0)
    assert expected.std() > 0.5
    # Of the pair that is nothing but a prompt, the last token is its own, and so the others' of that query is, too.
    once = (48 + 6 + 18 + 3 + 1) + (51 + 30 + 1 + 60) + 21 + 1
    assert rows.tokens == (once if shared else inputs["attention_mask"].sum())


@pytest.mark.parametrize("shared", [False, True])
def test_hidden_states_of_a_model_without_a_head(model: Any, shared: bool) -> None:
    inputs, base = prompts_and_documents(), model.base_model
    expected = padded(base, inputs, lambda output: output.last_hidden_state)
    enable(base)
    rows = PackedRows.of(inputs, shared_prefixes=shared)
    with torch.inference_mode():
        torch.testing.assert_close(run(base, rows), expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(hidden_states(base, rows)[rows.last], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["qwen2", "gemma2", "gemma3", "mistral", "modernbert-decoder"])
def test_the_sliding_window_counts(name: str) -> None:
    narrow = {"local_attention": 6} if name == "modernbert-decoder" else {"sliding_window": 6}
    inputs, logits = prompts_and_documents(), []
    for changes in ({}, narrow):
        model = decoder(name, **changes)
        enable(model)
        with torch.inference_mode():
            logits.append(run(model, PackedRows.of(inputs, shared_prefixes=True)))
    assert (logits[0] - logits[1]).abs().max() > 0.01


def test_the_soft_limit_counts() -> None:
    inputs, logits = prompts_and_documents(), []
    for limit in (3.0, None):
        model = decoder("gemma2", attn_logit_softcapping=limit)
        enable(model)
        with torch.inference_mode():
            logits.append(run(model, PackedRows.of(inputs)))
    assert (logits[0] - logits[1]).abs().max() > 0.01


def test_a_model_with_attention_of_its_own_is_refused() -> None:
    config = transformers.BloomConfig(vocab_size=200, hidden_size=32, n_layer=1, n_head=4)
    with pytest.raises(CannotPackError, match="BloomForCausalLM has an attention of its own"):
        enable(transformers.BloomForCausalLM(config))


def test_a_model_with_other_layers_is_refused() -> None:
    types = ["linear_attention", "full_attention", "linear_attention"]
    config = transformers.Qwen3Config(**SHAPE | _GROUPED)
    model = transformers.Qwen3ForCausalLM(config)
    model.config.layer_types = types
    with pytest.raises(CannotPackError, match="its layers are of type linear_attention"):
        enable(model)
