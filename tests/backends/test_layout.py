"""Pairs are laid out as the input arrays of a model."""

import numpy as np

from rerank_plugins.backends.layout import lay_out
from rerank_plugins.text.pairs import EncodedPair
from rerank_plugins.text.template import read_template
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.tiny_models import word_piece


def test_rows_are_padded_with_the_models_own_token() -> None:
    template = read_template(TextTokenizer(word_piece()), "template")
    pairs = [EncodedPair((7,), (8, 9), 6, False, False), EncodedPair((7,), (), 4, False, False)]
    arrays = lay_out(pairs, template, inputs=("input_ids", "attention_mask"), pad_token_id=77)
    assert arrays["input_ids"].tolist() == [[2, 7, 3, 8, 9, 3], [2, 7, 3, 3, 77, 77]]
    assert arrays["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0]]
    assert arrays["input_ids"].dtype == np.int64
