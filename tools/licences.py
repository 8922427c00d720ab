"""The licences of all that our packages need, as the page docs/licences.md.

    nox -s licences                writes it, from an environment with every package and what they have for tests

A licence is what a distribution says of itself: its SPDX expression, else its classifiers, else the first line of its License field.
What is not installed there, such as an extra for a GPU, keeps the row that the page has.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from isolation import normalised

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OURS = "offprints-"
LONGEST = 60
"""Characters of a License field that is a name and not the text."""
HEAD = """# Licences

Everything here is under the MIT licence. What it needs is listed below, with the version that was looked at and the licence that the
distribution itself states. `nox -s licences` makes this page; a dependency that it lacks fails the tests.
"""


@dataclass(frozen=True, order=True)
class Row:
    """A distribution.

    Attributes:
        name: normalised.
        version: that was looked at.
        licence: as it states it.
        needed_by: our packages, or the distributions, that ask for it.
    """

    name: str
    version: str
    licence: str
    needed_by: str

    @property
    def line(self) -> str:
        """As a line of a table."""
        return f"| {self.name} | {self.version} | {self.licence} | {self.needed_by} |"


def main(root: Path) -> int:
    """Write the page; returns how many licences are not known, each of which is named on stderr."""
    path = root / "docs" / "licences.md"
    before = rows_of(path.read_text(encoding="utf-8")) if path.exists() else {}
    declared = {name: ", ".join(sorted(packages)) for name, packages in declared_in(root).items()}
    rows = [row(name, needed_by, before) for name, needed_by in sorted(declared.items())]
    brought = [row(name, by, before) for name, by in sorted(brought_by(declared).items())]
    path.write_text(page(rows, brought), encoding="utf-8")
    unknown = [one.name for one in (*rows, *brought) if not one.licence]
    for name in unknown:
        sys.stderr.write(f"{name}: not installed, or it states no licence\n")
    sys.stdout.write(
        f"licences: {len(rows)} declared, {len(brought)} brought along, {len(unknown)} unknown\n"
    )
    return len(unknown)


def declared_in(root: Path) -> dict[str, set[str]]:
    """Normalised name of each declared dependency -> those of ours that declare it, with the extra: "ukge[bench]"."""
    found: dict[str, set[str]] = defaultdict(set)
    for folder in (root / "shared", *sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))):
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for line in project.get("dependencies", []):
            found[normalised(line)].add(folder.name)
        for extra, lines in project.get("optional-dependencies", {}).items():
            for line in lines:
                if folder.name not in found[normalised(line)]:
                    found[normalised(line)].add(f"{folder.name}[{extra}]")
    return {name: packages for name, packages in found.items() if not name.startswith(OURS)}


def brought_by(declared: Mapping[str, object]) -> dict[str, str]:
    """What declared distributions need, directly or not, and is installed -> the first, by name, that asks for it."""
    found: dict[str, str] = {}
    waiting = sorted(declared)
    while waiting:
        name = waiting.pop(0)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for asked in sorted(lines):
            requirement = Requirement(asked)
            other = normalised(requirement.name)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            if other not in declared and other not in found and is_installed(other):
                found[other] = name
                waiting.append(other)
    return found


def is_installed(name: str) -> bool:
    """Whether the environment has a distribution."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def row(name: str, needed_by: str, before: Mapping[str, Row]) -> Row:
    """What the environment knows of a distribution, else what the page knew."""
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        known = before.get(name)
        return Row(name, known.version if known else "", known.licence if known else "", needed_by)
    return Row(name, found["Version"].partition("+")[0], licence(found), needed_by)


def licence(found: metadata.PackageMetadata) -> str:
    """What a distribution states; "" if nothing."""
    if "License-Expression" in found:
        return found["License-Expression"]
    listed = [
        one.rpartition(" :: ")[2] for one in found.get_all("Classifier", []) if one.startswith("License ::")
    ]
    if named := [one for one in listed if one != "OSI Approved"]:
        return ", ".join(named)
    first = found["License"].strip().partition("\n")[0] if "License" in found else ""
    return first if 0 < len(first) <= LONGEST and first.upper() != "UNKNOWN" else ""


def page(rows: list[Row], brought: list[Row]) -> str:
    """The page."""
    parts = [HEAD]
    for title, column, some in (
        ("What our packages declare", "needed by", rows),
        ("What these bring along", "by way of", brought),
    ):
        parts.append(
            f"## {title}\n\n| distribution | version | licence | {column} |\n| --- | --- | --- | --- |"
        )
        parts[-1] += "".join(f"\n{one.line}" for one in some) + "\n"
    return "\n".join(parts)


def rows_of(text: str) -> dict[str, Row]:
    """Name -> row of the page."""
    cells = [re.split(r" \| ", line.strip("| ")) for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: Row(*row) for row in cells if len(row) == 4 and row[0] not in ("distribution", "---")}


if __name__ == "__main__":
    sys.exit(min(main(Path(__file__).parents[1]), 1))
