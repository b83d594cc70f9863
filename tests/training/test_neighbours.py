"""What is near in meaning and in words is what the retrievers of the package find."""

import numpy as np

from rerank_plugins.loading.folder import EMBEDDED_FOLDER, EMBEDDED_NAME
from rerank_plugins.retrieval.embedding import BiEncoder, packaged_minilm
from rerank_plugins.scoring.tokenization import load_tokenizer
from training.batches import Texts
from training.neighbours import near_in_meaning, near_in_words

PASSAGES = [
    "The moon goes round the earth once a month.",
    "Bread is baked in a hot oven for an hour.",
    "A month has thirty days, or thirty-one.",
    "Glaciers are rivers of ice that move slowly.",
    "The violin has four strings.",
]
QUESTIONS = ["how hot must an oven be for bread", "what moves round the earth"]


def texts(rows: list[str]) -> Texts:
    tokenizer = load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER)
    return Texts([np.array(each.ids, dtype=np.uint16) for each in tokenizer.encode(rows, enough=64)], "cpu")


def test_near_in_meaning_is_the_order_of_the_bi_encoder() -> None:
    encoder = BiEncoder()
    cosines = encoder.encode(QUESTIONS) @ encoder.encode(PASSAGES).T
    found = near_in_meaning(texts(QUESTIONS), texts(PASSAGES), packaged_minilm(), depth=5)
    assert found.tolist() == np.argsort(-cosines).tolist()


def test_near_in_words_is_bm25() -> None:
    found = near_in_words(texts(QUESTIONS), texts(PASSAGES), depth=2)
    assert found[:, 0].tolist() == [1, 0]


def test_a_rare_word_counts_more_than_a_frequent_one() -> None:
    passages = ["the cat", "the dog", "the the the bird", "the fish", "a zebra"]
    found = near_in_words(texts(["the zebra"]), texts(passages), depth=1)
    assert found.tolist() == [[4]]
