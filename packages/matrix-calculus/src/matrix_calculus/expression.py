"""Tensor expressions in Einstein form, shared wherever they are equal.

Everything is one of: a symbol, a product of factors with indices (an einsum), a sum, an element-wise function, one of the few functions
of a whole matrix, the identity, and a size as a number. A node is known by the digest of what it is made of, so that equal nodes are the
same wherever they were made, and no table has to remember them.

Source: Laue, Mitterreiter, Giesen, A Simple and Efficient Tensor Calculus (AAAI 2020), Section 2: A *_(s1,s2,s3) B.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from hashlib import blake2b
from typing import TypeAlias

from matrix_calculus.shapes import Size, parts_of, times_size

Indices: TypeAlias = tuple[int, ...]
Factor: TypeAlias = "tuple[Node, Indices]"
Label: TypeAlias = Hashable
"""A name of an axis while a product is made."""
Labelled: TypeAlias = "tuple[Node, tuple[Label, ...]]"


class Node:
    """A tensor; two nodes are equal if they are made of the same.

    Attributes:
        key: digest of what it is made of.
        shape: a size for each axis; () is a scalar.
    """

    key: bytes
    shape: tuple[Size, ...]

    @property
    def rank(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def inner(self) -> tuple[Node, ...]:
        """What it is made of."""
        return ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Names that it depends on."""
        return frozenset().union(*(one.symbols for one in self.inner))


def digest(*parts: object) -> bytes:
    """Of numbers, texts and other digests."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


@dataclass(frozen=True, eq=False)
class Symbol(Node):
    """An input.

    Attributes:
        name: of it.
        shape: of it.
        structure: general, symmetric, diagonal or constant.
        row: whether it is written as a row; it has one axis all the same.
    """

    name: str
    shape: tuple[Size, ...] = ()
    structure: str = "general"
    row: bool = False

    @cached_property
    def key(self) -> bytes:  # type: ignore[override]
        return digest("symbol", self.name, self.shape, self.structure, self.row)

    @cached_property
    def symbols(self) -> frozenset[str]:
        return frozenset([self.name])


@dataclass(frozen=True, eq=False)
class Identity(Node):
    """The unit matrix, δ[i, j].

    Attributes:
        size: of both axes.
    """

    size: Size

    @cached_property
    def shape(self) -> tuple[Size, ...]:  # type: ignore[override]
        return (self.size, self.size)

    @cached_property
    def key(self) -> bytes:  # type: ignore[override]
        return digest("identity", self.size)


@dataclass(frozen=True, eq=False)
class Pairing(Node):
    """π[i, k, l], 1 where place i of a Kronecker product comes from the places k and l of its factors, and else 0.

    Attributes:
        first: size of the axis of the first factor.
        second: size of that of the second one, which runs faster.
    """

    first: Size
    second: Size

    @cached_property
    def shape(self) -> tuple[Size, ...]:  # type: ignore[override]
        return (times_size(self.first, self.second), self.first, self.second)

    @cached_property
    def key(self) -> bytes:  # type: ignore[override]
        return digest("pairing", self.first, self.second)


@dataclass(frozen=True, eq=False)
class SizeOf(Node):
    """A named size as a number.

    Attributes:
        size: its name.
    """

    size: Size
    shape = ()

    @cached_property
    def key(self) -> bytes:  # type: ignore[override]
        return digest("size", self.size)


@dataclass(frozen=True, eq=False)
class Product(Node):
    """coefficient · Σ over the indices that are not of the result, of the product of the factors.

    Attributes:
        coefficient: an exact number.
        factors: nodes with the indices of their axes; index k < rank is axis k of the result. An axis of the result that no factor
            has is one along which the result is constant.
        sizes: of every index.
        shape: of the result: the first sizes.
        key: made by `products.product`, which alone makes products.
    """

    coefficient: Fraction
    factors: tuple[Factor, ...]
    sizes: tuple[Size, ...]
    shape: tuple[Size, ...]
    key: bytes

    @property
    def inner(self) -> tuple[Node, ...]:
        return tuple(node for node, _ in self.factors)

    @property
    def permutes(self) -> bool:
        """Whether it only turns the axes of one node."""
        if len(self.factors) != 1 or self.coefficient != 1:
            return False
        indices = self.factors[0][1]
        return len(indices) == self.rank and sorted(indices) == list(range(self.rank))


@dataclass(frozen=True, eq=False)
class Sum(Node):
    """Σ coefficient · node, all of one shape.

    Attributes:
        terms: exact numbers and nodes.
        shape: of all.
    """

    terms: tuple[tuple[Fraction, Node], ...]
    shape: tuple[Size, ...]

    @cached_property
    def key(self) -> bytes:  # type: ignore[override]
        return digest("sum", *sorted((node.key, str(coefficient)) for coefficient, node in self.terms))

    @property
    def inner(self) -> tuple[Node, ...]:
        return tuple(node for _, node in self.terms)


@dataclass(frozen=True, eq=False)
class Elementwise(Node):
    """A function of one number, of each element.

    Attributes:
        function: a name of `functions.ELEMENTWISE`.
        argument: any node.
        power: the exponent, of "pow" alone.
    """

    function: str
    argument: Node
    power: Fraction | None = None

    @cached_property
    def shape(self) -> tuple[Size, ...]:  # type: ignore[override]
        return self.argument.shape

    @cached_property
    def key(self) -> bytes:  # type: ignore[override]
        return digest("elementwise", self.function, str(self.power), self.argument.key)

    @property
    def inner(self) -> tuple[Node, ...]:
        return (self.argument,)


@dataclass(frozen=True, eq=False)
class Whole(Node):
    """A function of a whole matrix, or of whole rows.

    Attributes:
        function: "inv", "det" or "logdet" of a square matrix; "logsumexp" or "softmax" along the last axis.
        argument: its argument.
    """

    function: str
    argument: Node

    @cached_property
    def shape(self) -> tuple[Size, ...]:  # type: ignore[override]
        if self.function in ("det", "logdet"):
            return ()
        return self.argument.shape[:-1] if self.function == "logsumexp" else self.argument.shape

    @cached_property
    def key(self) -> bytes:  # type: ignore[override]
        return digest("whole", self.function, self.argument.key)

    @property
    def inner(self) -> tuple[Node, ...]:
        return (self.argument,)


def order(roots: Iterable[Node]) -> list[Node]:
    """All nodes that the roots are made of, each once and after its parts."""
    done: dict[bytes, Node] = {}
    for root in roots:
        waiting = [(root, False)]
        while waiting:
            node, opened = waiting.pop()
            if node.key in done:
                continue
            if opened:
                done[node.key] = node
            else:
                waiting.append((node, True))
                waiting.extend((one, False) for one in reversed(node.inner))
    return list(done.values())


def sizes_of(roots: Iterable[Node]) -> Iterator[str]:
    """Names of all sizes in an expression, each once."""
    seen: dict[str, None] = {}
    for node in order(roots):
        found = node.sizes if isinstance(node, Product) else node.shape
        for whole in (*found, *([node.size] if isinstance(node, SizeOf) else [])):
            for size in parts_of(whole):
                if isinstance(size, str):
                    seen.setdefault(size)
    yield from seen


def is_number(node: Node) -> Fraction | None:
    """The number that a node is everywhere, if it is one."""
    if isinstance(node, Product) and not node.factors:
        return node.coefficient
    return None


def is_zero(node: Node) -> bool:
    """Whether it is 0 everywhere, by its form."""
    return is_number(node) == 0


def depends(node: Node, symbol: Symbol) -> bool:
    """Whether a node has a symbol in it."""
    return symbol.name in node.symbols
