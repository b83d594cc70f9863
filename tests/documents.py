"""The repository's Markdown documents: code blocks, links, and the anchors that links may point to."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("[!.]*/**/*.md"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
# In Markdown, as a reference, and in HTML; what stands behind it is a path, an anchor, or both.
_LINK = re.compile(r"(?:\]\(|^\[[^\]\n]+\]: |(?:src|href)=\")(?![a-z]+:)([^)\s\"#]*)(?:#([^)\s\"]+))?", re.MULTILINE)
# The owners of the models on the Hub that documents load.
_FROM_THE_HUB = re.compile(r'"(BAAI|Qwen)/')


def blocks(document: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a document, in order: language and content."""
    return _BLOCK.findall(document.read_text(encoding="utf-8"))


def runnable(document: Path) -> list[tuple[str, str | None]]:
    """Its Python blocks, each with the text block that follows it, without those that use a model from the Hub."""
    return [(code, shown) for code, shown in followed(document, "python", "text") if not _FROM_THE_HUB.search(code)]


def followed(document: Path, language: str, other: str) -> list[tuple[str, str | None]]:
    """Its blocks in one language, each with the block in the other language that follows it, if there is one."""
    found = blocks(document)
    return [
        (content, after[1] if after[0] == other else None)
        for (own, content), after in zip(found, [*found, ("", "")][1:], strict=False)
        if own == language
    ]


def links(document: Path) -> list[tuple[Path, str]]:
    """Link targets within the repository: a file, and optionally an anchor in it."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCED.sub("", document.read_text(encoding="utf-8")))
    found: list[tuple[str, str]] = _LINK.findall(prose)
    return [(document.parent / path if path else document, anchor) for path, anchor in found]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub generates them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCED.sub("", document.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found
