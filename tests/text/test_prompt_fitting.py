"""A prompt's own text and the query stay whole; the document is truncated or read in windows."""

from itertools import pairwise

import pytest

from rerank_plugins import InvalidValueError
from rerank_plugins.text.pairs import Pair
from rerank_plugins.text.prompt import NAMED_PROMPTS, Prompt, TextTemplate, read_prompt
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.text.encoding import QUERY, SENTENCE, encoder_of, prompt_of, whole
from tests.text.families import FAMILIES, prompts, trained


def around_documents(prompt: Prompt, query: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What pairs of a query with any document begin and end with."""
    one, other = (
        whole(pair) for pair in encoder_of(prompt, 8192).encode([Pair(query, "xyz"), Pair(query, "(1) x")]).pairs
    )
    alike = [a == b for a, b in zip(one, other, strict=False)]
    alike_from_behind = [a == b for a, b in zip(one[::-1], other[::-1], strict=False)]
    before, behind = alike.index(False), alike_from_behind.index(False)
    assert before > 0 < behind
    return one[:before], one[-behind:]


def ninety_tokens() -> Prompt:
    """A prompt with text before, between and behind query and document, of 90 tokens."""
    text = prompts("qwen")["task behind"]
    for words in range(60):
        template = TextTemplate(text.replace("\nRelevance", f"{' the' * words}\nRelevance"))
        prompt = read_prompt("m", template, TextTokenizer(trained("qwen")))
        if prompt.tokens == 90:
            return prompt
    raise AssertionError


class TestFitting:
    prompt = ninety_tokens()

    def test_no_room_at_all(self) -> None:
        with pytest.raises(InvalidValueError, match=r"max_length=64 leaves 0 .* has 90 tokens .* Raise .* to 98 at"):
            encoder_of(self.prompt, 64)

    @pytest.mark.parametrize("max_length", [128, 512])
    def test_of_ninety_tokens_none_is_cut(self, max_length: int) -> None:
        (pair,) = encoder_of(self.prompt, max_length).encode([Pair(QUERY, SENTENCE * 300)]).pairs
        left, right = around_documents(self.prompt, QUERY)
        assert whole(pair)[: len(left)] == left
        assert whole(pair)[-len(right) :] == right
        assert (pair.length, pair.query_truncated, pair.document_truncated) == (max_length, False, True)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_document_is_truncated_before_what_follows_it(self, family: str) -> None:
        for style in ("instruct", "task behind", "turns", "tight"):
            text = prompts(family)[style].replace("{instruction}", "Judge.")
            prompt = read_prompt("m", TextTemplate(text), TextTokenizer(trained(family)))
            (pair,) = encoder_of(prompt, 200).encode([Pair(QUERY, SENTENCE * 300)]).pairs
            left, right = around_documents(prompt, QUERY)
            assert whole(pair)[: len(left)] == left
            assert whole(pair)[-len(right) :] == right
            assert (pair.length, pair.query_truncated, pair.document_truncated) == (200, False, True)

    def test_what_just_fits_is_not_truncated(self) -> None:
        text = SENTENCE * 20
        (fits,) = encoder_of(self.prompt, 8192).encode([Pair(QUERY, text)]).pairs
        for max_length, truncated in ((fits.length, False), (fits.length - 1, True)):
            (pair,) = encoder_of(self.prompt, max_length).encode([Pair(QUERY, text)]).pairs
            assert pair.document_truncated == truncated
            assert pair.length == max_length

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_query_takes_three_quarters_at_most(self, family: str) -> None:
        prompt = prompt_of(family)
        (pair,) = encoder_of(prompt, 256).encode([Pair(SENTENCE * 100, SENTENCE * 100)]).pairs
        assert (pair.length, pair.query_truncated, pair.document_truncated) == (256, True, True)
        room = 256 - prompt.tokens
        (alone,) = encoder_of(prompt, 256).encode([Pair(SENTENCE * 100, "")]).pairs
        assert alone.query_truncated
        assert not alone.document_truncated
        assert abs(alone.length - prompt.tokens - room * 3 // 4) <= 4  # where words are cut

    def test_a_query_that_fits_is_whole(self) -> None:
        query = "hamlet " * 25
        (pair,) = encoder_of(self.prompt, 256).encode([Pair(query, SENTENCE * 100)]).pairs
        assert (pair.query_truncated, pair.document_truncated) == (False, True)

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("style", ["instruct", "task behind", "turns"])
    def test_windows_cover_the_document(self, family: str, style: str) -> None:
        text = prompts(family)[style].replace("{instruction}", "Judge.")
        prompt = read_prompt("m", TextTemplate(text), TextTokenizer(trained(family)))
        document = " \n" + SENTENCE * 60 + "The end."
        encoded = encoder_of(prompt, 256, max_windows=100).encode([Pair("q", "short"), Pair(QUERY, document)])
        assert encoded.owners == [0, *([1] * (len(encoded.pairs) - 1))]
        windows = encoded.pairs[1:]
        spans = [pair.span or (0, 0) for pair in windows]
        assert len(windows) > 2
        assert {pair.length for pair in windows} == {256}
        assert not any(pair.document_truncated for pair in windows)
        assert document[spans[0][0] :].lstrip() == document.lstrip()
        assert spans[-1][1] == len(document)
        assert all(start < end for (_, end), (start, _) in pairwise(spans))

    def test_windows_of_a_stripped_document_tell_its_own_characters(self) -> None:
        prompt = read_prompt("m", NAMED_PROMPTS["zerank"], TextTokenizer(trained("qwen")))
        document = " \n \n" + SENTENCE * 60 + "\n\n"
        pairs = encoder_of(prompt, 128, max_windows=100).encode([Pair(QUERY, document)]).pairs
        spans = [pair.span or (0, 0) for pair in pairs]
        assert (spans[0][0], spans[-1][1]) == (4, len(document.rstrip()))
        assert document[spans[0][0] :].startswith("Plants")

    def test_no_more_windows_than_are_allowed(self) -> None:
        pairs = encoder_of(self.prompt, 128, max_windows=2).encode([Pair(QUERY, SENTENCE * 60)]).pairs
        assert [pair.document_truncated for pair in pairs] == [True, True]

    def test_a_long_instruction_is_an_error_and_never_cut(self) -> None:
        encoder = encoder_of(read_prompt("m", NAMED_PROMPTS["qwen3"], TextTokenizer(trained("qwen"))), 256)
        with pytest.raises(
            InvalidValueError, match=r"instruction='Plants turn .*5,400 characters.* leaves 0 of .*max_length=256"
        ):
            encoder.encode([Pair(QUERY, "d", SENTENCE * 100)])

    def test_megabytes(self) -> None:
        (pair,) = encoder_of(self.prompt, 256).encode([Pair("q " * 10**5, SENTENCE * 10**4)]).pairs
        assert (pair.length, pair.query_truncated, pair.document_truncated) == (256, True, True)


@pytest.mark.parametrize("style", ["instruct", "task behind", "turns"])
@pytest.mark.parametrize("family", FAMILIES)
def test_truncated_as_sentence_transformers_truncates(family: str, style: str) -> None:
    """`Transformer._restore_chat_template_suffix`: the end is cut off, and overwritten by the prompt's."""
    text = prompts(family)[style].replace("{instruction}", "Judge.")
    prompt = read_prompt("m", TextTemplate(text), TextTokenizer(trained(family)))
    (whole_pair,) = encoder_of(prompt, 8192).encode([Pair(QUERY, SENTENCE * 40)]).pairs
    _, suffix = around_documents(prompt, QUERY)
    expected = whole(whole_pair)[: 256 - len(suffix)] + suffix
    (pair,) = encoder_of(prompt, 256).encode([Pair(QUERY, SENTENCE * 40)]).pairs
    assert whole(pair) == expected
