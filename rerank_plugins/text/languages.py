"""Languages by their ISO 639-1 code: the name and the scripts that each is written in."""

from typing import NamedTuple


class Language(NamedTuple):
    """A language.

    Attributes:
        name: Its English name.
        scripts: The scripts that it is written in, as `scripts.main_script` names them.
    """

    name: str
    scripts: tuple[str, ...]


_LATIN = {
    "af": "Afrikaans", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fi": "Finnish", "fr": "French", "ga": "Irish",
    "gl": "Galician", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "lt": "Lithuanian", "lv": "Latvian", "ms": "Malay", "nl": "Dutch", "no": "Norwegian", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "sk": "Slovak", "sl": "Slovenian", "so": "Somali", "sq": "Albanian",
    "sv": "Swedish", "sw": "Swahili", "tl": "Tagalog", "tr": "Turkish", "vi": "Vietnamese", "yo": "Yoruba",
}  # fmt: skip
_OTHERS = {
    "am": ("Amharic", "Ethiopic"), "ar": ("Arabic", "Arabic"), "az": ("Azerbaijani", "Latin", "Cyrillic"),
    "be": ("Belarusian", "Cyrillic"), "bg": ("Bulgarian", "Cyrillic"), "bn": ("Bengali", "Bengali"),
    "el": ("Greek", "Greek"), "fa": ("Persian", "Arabic"), "gu": ("Gujarati", "Gujarati"), "he": ("Hebrew", "Hebrew"),
    "hi": ("Hindi", "Devanagari"), "hy": ("Armenian", "Armenian"), "ja": ("Japanese", "Kana", "Han"),
    "ka": ("Georgian", "Georgian"), "kk": ("Kazakh", "Cyrillic", "Latin"), "km": ("Khmer", "Khmer"),
    "kn": ("Kannada", "Kannada"), "ko": ("Korean", "Hangul"), "lo": ("Lao", "Lao"), "mk": ("Macedonian", "Cyrillic"),
    "ml": ("Malayalam", "Malayalam"), "mn": ("Mongolian", "Cyrillic", "Mongolian"), "mr": ("Marathi", "Devanagari"),
    "my": ("Burmese", "Burmese"), "ne": ("Nepali", "Devanagari"), "or": ("Odia", "Odia"),
    "pa": ("Punjabi", "Gurmukhi", "Arabic"), "ru": ("Russian", "Cyrillic"), "si": ("Sinhala", "Sinhala"),
    "sr": ("Serbian", "Cyrillic", "Latin"), "ta": ("Tamil", "Tamil"), "te": ("Telugu", "Telugu"),
    "th": ("Thai", "Thai"), "uk": ("Ukrainian", "Cyrillic"), "ur": ("Urdu", "Arabic"),
    "uz": ("Uzbek", "Latin", "Cyrillic"), "zh": ("Chinese", "Han"),
}  # fmt: skip
LANGUAGES = {code: Language(name, ("Latin",)) for code, name in _LATIN.items()} | {
    code: Language(name, tuple(scripts)) for code, (name, *scripts) in _OTHERS.items()
}

# Other codes of the same languages; Bokmål and Nynorsk are two ways to write Norwegian.
_ALIASES = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "fil": "tl", "cmn": "zh", "yue": "zh"}

# Scripts that many languages share keep their own name; of the others nearly all texts are in one language.
_SHARED = ("Latin", "Cyrillic", "Arabic", "Devanagari", "Ethiopic", "Mongolian")
_NAMES = {"Han": "Chinese", "Kana": "Japanese", "Hangul": "Korean", "Gurmukhi": "Punjabi"}


def name_of_script(script: str) -> str:
    """Name a script for people, by its language where it has one.

    Example:
        >>> name_of_script("Han"), name_of_script("Cyrillic"), name_of_script("Thai")
        ('Chinese', 'Cyrillic script', 'Thai')
    """
    return f"{script} script" if script in _SHARED else _NAMES.get(script, script)


def language_code(tag: str) -> str:
    """Reduce a language tag to the code that `LANGUAGES` knows, if it knows the language.

    Example:
        >>> language_code("pt-BR"), language_code("zh_Hans"), language_code("nb")
        ('pt', 'zh', 'no')
    """
    code = tag.replace("_", "-").split("-")[0].lower()
    return _ALIASES.get(code, code)
