"""The packages are rooms laid out alike: the same files, the same declarations in the same order."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
FIELDS = ("name", "version", "description", "readme", "license", "license-files", "requires-python", "authors", "keywords",
          "classifiers", "dependencies", "optional-dependencies", "scripts")  # fmt: skip
LAST = ["Results", "What is not here"]  # the second only where there is something
each = pytest.mark.parametrize("folder", [ROOT / "shared", *PACKAGES], ids=lambda path: path.name)
each_package = pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)


def declared(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


@each
def test_a_distribution_declares_the_same_fields_in_the_same_order(folder: Path) -> None:
    project = declared(folder)["project"]
    assert [name for name in project if name in FIELDS] == [name for name in FIELDS if name in project]
    assert set(FIELDS) - {"keywords"} <= project.keys() <= {*FIELDS, "entry-points"}
    assert project["name"] == f"offprints-{folder.name}"
    assert project["readme"] == "README.md" and project["license"] == "MIT"
    assert project["requires-python"] == ">=3.10"
    assert {"Programming Language :: Python :: 3", "Typing :: Typed"} <= set(project["classifiers"])


@each
def test_a_distribution_ships_its_licence_types_and_tests(folder: Path) -> None:
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    (source,) = declared(folder)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert (folder / source / "py.typed").exists()
    shipped = declared(folder)["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    present = {
        path.name for path in folder.iterdir() if path.name.startswith(("tests", "benchmarks", "examples"))
    }
    assert {"src", "README.md", "CHANGELOG.md", "LICENSE", *present} <= set(shipped)
    assert all((folder / name).exists() for name in shipped)


@each
def test_a_changelog_begins_with_its_name(folder: Path) -> None:
    first = (folder / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# Changelog of offprints-{folder.name}"


@each_package
def test_a_package_has_the_files_that_a_reader_looks_for(folder: Path) -> None:
    source = folder / "src" / folder.name.replace("-", "_")
    for name in (
        "__init__.py",
        "__main__.py",
        "cli.py",
        "config.py",
        "conf/config.yaml",
        "conf/experiment/smoke.yaml",
    ):
        assert (source / name).is_file(), name
    for name in (
        "README.md",
        "paper.toml",
        "tests/conftest.py",
        "tests/test_cli.py",
        "benchmarks/__main__.py",
    ):
        assert (folder / name).is_file(), name
    readme = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert readme[0] == f"# offprints-{folder.name}"
    assert (ROOT / "docs" / "papers" / f"{folder.name}.md").is_file()


@each_package
def test_a_readme_has_its_parts_in_one_order(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    outside_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    top, *parts = re.split(r"^## ", outside_code, flags=re.MULTILINE)
    names = [part.splitlines()[0] for part in parts]
    assert names[0] == "The API"
    assert names[-2:] == LAST or (names[-1] == "Results" and LAST[1] not in names)
    assert f"`{folder.name} --help`" in top and f"    {folder.name} " in top and "pip install" in top
    results = parts[names.index("Results")]
    assert re.search(r"^!\[[^\]]+\]\(figures/[\w-]+\.png\)$", results, re.MULTILINE)
    assert f"](../../docs/papers/{folder.name}.md)" in results
