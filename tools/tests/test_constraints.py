"""constraints.txt pins every declared dependency, and each name once."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from packaging.requirements import Requirement

from isolation import normalised

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_a_name_stands_once_for_each_python() -> None:
    for python in ("3.10", "3.11", "3.12", "3.13"):
        meant = [
            one for one in pins() if one.marker is None or one.marker.evaluate({"python_version": python})
        ]
        twice = [name for name, count in Counter(normalised(one.name) for one in meant).items() if count > 1]
        assert twice == []


def test_every_declared_dependency_is_pinned() -> None:
    # Which triton goes with a torch, torch itself says; setuptools is old and alike wherever PyGSP asks for it.
    pinned = {normalised(one.name) for one in pins()} | {"triton", "setuptools"}
    missing = set()
    for path in (ROOT / "shared" / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        lines = [
            *project["dependencies"],
            *(one for extra in project["optional-dependencies"].values() for one in extra),
        ]
        missing |= {name for name in map(normalised, lines) if not name.startswith("offprints-")} - pinned
    assert missing == set()
