"""What `mkdocs build` does to each page: links that leave docs/ lead to the repository's own page of that file."""

# ruff: noqa: INP001  (mkdocs loads it by its path)

import posixpath
import re
from typing import Any

_LEAVES_DOCS = re.compile(r"\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Turn `](../training/README.md)` into the address of that file; in a clone the link works as it is."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def address(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        return f"]({config.extra['repository']}/blob/main/{path})"

    return _LEAVES_DOCS.sub(address, markdown)
