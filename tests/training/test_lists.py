"""Lists contain the answer once and near candidates of two first stages, without duplicates."""

from pathlib import Path

import numpy as np
import pytest

from rerank_plugins import InvalidValueError
from rerank_plugins.models.source import EMBEDDED_FOLDER, EMBEDDED_NAME
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.text.tokenizer import load_tokenizer
from training.lists import Lists, choose, mine
from training.pairs import Pair
from training.settings import FILE, ListSettings, read_settings

SETTINGS = ListSettings(
    questions={"web": 7, "books": 1},
    document_tokens=12,
    query_tokens=8,
    near=2,
    near_depth=4,
    middle=1,
    middle_depth=8,
    random=1,
    seed=0,
)
SUBJECTS = ("moon", "river", "bridge", "oven", "violin", "glacier", "tractor", "harbour")
PAIRS = [
    *(Pair("web", f"what is a {each}", f"A {each} is a thing that people know of, and like.", ()) for each in SUBJECTS),
    Pair("web", "what is a moon", "The moon goes round the earth.", ()),
    Pair("books", "who played the violin", "Anna played it.", ("A violin has four strings.",)),
]


@pytest.fixture(scope="module")
def lists() -> Lists:
    chosen = choose(PAIRS, SETTINGS)
    return mine(chosen, SETTINGS, load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER), BiEncoder())


def test_choose_takes_so_many_questions_of_each_source_and_all_their_answers() -> None:
    chosen = choose(PAIRS, SETTINGS)
    assert chosen.sources == ["web"] * 7 + ["books"]
    assert len(set(chosen.questions)) == 8
    for question, answers in zip(chosen.questions, chosen.answers, strict=True):
        wanted = {pair.positive for pair in PAIRS if pair.query == question}
        assert {chosen.passages[place] for place in answers} == wanted


def test_a_list_holds_its_answer_and_no_document_twice(lists: Lists) -> None:
    assert lists.members.shape == (8, SETTINGS.size)
    assert all(len(set(row)) == SETTINGS.size for row in lists.members.tolist())
    assert lists.answers.sum(1).tolist() == [1] * 8


def test_a_pool_that_is_too_small_is_refused() -> None:
    chosen = choose(PAIRS[:3], SETTINGS)
    with pytest.raises(InvalidValueError, match="Lists of 7 need 7 passages, got 3"):
        mine(chosen, SETTINGS, load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER), BiEncoder())


def test_texts_are_cut_and_cosines_are_those_of_the_members(lists: Lists) -> None:
    assert max(map(len, lists.documents)) == SETTINGS.document_tokens
    assert lists.cosines.shape == lists.members.shape
    assert np.all(np.abs(lists.cosines) <= 1.0)
    assert lists.cosines[lists.answers].mean() > lists.cosines[~lists.answers].mean()


def test_the_draw_is_the_same_every_time(lists: Lists) -> None:
    chosen = choose(PAIRS, SETTINGS)
    again = mine(chosen, SETTINGS, load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER), BiEncoder())
    assert again.members.tolist() == lists.members.tolist()


def test_lists_are_read_as_they_were_written(lists: Lists, tmp_path: Path) -> None:
    lists.save(tmp_path / "lists.npz")
    read = Lists.load(tmp_path / "lists.npz")
    assert [row.tolist() for row in read.documents] == [row.tolist() for row in lists.documents]
    assert [row.tolist() for row in read.queries] == [row.tolist() for row in lists.queries]
    for name in ("members", "answers", "cosines", "sources"):
        assert np.array_equal(getattr(read, name), getattr(lists, name))


def test_the_settings_of_the_recipe_are_whole() -> None:
    settings = read_settings()
    assert settings.lists.size == 12
    assert list(settings.stages) == ["scoring", "layers"]


@pytest.mark.parametrize(("line", "with_"), [("seed = 0", ""), ("seed = 0", "seed = 0\nsead = 1")])
def test_a_setting_that_is_missing_or_unknown_is_named(tmp_path: Path, line: str, with_: str) -> None:
    text = FILE.read_text()
    (tmp_path / "settings.toml").write_text(text.replace(line, with_, 1))
    with pytest.raises(InvalidValueError, match=r"sead|seed"):
        read_settings(tmp_path / "settings.toml")
