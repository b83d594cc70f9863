"""What `mkdocs build` does to each page: links that leave docs/ lead to the repository, and options become tables."""

# ruff: noqa: INP001  (mkdocs loads it by its path)

import posixpath
import re
from typing import Any

from rerank_plugins import options
from rerank_plugins.options.declaration import options_of

_OPTIONS = re.compile(r"<!-- options: (\w+) -->")
_LEAVES_DOCS = re.compile(r"\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Turn `](../training/README.md)` into the address of that file; in a clone the link works as it is."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def address(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        return f"]({config.extra['repository']}/blob/main/{path})"

    return _OPTIONS.sub(_table, _LEAVES_DOCS.sub(address, markdown))


def _table(match: re.Match[str]) -> str:
    """Turn `<!-- options: RerankConfig -->` into a table of its options."""
    rows = [
        f"| `{option.name}` | `{option.default!r}` | {option.description} |"
        for option in options_of(getattr(options, match[1]))
    ]
    return "\n".join(["| option | default | |", "|---|---|---|", *rows])
