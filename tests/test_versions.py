"""The table of tested versions in the documents is that of pyproject.toml and constraints.txt."""

from tests.versions import ROOT, not_lowest, requirements, table


def test_the_table_in_the_documents_is_current() -> None:
    assert table() in (ROOT / "docs" / "versions.md").read_text(), "print it with python -m tests.versions"


def test_every_package_has_a_lowest_version() -> None:
    named = [each for own in requirements(dev=True).values() for each in own]
    assert len(named) > 50
    assert [each.name for each in named if len(each.specifier) != 1] == []


def test_a_package_that_is_not_at_its_lowest_version_is_named() -> None:
    lowest = {"typer": "0.16.0", "onnxruntime": "1.31.0", "torch": "2.13.0"}
    others = {line.split()[0] for line in not_lowest(_Newest(lowest))}
    assert others.isdisjoint(lowest), "1.31 is the export's, and torch cannot be installed at its lowest"
    assert "numpy" in others


class _Newest(dict[str, str]):
    """Versions of which all that are not given are far too high."""

    def __missing__(self, name: str) -> str:
        return "9999"
