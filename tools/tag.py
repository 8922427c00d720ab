"""What a release tag names, checked against the package: `python tools/tag.py conve-v0.1.0`.

Writes `package=conve` and `files=offprints_conve-0.1.0*`, for later steps of a workflow. Fails if there is no such package, or if its
pyproject.toml has another version than the tag.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def named(tag: str, root: Path) -> dict[str, str]:
    """The package that a tag releases, and the files of that release.

    Args:
        tag: "<slug>-v<version>", or "shared-v<version>".
        root: of the repository.

    Raises:
        ValueError: the tag fits no package, or its version is not the package's.
    """
    package, _, version = tag.rpartition("-v")
    pyproject = (root / "shared" if package == "shared" else root / "packages" / package) / "pyproject.toml"
    if not package or not pyproject.exists():
        raise ValueError(f"tag {tag!r}: it is to be <slug>-v<version>, and there is no package {package!r}")
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    if project["version"] != version:
        raise ValueError(f"tag {tag!r}: {pyproject.relative_to(root)} has version {project['version']}")
    return {"package": package, "files": f"{project['name'].replace('-', '_')}-{version}*"}


if __name__ == "__main__":
    try:
        found = named(sys.argv[1], Path(__file__).parents[1])
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.writelines(f"{name}={value}\n" for name, value in found.items())
