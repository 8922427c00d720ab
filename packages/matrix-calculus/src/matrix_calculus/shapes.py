"""Shapes with named sizes: a size is a number, a name such as n, or unknown until an operator settles it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, count

from offprints.errors import InputError

Size = int | str
"""A number, a name, or names and numbers with * between them; names that begin with ? are not settled yet."""

STRUCTURES = ("general", "symmetric", "diagonal", "constant")
KINDS = {"scalar": 0, "vector": 1, "column": 1, "row": 1, "matrix": 2}
_DECLARED = re.compile(
    r"\s*(?:(?P<structure>symmetric|diagonal|constant)\s+)?(?P<kind>scalar|vector|row|matrix)\s*"
    r"(?:\(\s*(?P<sizes>[\w*]+(?:\s*,\s*[\w*]+)?)\s*\))?\s*"
)


@dataclass(frozen=True)
class Shape:
    """What an expression is in the paper's world: a scalar, a column, a row, or a matrix.

    Attributes:
        kind: "scalar", "column", "row" or "matrix".
        sizes: none, one or two.
    """

    kind: str
    sizes: tuple[Size, ...] = ()

    @property
    def rows(self) -> Size:
        return self.sizes[0] if self.kind in ("column", "matrix") else 1

    @property
    def columns(self) -> Size:
        return self.sizes[-1] if self.kind in ("row", "matrix") else 1

    @property
    def transposed(self) -> Shape:
        """Of the transpose."""
        turned = {"column": "row", "row": "column"}.get(self.kind, self.kind)
        return Shape(turned, self.sizes[::-1])

    def __str__(self) -> str:
        if self.kind == "scalar":
            return "scalar"
        if self.kind == "matrix":
            return f"matrix {_shown(self.rows)}×{_shown(self.columns)}"
        return f"{self.kind} of {_shown(self.sizes[0])}"


SCALAR = Shape("scalar")


def _shown(size: Size) -> str:
    return "any size" if isinstance(size, str) and size.startswith("?") else str(size)


@dataclass(frozen=True)
class Declared:
    """What a symbol is declared to be.

    Attributes:
        kind: scalar, vector, row or matrix.
        sizes: as given; empty leaves them to inference.
        structure: general, symmetric, diagonal or constant.
    """

    kind: str
    sizes: tuple[Size, ...] = ()
    structure: str = "general"

    def __str__(self) -> str:
        before = "" if self.structure == "general" else f"{self.structure} "
        return f"{before}{self.kind}" + (f"({', '.join(map(str, self.sizes))})" if self.sizes else "")


def declaration(name: str, text: str) -> Declared:
    """Read a declaration such as "matrix(m, n)", "vector", "symmetric matrix(n)" or "constant scalar".

    Args:
        name: of the symbol, for the message.
        text: the declaration.

    Raises:
        InputError: it does not read so.
    """
    match = _DECLARED.fullmatch(text) if len(text) < 200 else None
    if match is None:
        raise InputError(
            f"{name}: {text[:60]!r} is no declaration; scalar, vector(n), row(n) or matrix(m, n), with symmetric, "
            "diagonal or constant before it, are"
        )
    kind, structure = match["kind"], match["structure"] or "general"
    sizes = tuple(_size(name, one.strip()) for one in (match["sizes"] or "").split(",") if one.strip())
    if structure in ("symmetric", "diagonal"):
        if kind != "matrix":
            raise InputError(f"{name}: only a matrix is {structure}, not a {kind}")
        sizes = sizes * 2 if len(sizes) == 1 else sizes
        if sizes and sizes[0] != sizes[1]:
            raise InputError(f"{name}: a {structure} matrix is square, not {sizes[0]}×{sizes[1]}")
    if sizes and len(sizes) != KINDS[kind]:
        raise InputError(f"{name}: a {kind} has {KINDS[kind]} size(s), not {len(sizes)}")
    return Declared(kind, sizes, structure)


def declarations(text: str) -> dict[str, str]:
    """Symbols from "X: matrix(N, n); y: vector".

    Args:
        text: names with declarations, which `declaration` reads.

    Raises:
        InputError: a part is not a name, a colon and a declaration.
    """
    found = {}
    for part in text.split(";"):
        name, colon, kind = part.partition(":")
        if not colon and not part.strip():
            continue
        if not colon or not name.strip() or name.strip() in found:
            raise InputError(
                f"symbols: {part.strip()[:60]!r} is not a new name, a colon and what it is, as in X: matrix(N, n)"
            )
        found[name.strip()] = kind.strip()
    return found


def parts_of(size: Size) -> tuple[Size, ...]:
    """The factors of a size: (m, p) of "m*p", and else the size alone.

    Args:
        size: any.
    """
    if isinstance(size, int) or "*" not in size:
        return (size,)
    return tuple(int(one) if one.isdecimal() else one for one in size.split("*"))


def times_size(*sizes: Size) -> Size:
    """The product of sizes: a number, or a name such as "m*p".

    Args:
        sizes: its factors.
    """
    factors = [one for size in sizes for one in parts_of(size)]
    numbers = math.prod(one for one in factors if isinstance(one, int))
    names = [one for one in factors if isinstance(one, str)]
    if not names:
        return numbers
    return "*".join([*([str(numbers)] if numbers != 1 else []), *names])


_MOST_FACTORS = 15


def _size(name: str, text: str) -> Size:
    if "*" in text:
        if text.count("*") > _MOST_FACTORS:
            raise InputError(f"{name}: a size is a product of {_MOST_FACTORS + 1} factors at most")
        return times_size(*(_size(name, one.strip()) for one in text.split("*")))
    if text.isascii() and text.isdecimal():
        digits = text.lstrip("0")
        if not digits or len(digits) > 7 or int(digits) > 10**6:
            raise InputError(f"{name}: the size {text[:20]} is not between 1 and 1,000,000")
        return int(digits)
    if not text.isidentifier() or len(text) > 20:
        raise InputError(f"{name}: the size {text[:30]!r} is neither a number nor a short name")
    return text


@dataclass
class Sizes:
    """Which sizes are the same: unknown ones take the size that an operator asks for, named ones only equal themselves."""

    parent: dict[Size, Size] = field(default_factory=dict)
    count: int = 0
    products: list[tuple[Size, tuple[Size, ...]]] = field(default_factory=list)

    def unknown(self) -> Size:
        """A size that nothing is known of yet."""
        self.count += 1
        return f"?{self.count}"

    def product(self, *sizes: Size) -> Size:
        """A size that is the product of others, which may not be settled yet."""
        made = self.unknown()
        self.products.append((made, sizes))
        return made

    def find(self, size: Size) -> Size:
        """What a size stands for."""
        while size in self.parent:
            size = self.parent[size]
        return size

    def same(self, one: Size, other: Size) -> bool:
        """Make two sizes equal; False if they are not."""
        one, other = self.find(one), self.find(other)
        if one == other:
            return True
        if isinstance(one, str) and one.startswith("?"):
            self.parent[one] = other
        elif isinstance(other, str) and other.startswith("?"):
            self.parent[other] = one
        else:
            return False
        return True

    def shape(self, shape: Shape) -> Shape:
        """A shape with what its sizes stand for."""
        return Shape(shape.kind, tuple(self.find(size) for size in shape.sizes))

    def settle(self, sizes: Iterable[Size], taken: Iterable[str]) -> tuple[Size, Size] | None:
        """Give the unknown ones among `sizes` names, in their order, and products their factors.

        Returns:
            A size and the product that it should be and is not, if there are such.
        """
        sizes = list(sizes)
        used = {*taken, *(s for s in map(self.find, sizes) if isinstance(s, str))}
        names = (name for name in chain("nmkpqrst", (f"n{i}" for i in count(1))) if name not in used)
        made = {self.find(one) for one, _ in self.products}
        for size in [*sizes, *(one for _, factors in self.products for one in factors)]:
            found = self.find(size)
            if isinstance(found, str) and found.startswith("?") and found not in made:
                self.parent[found] = next(names)
        for size, factors in self.products:  # inner ones come first
            whole = times_size(*map(self.find, factors))
            if not self.same(size, whole):
                return self.find(size), whole
        return None


def concrete(sizes: Iterable[Size], given: Mapping[str, int]) -> tuple[int, ...]:
    """Numbers for sizes.

    Args:
        sizes: names and numbers.
        given: a number for each name.
    """
    return tuple(
        math.prod(one if isinstance(one, int) else given[one] for one in parts_of(size)) for size in sizes
    )
