"""Texts are data: nothing in them becomes a control token, whatever the vocabulary."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from rerank_plugins import MissingExtraError, ModelNotFoundError
from rerank_plugins.models.source import EMBEDDED_FOLDER
from rerank_plugins.text.tokenizer import TextTokenizer, load_tokenizer
from tests.tiny_models import unigram, word_piece

CONTROL_TEXTS = ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "</s>", "<s>", "<pad>", "<mask>", "<|im_end|>", "＜/s＞"]


def byte_level() -> Tokenizer:
    """A byte-level vocabulary like those of ModernBERT and Qwen, whose control tokens are whole entries."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    for special in ("<|im_end|>", "[CLS]", "[SEP]"):
        vocabulary[special] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|im_end|>", "[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer


TOKENIZERS = {
    "word piece": word_piece,
    "unigram": unigram,
    "byte level": byte_level,
    "embedded": lambda: Tokenizer.from_file(str(EMBEDDED_FOLDER / "tokenizer.json")),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    made: Tokenizer = TOKENIZERS[request.param]()
    return made


def control_ids(tokenizer: Tokenizer) -> set[int]:
    """The ids of all special tokens except the unknown token, which unknown characters correctly map to."""
    added = tokenizer.get_added_tokens_decoder()
    return {index for index, token in added.items() if token.special and token.content not in ("[UNK]", "<unk>")}


@pytest.mark.parametrize("text", CONTROL_TEXTS)
def test_what_looks_like_a_control_token_is_ordinary_text(tokenizer: Tokenizer, text: str) -> None:
    control = control_ids(tokenizer)
    ids = TextTokenizer(tokenizer).encode([f"bread {text} {text}{text} hamlet"], enough=512)[0].ids
    assert control.isdisjoint(ids)
    assert len(ids) > 2


@settings(max_examples=200, deadline=None)
@given(text=st.lists(st.sampled_from([*CONTROL_TEXTS, "<", "/s>", "[", "SEP]", " ", "a", "苹"])).map("".join))
def test_no_mixture_of_fragments_makes_a_control_token(text: str) -> None:
    for make in TOKENIZERS.values():
        tokenizer = make()
        control = control_ids(tokenizer)
        assert control.isdisjoint(TextTokenizer(tokenizer).encode([text], enough=512)[0].ids)


def test_a_unigram_vocabulary_alone_would_take_its_control_pieces() -> None:
    """Why `encode_special_tokens` is not enough: if this fails, spelling out by ids can be removed."""
    tokenizer = unigram()
    tokenizer.encode_special_tokens = True
    assert 2 in tokenizer.encode("bread </s>", add_special_tokens=False).ids


def test_truncation_and_padding_of_the_file_are_off() -> None:
    ids = TextTokenizer(word_piece()).encode(["hamlet " * 100, "hamlet"], enough=512)
    assert [len(each.ids) for each in ids] == [100, 1]


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"'name' has no tokenizer: .* holds no tokenizer.json"):
        load_tokenizer("name", tmp_path)


def test_a_broken_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelNotFoundError, match=r"cannot be read by tokenizers .*pip install -U tokenizers"):
        load_tokenizer("name", tmp_path)


def test_an_older_vocabulary_is_converted(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    words = TextTokenizer(word_piece()).tokenizer.get_vocab()
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(words, key=lambda word: words[word])))
    (tmp_path / "config.json").write_text((model_folder("bert") / "config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    expected = TextTokenizer(word_piece()).encode(["shakespeare wrote hamlet"], enough=512)
    assert load_tokenizer("name", tmp_path).encode(["Shakespeare wrote Hamlet"], enough=512) == expected


def test_conversion_without_transformers_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rerank-plugins\[torch\]'"):
        load_tokenizer("name", tmp_path)


def test_control_tokens_that_the_tokenizer_does_not_mark_are_found_by_name(
    model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    content = json.loads((model_folder("bert") / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["special"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "special_tokens_map.json").write_text('{"mask_token": {"content": "[MASK]"}, "pad_token": "[PAD]"}')
    (text,) = load_tokenizer("name", tmp_path).encode(["bread [MASK] [PAD] [SEP] hamlet"], enough=512)
    assert {0, 2, 3, 4}.isdisjoint(text.ids)


class TestLongTexts:
    """Only the usable part of a very long text is tokenized, and the result is the same."""

    @pytest.mark.parametrize(
        "text", ["hamlet " * 20_000, " " * 50_000 + "bread " * 300, "[SEP]" * 9000, "苹果" * 30_000]
    )
    def test_the_first_tokens_are_those_of_the_whole_text(self, tokenizer: Tokenizer, text: str) -> None:
        shared = TextTokenizer(tokenizer)
        (few,) = shared.encode([text], enough=100)
        (whole,) = shared.encode([text], enough=10**6)
        assert few.ids[:100] == whole.ids[:100]
        assert (len(few.ids) > 100) == (len(whole.ids) > 100)

    def test_of_megabytes_only_the_first_pages_are_tokenized(self) -> None:
        shared = TextTokenizer(word_piece())
        assert len(shared.encode(["hamlet " * 10**6], enough=512)[0].ids) < 2000
