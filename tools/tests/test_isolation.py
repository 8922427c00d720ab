"""The isolation check finds what would break a package that is installed alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from isolation import Distribution, main, normalised, offences

PYPROJECT = """
[project]
name = "offprints-{slug}"
dependencies = ["numpy>=1.24", "offprints-shared>=0.1,<0.2", "hydra-core"]

[project.optional-dependencies]
test = ["pytest"]
ray = ["ray[default]>=2"]
"""

INSTALLED = {"hydra-core": frozenset({"hydra"}), "numpy": frozenset({"numpy"})}


def package(root: Path, slug: str, source: str = "", tests: str = "") -> Distribution:
    folder = root / ("shared" if slug == "shared" else f"packages/{slug}")
    name = "offprints" if slug == "shared" else slug.replace("-", "_")
    for path, content in {
        folder / "pyproject.toml": PYPROJECT.format(slug=slug),
        folder / "src" / name / "__init__.py": source,
        folder / "tests" / "test_it.py": tests,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Distribution.read(folder)


def messages(root: Path, source: str = "", tests: str = "") -> list[str]:
    ours = [package(root, "shared"), package(root, "one", source, tests), package(root, "other-one")]
    return list(offences(ours[1], ours, INSTALLED))


@pytest.mark.parametrize(
    "source",
    [
        "import os, collections.abc",
        "import numpy as np",
        "from hydra.core import config_store",
        "from offprints.data import Dataset",
        "from one import model\nfrom . import layers",
        "def spread():\n    import ray",
    ],
)
def test_what_is_declared_may_be_imported(tmp_path: Path, source: str) -> None:
    assert messages(tmp_path, source) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import other_one", "imports other_one, another package"),
        ("def lazily():\n    from other_one.model import Net", "imports other_one, another package"),
        ("import torch", "imports torch, which one/pyproject.toml does not declare"),
        (
            "def lazily():\n    import omegaconf",
            "imports omegaconf, which one/pyproject.toml does not declare",
        ),
        ("import pytest", "imports pytest, which one/pyproject.toml does not declare"),
    ],
)
def test_an_offence_is_named_with_its_line(tmp_path: Path, source: str, complaint: str) -> None:
    (found,) = messages(tmp_path, f"import os\n{source}")
    assert complaint in found
    assert f"__init__.py:{2 if source.startswith('import') else 3}: " in found


def test_tests_may_use_the_extras_but_no_other_package(tmp_path: Path) -> None:
    assert messages(tmp_path, tests="import pytest, ray") == []
    assert len(messages(tmp_path, tests="import other_one")) == 1


def test_shared_imports_no_package(tmp_path: Path) -> None:
    package(tmp_path, "one")
    package(tmp_path, "shared", "def f():\n    import one")
    assert main(tmp_path) == 1


def test_a_clean_tree_has_no_offence(tmp_path: Path) -> None:
    package(tmp_path, "shared", "import numpy")
    package(tmp_path, "one", "import offprints")
    assert main(tmp_path) == 0


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("offprints-shared[torch]>=0.1,<0.2", "offprints-shared"),
        ("tomli>=2; python_version < '3.11'", "tomli"),
        ("TensorboardX", "tensorboardx"),
        ("ruamel.yaml", "ruamel-yaml"),
        ("typing_extensions", "typing-extensions"),
    ],
)
def test_names_are_normalised_as_the_package_index_does(requirement: str, name: str) -> None:
    assert normalised(requirement) == name
