"""Fail where the imports inside a package run in a circle, or upwards to what only the command line may know.

    python tools/arrows.py                every package and shared
    python tools/arrows.py conve          the layers of one, from what the user calls down to what needs nothing of ours

An arrow is an import of one module by another of the same package, also inside a function. No arrows are: an import under
TYPE_CHECKING, which only names a type; and one inside a public method, where an object hands itself to a module that builds on it,
as `plan.explain()` does. Of the arrows four things are asked:

- they form no circle;
- nothing imports `cli`, but `__main__`; and nothing imports the package itself, which is its public API;
- Hydra and the run are known at the edge alone: `cli`, `config`, and what knows the options by its imports, be it as a type;
- a module that defines a layer, a model or a loss (a class of torch's) knows, with all that it is made of, no option, data set,
  Hydra or logger.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

EDGE_ONLY = ("hydra", "omegaconf", "offprints.app", "offprints.run", "offprints.overrides")
"""What only modules at the edge may import."""
NOT_IN_MODELS = (*EDGE_ONLY, "logging", "offprints.logging", "offprints.metrics", "offprints.data")
"""What no model may import, or be made of."""
TORCH_CLASSES = ("Module", "Function", "ScriptModule")
"""Bases of a class that is part of a model."""


@dataclass(frozen=True)
class Module:
    """A file of a package.

    Attributes:
        name: dotted, such as "conve.model".
        path: where it lies.
        arrows: modules of the package that it needs as it runs.
        types: modules that it names under TYPE_CHECKING only.
        handed: modules to which a public method hands its object.
        others: all else that it imports, dotted.
        model: whether it defines a class of torch's.
    """

    name: str
    path: Path
    arrows: frozenset[str]
    types: frozenset[str]
    handed: frozenset[str]
    others: frozenset[str]
    model: bool

    @property
    def last(self) -> str:
        """The name without its package."""
        return self.name.rpartition(".")[2]


Package = dict[str, Module]


def main(root: Path, asked: Sequence[str] = ()) -> int:
    """Check shared and every package under a root, or print the layers of those asked for.

    Returns:
        The number of offences, each of which is written to stderr.
    """
    folders = [root / "shared", *sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))]
    if unknown := set(asked) - {folder.name for folder in folders}:
        raise SystemExit(
            f"there is no {', '.join(sorted(unknown))}: {', '.join(one.name for one in folders)}"
        )
    found: list[str] = []
    modules = arrows = handed = 0
    for folder in folders:
        package = read(folder / "src")
        found += offences(package)
        modules, arrows = modules + len(package), arrows + sum(len(one.arrows) for one in package.values())
        handed += sum(len(one.handed - one.arrows) for one in package.values())
        if folder.name in asked:
            sys.stdout.write(f"{folder.name}\n" + "".join(f"  {', '.join(row)}\n" for row in layers(package)))
    for line in found:
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(
        f"arrows: {modules} modules, {arrows} arrows, {handed} of methods, {len(found)} offences\n"
    )
    return len(found)


def read(source: Path) -> Package:
    """The modules under a folder src."""
    files = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: _module(name, path, files.keys()) for name, path in files.items()}


def offences(package: Package) -> Iterator[str]:
    """What runs the wrong way, one message each."""
    if circle := circle_of(package):
        yield f"imports run in a circle: {' -> '.join(circle)}"
    edge = edge_of(package)
    for name, one in package.items():
        for other in sorted(one.arrows | one.types | one.handed):
            if package[other].last in ("cli", "__main__") and one.last != "__main__":
                yield f"{one.path}: imports {other}; the command line is the top of a package"
            if "." not in other:
                yield f"{one.path}: imports the package itself; name the module that it needs"
        for other in _among(one.others, EDGE_ONLY) if edge and name not in edge else ():
            yield f"{one.path}: imports {other}, which is for the edge: cli, config and what knows the options"
        if one.model:
            for part in sorted(_needs(name, package)):
                for other in _among(package[part].others, NOT_IN_MODELS):
                    yield f"{one.path}: is a model, and by way of {part} imports {other}"
                if part in edge or package[part].last == "datasets":
                    yield f"{one.path}: is a model, and needs {part}; give it numbers and tensors"


def edge_of(package: Package) -> set[str]:
    """Modules that know the options: `config`, and what imports it, directly or not; none in shared, which makes command lines."""
    edge = {name for name, one in package.items() if one.last == "config"}
    more = edge
    while more:
        more = {name for name, one in package.items() if edge & (one.arrows | one.types)} - edge
        edge |= more
    return edge


def circle_of(package: Package) -> list[str]:
    """Modules that import one another in a circle, the first again at the end; empty if there are none."""
    try:
        TopologicalSorter({name: one.arrows for name, one in package.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])[::-1]
    return []


def layers(package: Package) -> list[list[str]]:
    """Names without the package, the top first: each layer needs those under it only, and stands as low as it can."""
    sorter = TopologicalSorter({name: one.arrows for name, one in package.items()})
    sorter.prepare()
    rows: list[list[str]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        rows.append([name.partition(".")[2] for name in ready if "." in name])
        sorter.done(*ready)
    return [row for row in reversed(rows) if row]


def _module(name: str, path: Path, known: Set[str]) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    inside: dict[str, set[str]] = {"arrows": set(), "types": set(), "handed": set()}
    others: set[str] = set()
    own = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for statement, kind in _imports(tree, "arrows"):
        for found in _names(statement, own):
            part = found if found in known else found.rpartition(".")[0]
            if part in known:
                inside[kind] |= {part} - {name}
            elif kind != "types":
                others.add(found)
    return Module(name, path, **{kind: frozenset(found) for kind, found in inside.items()}, others=frozenset(others),
                  model=any(map(_is_torch_class, ast.walk(tree))))  # fmt: skip


def _imports(node: ast.AST, kind: str, in_class: bool = False) -> Iterator[tuple[ast.stmt, str]]:
    """Each import under a node, and whether it is an arrow."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, kind
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(ast.Module(child.body, []), "types")
            yield from _imports(ast.Module(child.orelse, []), kind)
        elif in_class and isinstance(child, ast.FunctionDef) and _is_public(child.name):
            yield from _imports(child, "handed")
        else:
            yield from _imports(child, kind, isinstance(child, ast.ClassDef))


def _is_public(method: str) -> bool:
    return method == "__str__" or not method.startswith("_")


def _names(statement: ast.stmt, own: str) -> Iterator[str]:
    """What a statement imports, dotted; of `from a import b` it may be a.b or a thing in a."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        above = own.split(".")[: len(own.split(".")) - statement.level + 1] if statement.level else []
        base = ".".join([*above, *([statement.module] if statement.module else [])])
        yield from (f"{base}.{alias.name}" for alias in statement.names)


def _needs(name: str, package: Package) -> set[str]:
    """A module and all that it needs."""
    found, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += package[one].arrows
    return found


def _among(imported: Set[str], listed: Sequence[str]) -> list[str]:
    return sorted(
        one for one in imported if any(one == other or one.startswith(f"{other}.") for other in listed)
    )


def _is_torch_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any(
        ast.unparse(base).rpartition(".")[2] in TORCH_CLASSES for base in node.bases
    )


if __name__ == "__main__":
    sys.exit(min(main(Path(__file__).parents[1], sys.argv[1:]), 1))
