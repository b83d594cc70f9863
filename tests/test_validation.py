"""Bad input is refused with the value and the remedy; broken characters are replaced and counted."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from langchain_core.documents import Document
from llama_index.core.schema import TextNode

from rerank_plugins import InvalidTypeError, InvalidValueError
from rerank_plugins.validation import (
    check_documents,
    check_list,
    check_lists,
    check_pairs,
    check_score_threshold,
    valid_unicode,
)


class TestDocuments:
    """Collections of strings are accepted; for objects that look like one, the error names the remedy."""

    @pytest.mark.parametrize(
        "documents", [["a", "b"], ("a", "b"), pd.Series(["a", "b"]), np.array(["a", "b"]), np.array(["a", "b"], object)]
    )
    def test_lists_and_columns_of_strings(self, documents: Any) -> None:
        checked = check_documents(documents)
        assert checked == ["a", "b"]
        assert {type(each) for each in checked} == {str}

    @pytest.mark.parametrize(
        ("documents", "message"),
        [
            (pd.DataFrame({"title": ["a"], "body": ["b"]}), r"Pass the column .*The columns are: 'title', 'body'"),
            ({"d1": "a"}, r"Pass its texts, list\(documents.values\(\)\)"),
            ("one text", r"For one document pass \[document\]"),
            ({"a", "b"}, r"Pass list\(documents\): `index` in the results refers to places"),
            ((each for each in "ab"), r"got generator.*Pass list\(documents\)"),
            (None, "documents must be a list of strings, got None"),
            (np.array([["a", "b"]]), "got ndarray"),
        ],
    )
    def test_other_collections(self, documents: Any, message: str) -> None:
        with pytest.raises(InvalidTypeError, match=message):
            check_documents(documents)

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            (Document(page_content="a"), r"use RerankCompressor, or pass \[each.page_content for each in documents\]"),
            (TextNode(text="a"), r"use RerankPostprocessor, or pass \[each.get_content\(\) for each in documents\]"),
            ({"text": "a"}, r"Pass \[each\['text'\] for each in documents\]"),
            ({"body": "a"}, r"Pass \[each\['body'\] for each in documents\]"),
            (math.nan, r"It is a missing value: drop it, or fill it with ''"),
            (b"a", r"Decode it first: bytes.decode\(\)"),
            (3, r"documents\[1\] must be a string, got int 3\.$"),
        ],
    )
    def test_other_documents(self, document: Any, message: str) -> None:
        with pytest.raises(InvalidTypeError, match=message):
            check_documents(["a", document])


class TestBrokenCharacters:
    """PDF extractors and JavaScript leave halves of surrogate pairs in texts."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("The pump \ud835 must be primed.", "The pump \ufffd must be primed."),
            ("\ud835\udc00", "\U0001d400"),
            ("\udc00\ud835", "\ufffd\ufffd"),
            ("as it is, 苹果 🦊", "as it is, 苹果 🦊"),
        ],
    )
    def test_halves_are_joined_or_replaced(self, text: str, expected: str) -> None:
        assert valid_unicode(text) == expected

    def test_texts_that_changed_are_counted(self) -> None:
        checked, replaced = check_list("who \ud835", ["a", "b \ud835", "c \ud835"], None)
        assert (checked.query, checked.documents, replaced) == ("who \ufffd", ["a", "b \ufffd", "c \ufffd"], 3)
        assert check_list("who", pd.Series(["a", "b \ud835"], dtype=object), None)[1] == 1
        assert check_list("who", ["a", "b"], None)[1] == 0
        lists, count = check_pairs([("who", "a \ud835"), ("what \ud835", "b")], None)
        assert ([each.query for each in lists], count) == (["who", "what \ufffd"], 2)

    def test_an_instruction_that_changed_is_counted(self) -> None:
        checked, replaced = check_list("who", ["a"], "find \ud835")
        assert (checked.instruction, replaced) == ("find \ufffd", 1)
        lists, count = check_pairs([("who", "a"), ("what", "b")], "find \ud835")
        assert ([each.instruction for each in lists], count) == (["find \ufffd"] * 2, 1)


def test_lists_name_the_one_that_is_wrong() -> None:
    with pytest.raises(InvalidTypeError, match=r"documents\[1\]\[0\] must be a string, got int 3"):
        check_lists(["a", "b"], [["a"], [3]], None)
    with pytest.raises(InvalidValueError, match=r"query\[1\] is empty or blank"):
        check_lists(["a", " "], [["a"], ["b"]], None)
    with pytest.raises(InvalidValueError, match="2 queries and 1 lists of documents"):
        check_lists(["a", "b"], [["a"]], None)
    with pytest.raises(InvalidTypeError, match="queries must be a list with one entry a query, got str 'ab'"):
        check_lists("ab", [["a"], ["b"]], None)


@pytest.mark.parametrize(("threshold", "expected"), [(10**400, math.inf), (-(10**400), -math.inf), (1, 1.0)])
def test_thresholds_beyond_any_float(threshold: int, expected: float) -> None:
    assert check_score_threshold(threshold) == expected
