"""Measure the package's structure: sizes, and the modules between a query and its scores, and a name and its model."""

import ast
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import rerank_plugins

PACKAGE = Path(rerank_plugins.__file__).parent
MOST_FIELDS, MOST_METHODS, MOST_LINES, LONGEST_FILE = 7, 20, 40, 250
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> None:
    """Print all measurements."""
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
    _print("classes with more than 7 fields or 20 methods", _large_classes(trees))
    _print("functions over 40 lines", _long_functions(trees))
    _print("files over 250 lines", (f"{_name(file)} {_lines(file)}" for file in trees if _lines(file) > LONGEST_FILE))
    from langchain_core.documents import Document

    from rerank_plugins.langchain import RerankCompressor

    _print("from a model's name to a loaded model", _traced(RerankCompressor))
    compressor = RerankCompressor()
    documents = [Document(page_content=text) for text in ("Bread is baked.", "Shakespeare wrote Hamlet.")]
    way = _traced(lambda: compressor.compress_documents(documents, "who wrote hamlet"))
    _print("from compress_documents to the scores and back", way)


def _large_classes(trees: dict[Path, ast.Module]) -> Iterator[str]:
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                methods = [each for each in node.body if isinstance(each, _FUNCTIONS)]
                fields = _fields(node, methods)
                if len(fields) > MOST_FIELDS or len(methods) > MOST_METHODS:
                    yield f"{_name(file)} {node.name}: {len(fields)} fields, {len(methods)} methods"


def _fields(node: ast.ClassDef, methods: list[ast.FunctionDef | ast.AsyncFunctionDef]) -> set[str]:
    """Return the fields that a class declares or that its methods assign to `self`."""
    declared = {
        each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    assigned = {
        each.attr
        for method in methods
        for each in ast.walk(method)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }
    return declared | assigned


def _long_functions(trees: dict[Path, ast.Module]) -> Iterator[str]:
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTIONS):
                docstring = ast.get_docstring(node, clean=False) or ""
                lines = (node.end_lineno or 0) - node.lineno + 1 - docstring.count("\n") - bool(docstring)
                if lines > MOST_LINES:
                    yield f"{_name(file)} {node.name}: {lines} lines without its docstring"


def _traced(work: Callable[[], object]) -> list[str]:
    """Return the modules that a call enters, in order, each with the functions called in it."""
    entered: dict[str, list[str]] = {}

    def profile(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(str(PACKAGE)) and not frame.f_code.co_name.startswith("<"):
            functions = entered.setdefault(_name(Path(file)), [])
            if frame.f_code.co_qualname not in functions:
                functions.append(frame.f_code.co_qualname)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return [f"{module}: {', '.join(functions)}" for module, functions in entered.items()]


def _print(title: str, found: Iterator[str] | list[str]) -> None:
    rows = list(found)
    print(f"\n{title}: {len(rows)}")
    for row in rows:
        print(f"  {row}")


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    main()
