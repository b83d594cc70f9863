"""Token ids equal those that transformers gives to the whole rendered prompt."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from rerank_plugins.text.pairs import EncodedPair, Pair
from rerank_plugins.text.prompt import NAMED_PROMPTS, ChatTemplate, PromptEncoder, TextTemplate, read_prompt
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.text.families import FAMILIES, as_chat_template, prompts, reference, trained

INSTRUCTION = "Given a web search query, retrieve passages. 找出答案"
QUERIES = [
    "who wrote hamlet",
    "什么是光合作用？",
    " What is 12345 + 678? ",
    "e\u0301tude\n\nnumber 2.",
    "'s 🙂 \u0301x?!",
]
TEXTS = [
    "shakespeare wrote hamlet",
    "",
    " ",
    "Plants turn sunlight into sugar. They need water.\n\nAnd light!\n",
    "\n\n  indented,\twith tabs\t\n",
    "植物通过光合作用把阳光变成糖。\n它需要水。",
    "1234567 of 89.    Wide          spaces, <table>1</table>",
    '...(well) - "quoted" {braces} <b>bold</b> 100%',
]
PAIRS = [(query, document) for query in QUERIES for document in TEXTS]
STYLES = tuple(prompts("qwen"))


def encoder_of(family: str, declared: ChatTemplate | TextTemplate, *, max_length: int = 4096) -> PromptEncoder:
    prompt = read_prompt("m", declared, TextTokenizer(trained(family)))
    return PromptEncoder(prompt, max_length=max_length, max_positions=None)


def ids_of(pairs: Sequence[EncodedPair]) -> list[list[int]]:
    assert all(len(pair.query + pair.document) == pair.length for pair in pairs)
    return [[*pair.query, *pair.document] for pair in pairs]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_chat_template_is_read_as_transformers_reads_it(family: str, style: str) -> None:
    text = prompts(family)[style]
    source, loaded = as_chat_template(text), reference(family)
    instruction = INSTRUCTION if "{instruction}" in text else None
    system = [] if instruction is None else [{"role": "system", "content": instruction}]
    chats = [
        [*system, {"role": "query", "content": query}, {"role": "document", "content": document}]
        for query, document in PAIRS
    ]
    expected = loaded.apply_chat_template(chats, chat_template=source, tokenize=True, return_dict=False)
    encoder = encoder_of(family, ChatTemplate(source, instruction))
    pairs = encoder.encode([Pair(query, document) for query, document in PAIRS]).pairs
    assert ids_of(pairs) == expected
    assert not any(pair.query_truncated or pair.document_truncated for pair in pairs)


@pytest.mark.parametrize("style", ["no chat", "turns"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_is_read_as_a_tokenizer_reads_it(family: str, style: str) -> None:
    text, loaded = prompts(family)[style], reference(family)
    whole = [text.replace("{query}", query).replace("{document}", document) for query, document in PAIRS]
    expected = [loaded(each)["input_ids"] for each in whole]
    if style == "turns":  # which begins with the token that a tokenizer puts before a text, where it puts one
        expected = [loaded(each, add_special_tokens=False)["input_ids"] for each in whole]
    encoder = encoder_of(family, TextTemplate(text))
    assert ids_of(encoder.encode([Pair(*pair) for pair in PAIRS]).pairs) == expected


@pytest.fixture(scope="module")
def random_readers() -> dict[str, tuple[PromptEncoder, PreTrainedTokenizerFast, str]]:
    made = {}
    for family in FAMILIES:
        text = prompts(family)["task behind"]
        made[family] = encoder_of(family, TextTemplate(text)), reference(family), text
    return made


# No control token of any family is among them.
CHARACTERS = st.characters(codec="utf-8", exclude_characters="<[")


@given(query=st.text(CHARACTERS, min_size=1, max_size=30), document=st.text(CHARACTERS, max_size=60))
def test_random_texts(
    random_readers: dict[str, tuple[PromptEncoder, PreTrainedTokenizerFast, str]], query: str, document: str
) -> None:
    for encoder, loaded, text in random_readers.values():
        whole = re.sub(r"\{(query|document)\}", lambda slot: {"query": query, "document": document}[slot[1]], text)
        around = loaded("")["input_ids"]
        ids = loaded(whole, add_special_tokens=False)["input_ids"]
        expected = ids if ids[: len(around)] == around else around + ids
        assert ids_of(encoder.encode([Pair(query, document)]).pairs) == [expected]


class TestPublishedPrompts:
    """Named prompts are what the published code of each model makes of a pair, rewritten here."""

    def test_qwen3(self) -> None:
        """Qwen3-Reranker's model card: prefix, body and suffix are tokenized apart."""
        loaded = reference("qwen")
        prefix = loaded.encode(
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
            'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        )
        suffix = loaded.encode("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
        default = "Given a web search query, retrieve relevant passages that answer the query"
        for instruction in (None, INSTRUCTION):
            expected = [
                prefix
                + loaded.encode(f"<Instruct>: {instruction or default}\n<Query>: {query}\n<Document>: {text}")
                + suffix
                for query, text in PAIRS
            ]
            assert named_ids("qwen", "qwen3", instruction) == expected

    @pytest.mark.parametrize("instruction", [None, INSTRUCTION])
    def test_mxbai(self, instruction: str | None) -> None:
        """mxbai-rerank-v2 (`MxbaiRerankV2.prepare_inputs`): query, document and task are tokenized apart."""
        loaded = reference("qwen")
        prefix = loaded.encode(
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n"
        )
        task = loaded.encode(
            "You are a search relevance expert who evaluates how well documents match search queries. For each "
            "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
            "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
        )
        suffix = loaded.encode("<|im_end|>\n<|im_start|>assistant\n")
        line = loaded.encode("\n")
        start = "" if instruction is None else f"instruction: {instruction}\n"
        expected = [
            prefix
            + loaded.encode(f"{start}query: {query}")
            + line
            + loaded.encode(f"document: {document}")
            + line
            + task
            + suffix
            for query, document in PAIRS
        ]
        assert named_ids("qwen", "mxbai", instruction) == expected

    @pytest.mark.parametrize("family", FAMILIES)
    def test_flag(self, family: str) -> None:
        """FlagEmbedding (`BaseLLMReranker.compute_score_single_gpu`): all pieces are tokenized apart, behind <bos>."""
        loaded = reference(family)

        def ids(text: str) -> list[int]:
            return loaded.encode(text, add_special_tokens=False)

        task = (
            "Given a query A and a passage B, determine whether the passage contains an answer to the query by "
            "providing a prediction of either 'Yes' or 'No'."
        )
        start, line = loaded("")["input_ids"], ids("\n")
        expected = [start + ids(f"A: {q}") + line + ids(f"B: {d}") + line + ids(task) for q, d in PAIRS]
        assert named_ids(family, "flag", None) == expected

    def test_zerank(self) -> None:
        """zerank (`format_pointwise_datapoints`): both texts are stripped."""
        loaded = reference("qwen")
        expected = [
            loaded.encode(
                f"<|im_start|>system\n{query.strip()}<|im_end|>\n<|im_start|>user\n{document.strip()}<|im_end|>\n"
                "<|im_start|>assistant\n"
            )
            for query, document in PAIRS
        ]
        assert named_ids("qwen", "zerank", None) == expected

    def test_nemotron(self) -> None:
        """llama-nemotron-rerank-1b-v2's model card: one text, with what the tokenizer puts around a text."""
        loaded = reference("llama3")
        expected = [loaded(f"question:{query} \n \n passage:{document}")["input_ids"] for query, document in PAIRS]
        assert named_ids("llama3", "nemotron", None) == expected


def named_ids(family: str, name: str, instruction: str | None) -> list[list[int]]:
    pairs = [Pair(query, document, instruction) for query, document in PAIRS]
    return ids_of(encoder_of(family, NAMED_PROMPTS[name]).encode(pairs).pairs)
