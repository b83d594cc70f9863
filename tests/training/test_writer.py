"""The writer's own decode loop writes what transformers' generate writes."""

from collections.abc import Iterator

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rerank_plugins import InvalidValueError, UnsupportedModelError
from training.writer import Writer

WORDS = ["<end>", *(f"w{number}" for number in range(63))]
PROMPTS = [
    " ".join(f"w{(7 * start + step) % 63}" for step in range(length)) for start, length in enumerate([3, 70, 1, 9, 5])
]


def llama(**settings: bool) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        initializer_range=0.3,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        **settings,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another make a tiny model slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return llama()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")


def greedy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, tokens: int) -> str:
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
    mask = torch.ones_like(ids)
    written = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens)[0, ids.shape[1] :]
    return tokenizer.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_greedy_texts_are_those_of_generate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, batch_size: int
) -> None:
    writer = Writer(model, tokenizer, device="cpu", batch_size=batch_size)
    texts = writer.write(PROMPTS, tokens=40, temperature=1.0, seed=0, top_k=1)
    assert min(len(text.split()) for text in texts) < 40  # one of them ends before it is cut
    assert texts == [greedy(model, tokenizer, prompt, 40) for prompt in PROMPTS]


def test_a_text_is_cut_at_its_end(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    writer = Writer(model, tokenizer, device="cpu")
    texts = writer.write(PROMPTS * 4, tokens=60, temperature=1.5, seed=0)
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) < 60
    assert not any("<end>" in text for text in texts)


def test_the_seed_decides(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    writer = Writer(model, tokenizer, device="cpu", batch_size=2)
    one, again, other = (writer.write(PROMPTS, tokens=20, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_the_same_prompt_goes_on_in_many_ways(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = Writer(model, tokenizer, device="cpu").write(PROMPTS[:1] * 8, tokens=20, temperature=2.0, seed=0)
    assert len(set(texts)) == 8


def test_no_prompts_no_texts(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    assert Writer(model, tokenizer, device="cpu").write([], tokens=20, temperature=1.0, seed=0) == []


def test_an_empty_prompt_is_refused(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(InvalidValueError, match="A prompt must have a token"):
        Writer(model, tokenizer, device="cpu").write(["w1", ""], tokens=20, temperature=1.0, seed=0)


def test_a_model_with_biases_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UnsupportedModelError, match="without biases"):
        Writer(llama(attention_bias=True), tokenizer, device="cpu")
