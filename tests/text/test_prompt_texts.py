"""Texts in a prompt are data, and each model gets the encoder that reads them."""

import pytest
from tokenizers import AddedToken, Tokenizer

from rerank_plugins import InvalidValueError, UnsupportedModelError
from rerank_plugins.options import ReadingOptions
from rerank_plugins.text.encoders import pair_encoder, reading_fingerprint, trial_encoder
from rerank_plugins.text.pairs import Pair
from rerank_plugins.text.prompt import NAMED_PROMPTS, ChatTemplate, PromptEncoder, TextTemplate, read_prompt
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.text.encoding import QUERY, SENTENCE, encoder_of, prompt_of, whole
from tests.text.families import FAMILIES, as_chat_template, prompts, trained

# Beside each family's own.
SHOUTED = ["<|im_start|>", "<think>", "</s>", "[/INST]", "<|eot_id|>", "<end_of_turn>", "<bos>", "[SEP]"]


def control_tokens(tokenizer: Tokenizer) -> dict[int, str]:
    """All added tokens but the white space and HTML that are content."""
    added = {each: token.content for each, token in tokenizer.get_added_tokens_decoder().items()}
    return {each: content for each, content in added.items() if content.strip() and "table" not in content}


class TestControlTokens:
    @pytest.mark.parametrize("style", ["instruct", "task behind", "turns"])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_none_in_a_text_becomes_one(self, family: str, style: str) -> None:
        tokenizer, prompt = trained(family), prompt_of(family, style)
        encoder, control = encoder_of(prompt, 4096), control_tokens(tokenizer)

        def read(query: str, document: str, given: str) -> list[int]:
            pair = Pair(query, document, given if prompt.instructed else None)
            return [each for each in whole(encoder.encode([pair]).pairs[0]) if each in control]

        expected = read("q", "d", "i")
        for shouted in (*SHOUTED, *control.values()):
            text = f"see {shouted} and {shouted}{shouted}x"
            assert read(text, text, text) == expected

    @pytest.mark.parametrize("family", FAMILIES)
    def test_one_is_what_its_characters_are(self, family: str) -> None:
        """A tokenizer that never heard of control tokens gives the same ids."""
        tokenizer = trained(family)
        ignorant = Tokenizer(tokenizer.model)
        if tokenizer.normalizer is not None:
            ignorant.normalizer = tokenizer.normalizer
        if tokenizer.pre_tokenizer is not None:
            ignorant.pre_tokenizer = tokenizer.pre_tokenizer
        encoder = encoder_of(prompt_of(family, "turns"), 4096)
        for content in control_tokens(tokenizer).values():
            text = f"x {content}{content} y"
            ids = whole(encoder.encode([Pair("q", text)]).pairs[0])
            expected = tuple(ignorant.encode(text).ids)[3:]  # its first word depends on what is before it
            assert any(ids[start : start + len(expected)] == expected for start in range(len(ids)))

    @pytest.mark.parametrize("word", ["photosynthesis", "COVID19", "光合作用"])
    def test_an_added_word_is_content(self, word: str) -> None:
        """It is vocabulary of a subject, which transformers reads as one token wherever it stands."""
        tokenizer = trained("qwen")
        tokenizer.add_tokens([AddedToken(word, special=False, normalized=False)])
        added = tokenizer.token_to_id(word)
        text = f"See {word}, and {word}."
        expected = tokenizer.encode(f"<|im_start|>system\n{text}<|im_end|>\n<|im_start|>user\n{text}").ids
        prompt = read_prompt("m", TextTemplate(prompts("qwen")["turns"]), TextTokenizer(tokenizer))
        read = whole(encoder_of(prompt, 4096).encode([Pair(text, text)]).pairs[0])
        assert read[: len(expected)] == tuple(expected)
        assert read.count(added) == 4

    @pytest.mark.parametrize(("word", "special"), [("photosynthesis", True), ("<photo>", False), ("photo_", False)])
    def test_no_other_added_token_is(self, word: str, special: bool) -> None:
        tokenizer = trained("qwen")
        tokenizer.add_tokens([AddedToken(word, special=special, normalized=False)])
        added = tokenizer.token_to_id(word)
        prompt = read_prompt("m", TextTemplate(prompts("qwen")["turns"]), TextTokenizer(tokenizer))
        assert added not in whole(encoder_of(prompt, 4096).encode([Pair(f"see {word}", f"{word}.")]).pairs[0])

    def test_an_instruction_is_a_text_too(self) -> None:
        encoder = encoder_of(prompt_of("qwen", "instruct"), 4096)
        plain, shouted = encoder.encode([Pair("q", "d", "i"), Pair("q", "d", "<|im_end|>i")]).pairs
        control = control_tokens(trained("qwen"))
        assert [each for each in whole(plain) if each in control] == [
            each for each in whole(shouted) if each in control
        ]


@pytest.mark.parametrize("name", ["qwen3", "mxbai", "zerank"])
def test_a_prompt_of_another_model(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"holds <\|im_start\|>, which is no token of 'm'"):
        read_prompt("m", NAMED_PROMPTS[name], TextTokenizer(trained("gemma")))


class TestInstructions:
    def test_the_default_stands_where_none_is_given(self) -> None:
        prompt = read_prompt("m", NAMED_PROMPTS["qwen3"], TextTokenizer(trained("qwen")))
        encoder = encoder_of(prompt, 512)
        default, same, other = encoder.encode(
            [Pair("q", "d"), Pair("q", "d", prompt.instruction), Pair("q", "d", "Find code.")]
        ).pairs
        assert encoder.takes_instruction
        assert whole(default) == whole(same) != whole(other)

    def test_a_line_without_its_instruction_is_left_out(self) -> None:
        prompt = read_prompt("m", NAMED_PROMPTS["mxbai"], TextTokenizer(trained("qwen")))
        without, with_one = encoder_of(prompt, 512).encode([Pair("q", "d"), Pair("q", "d", "Find code.")]).pairs
        assert "instruction" not in prompt.text
        assert with_one.length > without.length

    def test_a_prompt_without_a_place_for_one(self) -> None:
        encoder = encoder_of(prompt_of("qwen", "turns"), 512)
        assert not encoder.takes_instruction
        with pytest.raises(InvalidValueError, match=r"instruction='Find code.': the prompt has no place"):
            encoder.encode([Pair("q", "d", "Find code.")])

    def test_a_prompt_that_needs_one(self) -> None:
        template = TextTemplate("{instruction} {query}\n{document}")
        encoder = encoder_of(read_prompt("m", template, TextTokenizer(trained("qwen"))), 512)
        assert encoder.encode([Pair("q", "d", "Find code:")]).pairs
        with pytest.raises(InvalidValueError, match="needs an instruction, and has no default one"):
            encoder.encode([Pair("q", "d")])


class TestEncoders:
    def test_a_prompt_gets_its_encoder(self) -> None:
        tokenizer, prompt = TextTokenizer(trained("qwen")), prompt_of("qwen")
        options = ReadingOptions(max_length=256, long_documents="windows")
        encoder = pair_encoder(tokenizer, prompt, options, default_max_length=512, max_positions=128)
        assert (type(encoder), encoder.max_length) == (PromptEncoder, 128)
        assert len(encoder.encode([Pair(QUERY, SENTENCE * 30)]).pairs) > 1

    @pytest.mark.parametrize("name", NAMED_PROMPTS)
    def test_a_first_try_needs_no_length(self, name: str) -> None:
        tokenizer = TextTokenizer(trained("qwen"))
        encoder = trial_encoder(tokenizer, read_prompt("m", NAMED_PROMPTS[name], tokenizer))
        assert encoder.encode([Pair("a", "b c d")]).pairs[0].length <= encoder.max_length

    def test_a_cache_key_names_the_prompt(self) -> None:
        texts = ["Q: {query}\nD: {document}", "Q: {query}\nD: {document}.", "Q: {query}\nD: {document}\n{instruction}"]
        templates = [TextTemplate(text) for text in texts]
        templates += [TextTemplate(texts[0], strip=True), TextTemplate(texts[0], apart=True)]
        templates += [TextTemplate(texts[2], "Judge."), TextTemplate(texts[2], "Judge!")]
        declared = [*templates, ChatTemplate(as_chat_template(texts[0]))]
        keys = {
            reading_fingerprint(
                ReadingOptions(), encoder_of(read_prompt("m", each, TextTokenizer(trained("qwen"))), 128)
            )
            for each in declared
        }
        assert len(keys) == len(declared)

    def test_a_question_is_tokenized_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        encode = TextTokenizer.encode

        def counting(self: TextTokenizer, texts: list[str], *, enough: int) -> object:
            asked.extend(texts)
            return encode(self, texts, enough=enough)

        encoder = encoder_of(prompt_of("qwen"), 512)
        monkeypatch.setattr(TextTokenizer, "encode", counting)
        pairs = [Pair(QUERY, text) for text in ("bread", "hamlet", "bread")] + [Pair("what is bread?", "bread")]
        assert len(encoder.encode(pairs).pairs) == 4
        assert sum(QUERY in text for text in asked) == 2  # to measure it, and to read it
        assert sum("hamlet" in text and QUERY not in text for text in asked) == 1
        assert [text for text in asked if "bread" in text and "what" not in text] == [" bread\n"]
