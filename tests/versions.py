"""The versions of dependencies that the tests run with: `python -m tests.versions` prints the table for the docs."""

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from tomllib import loads

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
# `make test-floors` cannot install these at their lowest: see the Makefile and docs/versions.md.
_NOT_TESTED_AT_LOWEST = {"torch"}


def requirements(*, dev: bool = False) -> dict[str, list[Requirement]]:
    """Read the packages that pyproject.toml names, by extra; "core" are those that are always installed."""
    project = loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {"core": project["dependencies"], **project["optional-dependencies"]}
    named = {
        extra: [each for each in map(Requirement, lines) if canonicalize_name(each.name) != project["name"]]
        for extra, lines in extras.items()
        if dev or extra != "dev"
    }
    return {extra: own for extra, own in named.items() if own}


def lowest(requirement: Requirement) -> str:
    """Return the lowest version that a requirement allows."""
    (bound,) = (each.version for each in requirement.specifier if each.operator in (">=", "=="))
    return bound


def pinned() -> dict[str, str]:
    """Read the version of each package in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name): own for name, own in pins}


def table() -> str:
    """Write one row for each package of each extra."""
    pins = pinned()
    rows = [
        f"| {extra} | {each.name} | {lowest(each)} | {pins[canonicalize_name(each.name)]} |"
        for extra, own in requirements().items()
        for each in own
    ]
    return "\n".join(["| extra | package | lowest | constraints.txt |", "|---|---|---|---|", *rows])


def not_lowest(installed: Mapping[str, str]) -> Iterator[str]:
    """Tell which packages are installed in another version than the lowest that any of their extras needs."""
    floors: dict[str, Version] = {}
    for own in requirements(dev=True).values():
        for each in own:
            name = canonicalize_name(each.name)
            floors[name] = max(Version(lowest(each)), floors.get(name, Version("0")))
    for package, floor in floors.items():
        if package not in _NOT_TESTED_AT_LOWEST and Version(installed[package]) != floor:
            yield f"{package} {installed[package]} is installed, and pyproject.toml allows {floor}."


def main() -> None:
    """Print the table; with --check, compare what is installed here with the lowest versions instead."""
    if "--check" not in sys.argv:
        print(table())
        return
    names = {canonicalize_name(each.name) for own in requirements(dev=True).values() for each in own}
    if wrong := list(not_lowest({name: version(name) for name in names})):
        sys.exit("\n".join([*wrong, "Raise the lowest version in pyproject.toml to the one that is installed."]))


if __name__ == "__main__":
    main()
