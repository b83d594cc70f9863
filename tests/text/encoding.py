"""Read and encode prompts in tests."""

from rerank_plugins.text.pairs import EncodedPair
from rerank_plugins.text.prompt import Prompt, PromptEncoder, TextTemplate, read_prompt
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.text.families import prompts, trained

QUERY = "who wrote hamlet?"
SENTENCE = "Plants turn sunlight into sugar, and they need water. "


def prompt_of(family: str, style: str = "task behind") -> Prompt:
    return read_prompt("m", TextTemplate(prompts(family)[style]), TextTokenizer(trained(family)))


def encoder_of(prompt: Prompt, max_length: int, *, max_windows: int | None = None) -> PromptEncoder:
    return PromptEncoder(prompt, max_length=max_length, max_positions=None, max_windows=max_windows)


def whole(pair: EncodedPair) -> tuple[int, ...]:
    assert len(pair.query + pair.document) == pair.length
    return pair.query + pair.document
