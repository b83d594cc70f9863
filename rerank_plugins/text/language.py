"""Tell when a text is in a language that a model cannot read."""

from collections import Counter
from collections.abc import Sequence

from tokenizers import Tokenizer


class LanguageCheck:
    """What a model can read."""

    def __init__(self, tokenizer: Tokenizer, languages: Sequence[str] | None) -> None:
        pass

    def unreadable(self, text: str) -> str | None:
        """Name the language of a text that the model cannot read; None where it can."""
        return None


def unreadable_message(name: str, languages: Counter[str]) -> str:
    """Say which texts a model cannot read."""
    return f"{name}: {languages}"
