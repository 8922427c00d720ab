"""Fail where a package imports another package of ours, or anything that its own pyproject.toml does not declare.

    python tools/isolation.py                every package and shared

What a distribution offers for import is asked of the environment (importlib.metadata); for extras that are not installed there it
is guessed from the name, with `IMPORT_NAMES` for those where that fails. What lies under src/ may use the dependencies and the
extras that users ask for; tests/ and benchmarks/ may use the extras `test` and `bench` too. That a plain install works without
its extras is what `nox -s build` shows.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

IMPORT_NAMES = {
    "beautifulsoup4": {"bs4"},
    "faiss-cpu": {"faiss"},
    "hydra-core": {"hydra"},
    "hydra-joblib-launcher": {"hydra_plugins"},
    "hydra-ray-launcher": {"hydra_plugins"},
    "hydra-submitit-launcher": {"hydra_plugins"},
    "opencv-python-headless": {"cv2"},
    "pillow": {"PIL"},
    "pytorch-crf": {"torchcrf"},
    "pyyaml": {"yaml"},
    "scikit-image": {"skimage"},
    "scikit-learn": {"sklearn"},
    "skypilot": {"sky"},
    "tensorboardx": {"tensorboardX"},
}
"""Import names of distributions that may be absent and are not called as they are imported."""

DEVELOPMENT = ("test", "bench")
"""The extras that are for our own tests and benchmarks."""


@dataclass(frozen=True)
class Distribution:
    """One of our own distributions, as its pyproject.toml declares it.

    Attributes:
        folder: where it lies.
        name: normalised, such as "offprints-ke-gcn".
        offers: import names under src/.
        dependencies: normalised names of the dependencies, and of the extras that are for users.
        development: normalised names under the extras in `DEVELOPMENT`.
    """

    folder: Path
    name: str
    offers: frozenset[str]
    dependencies: frozenset[str]
    development: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> Distribution:
        """Read folder/pyproject.toml and look at what lies in folder/src."""
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        for_users = [line for name, lines in extras.items() if name not in DEVELOPMENT for line in lines]
        return cls(
            folder,
            normalised(project["name"]),
            frozenset(path.stem for path in (folder / "src").iterdir() if path.suffix in ("", ".py")),
            frozenset(map(normalised, project.get("dependencies", []) + for_users)),
            frozenset(normalised(line) for name in DEVELOPMENT for line in extras.get(name, [])),
        )


@dataclass(frozen=True)
class Import:
    """An import in a file.

    Attributes:
        path: the file.
        line: from 1.
        name: the top-level name that is imported.
    """

    path: Path
    line: int
    name: str


def main(root: Path) -> int:
    """Check shared and every package under a root.

    Returns:
        The number of offences, each of which is written to stderr with file and line.
    """
    folders = [root / "shared", *sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))]
    ours = [Distribution.read(folder) for folder in folders if (folder / "pyproject.toml").exists()]
    installed = installed_names()
    found = [line for distribution in ours for line in offences(distribution, ours, installed)]
    for line in found:
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(f"isolation: {len(ours)} distributions, {len(found)} offences\n")
    return len(found)


def offences(
    distribution: Distribution, ours: list[Distribution], installed: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    """What a distribution imports and must not, one message each.

    Args:
        distribution: the one to check.
        ours: all of this repository.
        installed: normalised distribution name -> what it offers for import.
    """
    siblings = {name: other for other in ours if other != distribution for name in other.offers}
    offers = {**installed, **{other.name: other.offers for other in ours}}
    for part in ("src", "tests", "benchmarks"):
        listed = distribution.dependencies | (distribution.development if part != "src" else set())
        files = sorted((distribution.folder / part).rglob("*.py"))
        allowed = names_of(listed, offers) | distribution.offers | sys.stdlib_module_names
        if part != "src":  # tests may import the helpers that lie beside them
            allowed |= {path.stem for path in files} | {path.parent.name for path in files}
        for found in (item for path in files for item in imports(path)):
            where = f"{found.path}:{found.line}: imports {found.name}"
            if found.name in siblings and siblings[found.name].folder.name != "shared":
                yield f"{where}, another package; what two packages need belongs in shared"
            elif found.name not in allowed:
                yield f"{where}, which {distribution.folder.name}/pyproject.toml does not declare"


def imports(path: Path) -> Iterator[Import]:
    """Every absolute import of a file, also inside functions and blocks."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield Import(path, node.lineno, node.module.partition(".")[0])


def names_of(distributions: Set[str], installed: Mapping[str, frozenset[str]]) -> set[str]:
    """What distributions offer for import."""
    found: set[str] = set()
    for name in distributions:
        found |= installed.get(name) or IMPORT_NAMES.get(name) or {name.replace("-", "_")}
    return found


def installed_names() -> dict[str, frozenset[str]]:
    """Normalised distribution name -> what it offers for import, for everything in this environment."""
    found: dict[str, set[str]] = {}
    for name, distributions in metadata.packages_distributions().items():
        for distribution in distributions:
            found.setdefault(normalised(distribution), set()).add(name)
    return {distribution: frozenset(names) for distribution, names in found.items()}


def normalised(requirement: str) -> str:
    """The distribution name at the start of a requirement, in lower case with single dashes."""
    match = re.match(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", requirement.strip())
    if match is None:
        raise ValueError(f"{requirement!r} begins with no distribution name")
    return re.sub(r"[-_.]+", "-", match.group()).lower()


if __name__ == "__main__":
    sys.exit(min(main(Path(__file__).parents[1]), 1))
