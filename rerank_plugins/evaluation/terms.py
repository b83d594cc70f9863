"""Split text into search terms: words, and pairs of characters where a script does not separate words by spaces."""

import unicodedata
from itertools import pairwise

from rerank_plugins.extras import extra

with extra("evaluation", provides="regex"):
    import regex

# Chinese, Japanese and Korean, and the scripts of Southeast Asia (Thai, Lao, Khmer, Burmese), which Unicode says need a
# dictionary to find the words in. The long-vowel mark belongs to several scripts.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Line_Break=Complex_Context}\u30fc"
_RUN = regex.compile(rf"(?V1)(?P<unspaced>[{_UNSPACED}]+)|(?P<word>[\w--[{_UNSPACED}]]{{2,}})")
_CHARACTER = regex.compile(r"\X")


def split_terms(text: str) -> list[str]:
    """Split a text into terms, in lower case and Unicode's composed form (NFKC).

    Words have two characters or more. A run of Chinese, Japanese, Korean or Southeast Asian characters becomes its
    overlapping pairs, as in Lucene's CJKAnalyzer; one such character alone is a term.

    Args:
        text: Any text.

    Examples:
        >>> split_terms("The capital of France: 法国的首都")
        ['the', 'capital', 'of', 'france', '法国', '国的', '的首', '首都']
    """
    terms: list[str] = []
    for run in _RUN.finditer(unicodedata.normalize("NFKC", text).lower()):
        characters = _CHARACTER.findall(run["unspaced"] or "")
        if len(characters) > 1:
            terms.extend(one + other for one, other in pairwise(characters))
        else:
            terms.append(run[0])
    return terms
