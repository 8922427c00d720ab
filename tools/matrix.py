"""The jobs of a CI run as JSON: one for each package that a change touches and each Python that it supports.

    python tools/matrix.py [<commit>]        [{"package": "conve", "python": "3.10"}, ...]

A change to shared/, or to a file outside the packages that every job depends on, touches all. Without a commit that git knows, all
packages have their turn.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
FOR_ALL = ("shared/", "noxfile.py", "constraints.txt", "pyproject.toml", ".github/")


def jobs(root: Path, changed: Iterable[str] | None) -> list[dict[str, str]]:
    """What to run.

    Args:
        root: of the repository.
        changed: paths from the root that differ; None stands for everything.

    Returns:
        One {"package", "python"} per job; "shared" counts as a package.
    """
    packages = {path.parent.name: path for path in sorted(root.glob("packages/*/pyproject.toml"))}
    distributions = {"shared": root / "shared" / "pyproject.toml", **packages}
    touched = set(distributions) if changed is None else _touched(list(changed), set(distributions))
    return [
        {"package": name, "python": python}
        for name, path in distributions.items()
        if name in touched
        for python in pythons(path)
    ]


def pythons(pyproject: Path) -> list[str]:
    """The Pythons that a pyproject.toml allows, of those that we test."""
    wanted = SpecifierSet(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["requires-python"])
    return [python for python in PYTHONS if wanted.contains(f"{python}.99")]


def _touched(changed: list[str], distributions: set[str]) -> set[str]:
    if any(path.startswith(FOR_ALL) for path in changed):
        return distributions
    return {path.split("/")[1] for path in changed if path.startswith("packages/")} & distributions


def _changed_since(root: Path, commit: str) -> list[str] | None:
    """Paths that differ from a commit; None if git does not know it, as after a forced push or on a new branch."""
    command = ["git", "-C", str(root), "diff", "--name-only", f"{commit}...HEAD", "--"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.splitlines() if commit and found.returncode == 0 else None


if __name__ == "__main__":
    ROOT = Path(__file__).parents[1]
    since = sys.argv[1] if len(sys.argv) > 1 else ""
    json.dump(jobs(ROOT, _changed_since(ROOT, since)), sys.stdout)
