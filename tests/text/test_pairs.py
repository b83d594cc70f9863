"""Templates are derived from the tokenizer, and pairs equal the tokenizer's own encoding."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.base.modality import InputFormatter
from tokenizers import Tokenizer

from rerank_plugins.backends.layout import lay_out
from rerank_plugins.models.source import EMBEDDED_FOLDER
from rerank_plugins.text.pairs import EncodedPair, Pair, PairEncoder
from rerank_plugins.text.template import read_template
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.texts import DOCUMENTS, QUERY
from tests.tiny_models import unigram, word_piece

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "segment_ids")


@pytest.mark.parametrize("make", [word_piece, unigram])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_pair_is_what_the_tokenizers_own_template_gives(make: type[Tokenizer], document: str) -> None:
    plain = make()
    plain.no_padding()
    plain.no_truncation()
    expected = plain.encode(QUERY, document)
    tokenizer = TextTokenizer(make())
    template = read_template(tokenizer, "template")
    encoder = PairEncoder(tokenizer, template, max_length=512, max_positions=512)
    arrays = lay_out(encoder.encode([Pair(QUERY, document)]).pairs, template, inputs=INPUTS, pad_token_id=0)
    assert arrays["input_ids"][0].tolist() == expected.ids
    assert arrays["token_type_ids"][0].tolist() == expected.type_ids
    assert arrays["attention_mask"][0].tolist() == expected.attention_mask
    assert arrays["position_ids"][0].tolist() == list(range(len(expected.ids)))


def test_segments_stand_side_by_side_and_positions_restart() -> None:
    tokenizer = TextTokenizer(Tokenizer.from_file(str(EMBEDDED_FOLDER / "tokenizer.json")))
    template = read_template(tokenizer, "segments")
    encoder = PairEncoder(tokenizer, template, max_length=512, max_positions=512)
    arrays = lay_out(encoder.encode([Pair("who", "bread is")]).pairs, template, inputs=INPUTS, pad_token_id=0)
    assert arrays["input_ids"][0].tolist() == [101, 2040, 102, 101, 7852, 2003, 102]
    assert arrays["position_ids"][0].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert arrays["segment_ids"][0].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert arrays["token_type_ids"][0].tolist() == [0] * 7


@given(
    query=st.integers(0, 700),
    document=st.integers(0, 700),
    max_length=st.integers(16, 600),
    positions=st.sampled_from([64, 512, None]),
    pair_encoding=st.sampled_from(["template", "segments"]),
)
def test_every_pair_fits_and_keeps_what_it_can(
    query: int, document: int, max_length: int, positions: int | None, pair_encoding: str
) -> None:
    tokenizer = TextTokenizer(word_piece())
    template = read_template(tokenizer, pair_encoding)
    encoder = PairEncoder(tokenizer, template, max_length=max_length, max_positions=positions)
    (pair,) = encoder.encode([Pair("hamlet " * query, "bread " * document)]).pairs
    room = encoder.max_length - template.special
    assert pair.length == len(pair.query) + len(pair.document) + template.special <= encoder.max_length <= max_length
    assert pair.query_truncated == (len(pair.query) < query)
    assert pair.document_truncated == (len(pair.document) < document)
    if query <= room * 3 // 4 and positions is None:
        assert len(pair.query) == query
    if pair.query_truncated:
        assert len(pair.query) == room * 3 // 4 or len(pair.query) == (positions or 0) - 2
    if positions is not None and pair_encoding == "segments":
        assert max(len(pair.query), len(pair.document)) + 2 <= positions


def test_a_text_is_tokenized_once_however_often_it_occurs() -> None:
    asked: list[str] = []

    class Counting(TextTokenizer):
        def encode(self, texts: list[str], *, enough: int) -> list:  # type: ignore[type-arg]
            asked.extend(texts)
            return super().encode(texts, enough=enough)

    tokenizer = Counting(word_piece())
    encoder = PairEncoder(tokenizer, read_template(tokenizer, "template"), max_length=64, max_positions=None)
    encoder.encode([Pair("who", "bread"), Pair("who", "hamlet"), Pair("what", "bread")])
    assert sorted(asked) == ["bread", "hamlet", "what", "who"]


def test_a_prompt_stands_before_the_query_as_sentence_transformers_puts_it() -> None:
    plain = word_piece()
    plain.no_padding()
    plain.no_truncation()
    tokenizer = TextTokenizer(word_piece())
    template = read_template(tokenizer, "template")
    encoder = PairEncoder(tokenizer, template, max_length=64, max_positions=None, query_prompt="query by ")
    (prompted,) = InputFormatter("bert").prepend_prompt_to_texts([(QUERY, QUERY)], "query by ")
    encoded = encoder.encode([Pair(QUERY, QUERY)]).pairs
    arrays = lay_out(encoded, template, inputs=["input_ids"], pad_token_id=0)
    assert arrays["input_ids"][0].tolist() == plain.encode(*prompted).ids


def windows(document: str, max_length: int, *, max_windows: int = 1000) -> list[EncodedPair]:
    tokenizer = TextTokenizer(word_piece())
    template = read_template(tokenizer, "template")
    encoder = PairEncoder(tokenizer, template, max_length=max_length, max_positions=512, max_windows=max_windows)
    encoded = encoder.encode([Pair("a", "b"), Pair(QUERY, document)])
    assert encoded.owners == [0, *([1] * (len(encoded.pairs) - 1))]
    return encoded.pairs[1:]


@given(words=st.integers(1, 300), max_length=st.integers(16, 80))
def test_windows_cover_the_document_and_are_full(words: int, max_length: int) -> None:
    document = ("hamlet " * words).strip()
    pairs = windows(document, max_length)
    if words <= max_length - 3 - 3:  # 3 special tokens and 3 of the query
        assert [pair.span for pair in pairs] == [None]
        return
    assert {pair.length for pair in pairs} == {max_length}
    assert not any(pair.document_truncated for pair in pairs)
    spans = [pair.span or (0, 0) for pair in pairs]
    assert (spans[0][0], spans[-1][1]) == (0, len(document))
    for (_, end), (start, _) in pairwise(spans):
        assert start < end  # The next one begins before this one ends.


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_windows_than_are_allowed(most: int) -> None:
    document = ("hamlet " * 200).strip()
    pairs = windows(document, 32, max_windows=most)
    assert len(pairs) == most
    assert [pair.span for pair in pairs] == [pair.span for pair in windows(document, 32)[:most]]
    assert all(pair.document_truncated for pair in pairs)


def test_control_tokens_keep_their_place_in_windows() -> None:
    document = "bread [SEP] " * 30 + "hamlet"
    pairs = windows(document, 24)
    assert document[slice(*(pairs[-1].span or ()))].endswith("hamlet")
    assert max(pair.span[1] for pair in pairs if pair.span) == len(document)


def test_a_pair_that_just_fits_is_not_truncated() -> None:
    tokenizer = TextTokenizer(word_piece())
    encoder = PairEncoder(tokenizer, read_template(tokenizer, "template"), max_length=32, max_positions=None)
    fits, does_not = encoder.encode([Pair(QUERY, "hamlet " * 26), Pair(QUERY, "hamlet " * 27)]).pairs
    assert [fits.document_truncated, does_not.document_truncated] == [False, True]
