"""A new package is whole, has no word of the template left, and never overwrites anything.

That its own tests, types and wheel are sound is for the jobs to show: `nox -s new`, then the others.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from offprints.paper import Paper

from matrix import pythons
from new_package import new_package

TITLE = "Relational Deep Reinforcement Learning: A Study"


def test_every_word_of_the_template_is_filled_in(tmp_path: Path) -> None:
    files = new_package(tmp_path, "relational-rl", TITLE)
    for path in (file for file in files if file.suffix != ".png"):
        assert not any(
            word in f"{path}{path.read_text()}" for word in ("__slug__", "__import_name__", "__title__")
        )


def test_paths_follow_slug_and_import_name(tmp_path: Path) -> None:
    files = {str(path.relative_to(tmp_path)) for path in new_package(tmp_path, "relational-rl", TITLE)}
    assert {
        "packages/relational-rl/pyproject.toml",
        "packages/relational-rl/src/relational_rl/cli.py",
        "packages/relational-rl/src/relational_rl/conf/experiment/smoke.yaml",
        "packages/relational-rl/tests/test_cli.py",
        "docs/papers/relational-rl.md",
    } <= files


def test_what_is_written_is_python_and_a_paper(tmp_path: Path) -> None:
    for path in new_package(tmp_path, "relational-rl", TITLE):
        if path.suffix == ".py":
            ast.parse(path.read_text())
    assert Paper.read(tmp_path / "packages/relational-rl/paper.toml").title == TITLE
    assert pythons(tmp_path / "packages/relational-rl/pyproject.toml") == ["3.10", "3.11", "3.12", "3.13"]


@pytest.mark.parametrize(
    "slug", ["Conve", "ke_gcn", "a--b", "-a", "a-", "3d", "", "class", "json", "offprints", "../up"]
)
def test_a_slug_that_cannot_be_a_package_is_refused(tmp_path: Path, slug: str) -> None:
    with pytest.raises(ValueError, match="slug"):
        new_package(tmp_path, slug, TITLE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("title", ["", "  ", 'A "Quoted" Title', "two\nlines"])
def test_a_title_that_would_break_toml_is_refused(tmp_path: Path, title: str) -> None:
    with pytest.raises(ValueError, match="title"):
        new_package(tmp_path, "one", title)


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "packages/one/README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text("mine")
    with pytest.raises(ValueError, match="packages/one exists already"):
        new_package(tmp_path, "one", TITLE)
    assert readme.read_text() == "mine"
    assert not (tmp_path / "docs").exists()
