"""CI tests the packages that a change touches, on the Pythons that they support."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import jobs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, python in {
        "shared": ">=3.10",
        "packages/one": ">=3.10,<3.12",
        "packages/two": ">=3.12",
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pyproject.toml").write_text(f'[project]\nrequires-python = "{python}"\n')
    return tmp_path


def names(found: list[dict[str, str]]) -> list[str]:
    return [f"{job['package']} {job['python']}" for job in found]


def test_a_package_is_tested_on_the_pythons_that_it_supports(root: Path) -> None:
    assert names(jobs(root, ["packages/one/src/one/model.py"])) == ["one 3.10", "one 3.11"]
    assert names(jobs(root, ["packages/two/README.md"])) == ["two 3.12", "two 3.13"]


@pytest.mark.parametrize(
    "path", ["shared/src/offprints/app.py", "constraints.txt", "noxfile.py", ".github/workflows/ci.yml"]
)
def test_what_all_depend_on_touches_all(root: Path, path: str) -> None:
    assert {job["package"] for job in jobs(root, [path])} == {"shared", "one", "two"}


def test_an_unknown_base_touches_all(root: Path) -> None:
    assert {job["package"] for job in jobs(root, None)} == {"shared", "one", "two"}


def test_docs_and_removed_packages_touch_none(root: Path) -> None:
    assert jobs(root, ["docs/index.md", "packages/gone/src/gone/__init__.py"]) == []
