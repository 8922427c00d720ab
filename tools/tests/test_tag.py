"""A release tag has to agree with the package that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tag import named


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, name in {"shared": "offprints-shared", "packages/ke-gcn": "offprints-ke-gcn"}.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "0.2.1"\n')
    return tmp_path


def test_a_tag_names_package_and_files(root: Path) -> None:
    assert named("ke-gcn-v0.2.1", root) == {"package": "ke-gcn", "files": "offprints_ke_gcn-0.2.1*"}
    assert named("shared-v0.2.1", root) == {"package": "shared", "files": "offprints_shared-0.2.1*"}


def test_another_version_than_the_packages_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"packages/ke-gcn/pyproject.toml has version 0\.2\.1"):
        named("ke-gcn-v0.3.0", root)


@pytest.mark.parametrize("tag", ["v0.2.1", "ke-gcn", "nothing-v0.2.1", "-v0.2.1"])
def test_a_tag_of_no_package_is_refused(root: Path, tag: str) -> None:
    with pytest.raises(ValueError, match="there is no package"):
        named(tag, root)
