"""Terms in every script, and what BM25 finds with them."""

import pytest

from rerank_plugins import InvalidValueError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.first_stage import retrieve_with_bm25
from rerank_plugins.evaluation.terms import split_terms
from rerank_plugins.reading.passages import Passage


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Don't stop, x_y 42!", ["don", "stop", "x_y", "42"]),
        ("AI技术 is 好", ["ai", "技术", "is", "好"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("한국어를", ["한국", "국어", "어를"]),
        ("ที่ง่าย", ["ที่ง่", "ง่า", "าย"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 naïve", ["café", "naïve"]),
        ("２０２４ ﾊﾛｰ", ["2024", "ハロ", "ロー"]),
        ("😀 !!!", []),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert split_terms(text) == terms


def collection(documents: list[str], *queries: str) -> Dataset:
    passages = {str(place): Passage(str(place), "", text) for place, text in enumerate(documents)}
    return Dataset("scripts", passages, dict(zip("abc", queries, strict=False)), {}, None)


@pytest.mark.parametrize(
    ("documents", "query"),
    [
        (["面包是在烤箱里烤的。", "北京是中国的首都。", "巴黎是法国的首都。"], "法国的首都在哪里"),
        (["パンはオーブンで焼く。", "東京は日本の首都です。", "パリはフランスの首都です。"], "フランスの首都はどこ"),
        (["빵은 오븐에서 굽는다.", "서울은 한국의 수도이다.", "파리는 프랑스의 수도이다."], "프랑스 수도는 어디"),
        (["ขนมปังอบในเตาอบ", "กรุงเทพเป็นเมืองหลวงของไทย", "ปารีสเป็นเมืองหลวงของฝรั่งเศส"], "เมืองหลวงของฝรั่งเศส"),
        (["रोटी पकाई जाती है", "दिल्ली भारत की राजधानी है", "पेरिस फ्रांस की राजधानी है"], "फ्रांस की राजधानी क्या है"),
        (["Хлеб пекут.", "Берлин это столица Германии.", "Париж это столица Франции."], "столица Франции"),
    ],
)
def test_bm25_finds_the_answer_in_every_script(documents: list[str], query: str) -> None:
    assert retrieve_with_bm25(collection(documents, query), 3)["a"][0] == "2"


def test_bm25_retrieves_nothing_for_a_query_without_a_match() -> None:
    run = retrieve_with_bm25(collection(["bread", "hamlet"], "bread", "😀", "photosynthesis"), 2)
    assert run == {"a": ["0"], "b": [], "c": []}


def test_bm25_needs_words() -> None:
    with pytest.raises(InvalidValueError, match="BM25 finds no words in the corpus of 'scripts'"):
        retrieve_with_bm25(collection(["😀", "!"], "bread"), 2)
