"""Texts in languages that a model cannot read are found, and no others."""

import json
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rerank_plugins.models.source import EMBEDDED_FOLDER
from rerank_plugins.text.function_words import FUNCTION_WORDS, LETTERS
from rerank_plugins.text.language import LanguageCheck, Readable, unreadable_message
from rerank_plugins.text.languages import LANGUAGES, language_code, name_of_script
from rerank_plugins.text.scripts import SCRIPTS, main_script, scripts_of_vocabulary
from tests.tiny_models import unigram, word_piece

ENGLISH = LanguageCheck({}, ["en"])

FOREIGN = {
    "German": [
        "Wo liegt die Hauptstadt von Frankreich?",
        "Der Hund schläft im Garten hinter dem Haus.",
        "Wie kann ich mein Passwort zurücksetzen?",
        "DIE HAUPTSTADT VON FRANKREICH IST PARIS.",
    ],
    "French": ["Quelle est la capitale de la France ?", "Le chat dort sur la table de la cuisine."],
    "Spanish": ["¿Cuál es la capital de Francia hoy?", "El perro duerme en el jardín de la casa."],
    "Italian": [
        "Qual è la capitale della Francia?",
        "Il gatto dorme sul tavolo della cucina.",
        "Roma è la città più grande del paese.",
    ],
    "Portuguese": ["Qual é a maior cidade da França?", "O gato dorme na mesa da cozinha."],
    "Dutch": ["Wat is de hoofdstad van Frankrijk?", "De kat slaapt op de tafel in de keuken."],
    "Polish": ["Jaka jest stolica Francji i Niemiec?", "Kot śpi na czerwonym stole w kuchni."],
    "Turkish": ["Fransa'nın başkenti neresidir ve nüfusu kaçtır?", "İstanbul ülkenin en büyük şehridir."],
    "Vietnamese": ["Thủ đô của nước Pháp là gì?", "Con mèo đang ngủ trên bàn trong bếp."],
    "Indonesian": ["Kucing itu sedang tidur di atas meja dapur."],
    "Swedish": ["Var ligger huvudstaden i Frankrike och vad heter den?"],
    "Romanian": ["Care este capitala Franței și a Germaniei?"],
    "Cyrillic script": [
        "столица Франции",
        "Париж является главным городом Французской Республики.",
        "Кот спит на столе.",
    ],
    "Greek": ["πρωτεύουσα της Γαλλίας"],
    "Arabic script": ["عاصمة فرنسا هي باريس"],
    "Hebrew": ["החתול ישן על השולחן"],
    "Devanagari script": ["बिल्ली मेज पर सो रही है"],
    "Thai": ["แมวนอนอยู่บนโต๊ะ"],
    "Korean": ["프랑스의 수도는 파리"],
    "Japanese": ["フランスの首都はどこですか", "猫がテーブルの上で寝ている"],
    "Chinese": ["今天天气很好。", "法国的首都是哪里", "如何在 Kubernetes 中部署服务"],
}

READ = [
    "what is the capital of France",
    "Angela Merkel met Emmanuel Macron in Berlin",
    "Volkswagen and Deutsche Bank joined the Bundesverband der Deutschen Industrie in Berlin.",
    "List of works: Die Zauberflöte, Der Freischütz and Das Rheingold were performed at the opera house.",
    "Ludwig van Beethoven and Johann Sebastian Bach",
    "Guillermo del Toro movies",
    "Paris Saint-Germain vs Olympique de Marseille results",
    "São Tomé and Príncipe population",
    "The Soviet Union (Russian: Сове́тский Сою́з) was a state, and Xi Jinping (习近平) leads another.",
    "what does je ne sais quoi mean",
    "de novo protein design",
    "who founded mission nuestra senora de la soledad",
    "yo la tengo theres a riot going on release date",
    "crème brûlée recipe",
    "El Niño",
    "was Hitler in Vienna",
    "RESET PASSWORD WINDOWS 11 ENTERPRISE EDITION",
    "iPhone 15 Pro Max 256 GB",
    "d41d8cd98f00b204e9800998ecf8427e da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "Pneumonoultramicroscopicsilicovolcanoconiosis",
    "https://www.example.com/de/die/der/das?id=3&la=le",
    "for i in range(10): del a[i]; os.path.join(el, de)",
    '{"id": 1, "name": "a", "tags": ["x", "y"], "la": null}',
    "| 12 | 34.5 | 1,000 | 3 % | 2024-01-02 |",
    "E = mc² ± Δx·Δp ≥ ħ/2, ∑ α² + β² = γ², where μ ≈ σ",
    "α β γ δ ε ζ η θ",
    "😀😃😄😁😆😅🤣😂🙂🙃" * 40,
    "half a character \ud835 from a PDF",
    "π",
    "\n \t",
    "",
]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOREIGN.items() for text in texts])
def test_an_english_model_does_not_read_other_languages(name: str, text: str) -> None:
    assert ENGLISH.unreadable(text) == name


@pytest.mark.parametrize("text", READ)
def test_an_english_model_reads_english_and_what_is_no_language(text: str) -> None:
    assert ENGLISH.unreadable(text) is None


def test_the_majority_of_letters_decides() -> None:
    english, russian = "The cat sleeps on the table. ", "Кошка спит на столе. "
    assert ENGLISH.unreadable(english * 3 + russian) is None
    assert ENGLISH.unreadable(english + russian * 3) == "Cyrillic script"


def test_letters_may_be_written_in_parts() -> None:
    """As PDFs and macOS write them: a letter, then its accent."""
    assert ENGLISH.unreadable("Fransa'nın başkenti neresidir ve nüfusu kac\u0327tır?") == "Turkish"


def test_a_long_text_is_judged_by_its_beginning_and_its_middle() -> None:
    assert ENGLISH.unreadable("1 2 3 4 5 " * 40 + "Кошка спит на столе. " * 40) == "Cyrillic script"


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    named = ENGLISH.unreadable(text)
    assert named is None or named.strip()


@pytest.mark.parametrize("languages", [["de"], ["de", "en"], ["de-AT"], ["DE", "zh-Hans"]])
def test_a_model_reads_the_languages_that_it_declares(languages: list[str]) -> None:
    check = LanguageCheck({}, languages)
    assert [check.unreadable(text) for text in FOREIGN["German"]] == [None] * len(FOREIGN["German"])
    assert check.unreadable(FOREIGN["French"][0]) == "French"


def test_a_chinese_model_does_not_read_english_or_japanese() -> None:
    check = LanguageCheck({}, ["zh"])
    assert check.unreadable("What is the capital of France and of Germany?") == "English"
    assert check.unreadable("猫がテーブルの上で寝ている") == "Japanese"
    assert check.unreadable("iPhone 15 Pro Max 256 GB") is None
    assert [check.unreadable(text) for text in FOREIGN["Chinese"]] == [None] * 3


def test_languages_of_one_script_are_told_apart_in_latin_script_alone() -> None:
    assert LanguageCheck({}, ["ru"]).unreadable("Кіт спить на столі в кухні.") is None


def test_a_declared_language_without_a_list_of_words_is_never_taken_for_another() -> None:
    check = LanguageCheck({}, ["en", "gl"])
    assert check.unreadable("Cal é a capital de Francia e de Alemaña?") is None
    assert check.unreadable("столица Франции") == "Cyrillic script"


def test_a_declared_language_that_nobody_knows_leaves_the_script_to_the_vocabulary() -> None:
    check = LanguageCheck(Tokenizer.from_file(str(EMBEDDED_FOLDER / "tokenizer.json")), ["en", "xx"])
    assert check.readable == Readable(("en", "xx"), frozenset({"Latin"}))
    assert check.unreadable("столица Франции") == "Cyrillic script"


def test_an_english_vocabulary_reads_no_script_that_it_holds_letters_of() -> None:
    tokenizer = Tokenizer.from_file(str(EMBEDDED_FOLDER / "tokenizer.json"))
    assert {"я", "א", "ע", "ا", "中"} <= tokenizer.get_vocab().keys()
    check = LanguageCheck(tokenizer)
    assert check.readable == Readable(None, frozenset({"Latin"}))
    assert check.unreadable("столица Франции") == "Cyrillic script"
    assert check.unreadable("Wo liegt die Hauptstadt von Frankreich?") is None  # It declares no languages.


def vocabulary(*words: str, latin: int = 2000, prefix: str = "") -> dict[str, int]:
    """A vocabulary of English pieces and of some others."""
    return {word: place for place, word in enumerate([*(f"{prefix}word{n}" for n in range(latin)), *words])}


def words_of(first: str, count: int) -> list[str]:
    """Many different words of two letters, starting at a given letter of a script."""
    return [chr(ord(first) + n // 20) + chr(ord(first) + n % 20) for n in range(count)]


@pytest.mark.parametrize(
    ("pieces", "scripts"),
    [
        (words_of("а", 400), {"Cyrillic"}),
        ([f"##{word}" for word in words_of("а", 400)], {"Cyrillic"}),
        ([f"▁{word}" for word in words_of("α", 400)], {"Greek"}),
        ([chr(0x430 + n) for n in range(32)] + [f"##{chr(0x430 + n)}" for n in range(32)], set()),
        ([chr(0x4E00 + n) for n in range(5000)], {"Han"}),
        ([chr(0x4E00 + n) for n in range(400)] + [f"##{chr(0x4E00 + n)}" for n in range(400)], set()),
        (words_of("가", 400) + words_of("あ", 400), {"Hangul", "Kana"}),
    ],
)
def test_scripts_of_a_vocabulary(pieces: list[str], scripts: set[str]) -> None:
    assert scripts_of_vocabulary(vocabulary(*pieces)) == frozenset({"Latin", *scripts})


def byte_level(words: list[str]) -> list[str]:
    """Write words as byte-level vocabularies do (GPT-2, `bytes_to_unicode`)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(0x100 + n) for n, byte in enumerate(others)}
    return ["".join(letters[byte] for byte in f" {word}".encode()) for word in words]


def test_a_byte_level_vocabulary_of_few_scripts_reads_those() -> None:
    pieces = vocabulary(*byte_level(words_of("а", 400)), prefix="Ġ")
    assert scripts_of_vocabulary(pieces) == frozenset({"Latin", "Cyrillic"})


def test_a_byte_level_vocabulary_of_many_scripts_may_read_any() -> None:
    words = [word for first in "аابא" for word in words_of(first, 200)]
    check = LanguageCheck(vocabulary(*byte_level([*words, *words_of("ก", 200)]), prefix="Ġ"))
    assert check.readable == Readable(None, None)
    assert check.unreadable("πρωτεύουσα της Γαλλίας") is None


@pytest.mark.parametrize("tokenizer", [word_piece, unigram])
def test_a_vocabulary_too_small_to_tell_is_not_judged(tokenizer: Callable[[], Tokenizer]) -> None:
    assert LanguageCheck(tokenizer()).unreadable("столица Франции") is None


def test_the_embedded_model_declares_english() -> None:
    config = json.loads((EMBEDDED_FOLDER / "config.json").read_text())
    assert config["rerank_plugins"]["languages"] == ["en"]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("東京の天気", "Kana"),
        ("ＡＢＣＤＥ", "Latin"),
        ("12345", None),
        ("٠١٢٣٤٥", None),
        ("Το Internet", "Latin"),
        ("𠀀𠀁", "Han"),
        ("ᠮᠣᠩᠭᠣᠯ", "Mongolian"),
    ],
)
def test_main_script(text: str, script: str | None) -> None:
    assert main_script(text) == script


@pytest.mark.parametrize(
    ("tag", "code"), [("pt-BR", "pt"), ("zh_Hans", "zh"), ("EN", "en"), ("nn", "no"), ("xx", "xx")]
)
def test_language_code(tag: str, code: str) -> None:
    assert language_code(tag) == code


def test_the_tables_agree() -> None:
    assert FUNCTION_WORDS.keys() == LETTERS.keys() <= LANGUAGES.keys()
    assert all(word == word.lower() for words in FUNCTION_WORDS.values() for word in words)
    assert {script for language in LANGUAGES.values() for script in language.scripts} <= set(SCRIPTS)


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("Han", "Chinese"),
        ("Hangul", "Korean"),
        ("Cyrillic", "Cyrillic script"),
        ("Thai", "Thai"),
        ("Gurmukhi", "Punjabi"),
    ],
)
def test_name_of_script(script: str, name: str) -> None:
    assert name_of_script(script) == name


def test_the_message_names_languages_and_remedy() -> None:
    english = Readable(("en",), frozenset({"Latin"}))
    assert unreadable_message("embedded", Counter({"German": 1}), english) == (
        "1 text is in German, which 'embedded' does not read (it reads English). Its score means little. Use a "
        "multilingual model such as BAAI/bge-reranker-v2-m3."
    )
    assert unreadable_message("m", Counter({"Chinese": 2, "German": 5}), Readable(("en", "fr", "xx"), None)) == (
        "7 texts are in German (5) and Chinese (2), which 'm' does not read (it reads English, French and xx). Their "
        "scores mean little. Use a multilingual model such as BAAI/bge-reranker-v2-m3."
    )


def test_the_message_does_not_advise_one_multilingual_model_in_place_of_another() -> None:
    scripts = frozenset({"Latin", "Cyrillic", "Greek", "Han", "Thai"})
    assert unreadable_message("m", Counter({"Tibetan": 3}), Readable(None, scripts)) == (
        "3 texts are in Tibetan, which the vocabulary of 'm' does not cover. Their scores mean little. Use a model "
        "trained on Tibetan."
    )
