"""From the language to Einstein form: transposes and orders of multiplication become indices."""

from __future__ import annotations

from fractions import Fraction

from matrix_calculus.expression import Identity, Labelled, Node, Pairing, Symbol
from matrix_calculus.functions import ELEMENTWISE
from matrix_calculus.inference import Reading, Typed
from matrix_calculus.products import (
    add,
    elementwise,
    number,
    product,
    size_of,
    times,
    transpose,
    whole,
)
from matrix_calculus.shapes import Shape

_HALF = Fraction(1, 2)


def symbol(reading: Reading, name: str) -> Symbol:
    """The node of a symbol.

    Args:
        reading: that knows it.
        name: of it.
    """
    shape = reading.symbols[name]
    return Symbol(name, shape.sizes, reading.structures.get(name, "general"), shape.kind == "row")


def lower(reading: Reading, term: Typed | None = None) -> Node:
    """The tensor of a term: axes are those of its shape; a row has one axis, as a column has.

    Args:
        reading: where the term is from.
        term: None for the whole expression.
    """
    return _lower(reading, term or reading.term)


def _lower(reading: Reading, term: Typed) -> Node:
    if term.op == "name":
        return symbol(reading, term.name)
    args = [_lower(reading, one) for one in term.args]
    return apply(term, args)


def apply(term: Typed, args: list[Node]) -> Node:
    """What an operator makes of the tensors of its operands.

    Args:
        term: the operator, and the shapes of its operands.
        args: their tensors.
    """
    sizes = term.shape.sizes
    match term.op:
        case "number":
            assert isinstance(term.value, Fraction)
            return number(term.value)
        case "filled":
            assert isinstance(term.value, Fraction)
            return number(term.value, sizes)
        case "size":
            return size_of(term.name)
        case "eye":
            return Identity(sizes[0])
        case "neg":
            return add([(-1, args[0])], sizes)
        case "transpose":
            return transpose(args[0])
        case "add":
            return add([(1, expanded(one, term.shape)) for one in args], sizes)
        case ".*":
            return times(*args)
        case "./":
            return times(args[0], elementwise("pow", args[1], Fraction(-1)))
        case ">":
            return elementwise("step", _difference(term.shape, args[0], args[1]))
        case "dot":
            return product([(args[0], (0,)), (args[1], (0,))], ())
        case "*":
            return _matrix_product(term, args)
        case "^":
            assert isinstance(term.value, Fraction)
            return _matrix_power(args[0], int(term.value))
        case ".^":
            if isinstance(term.value, Fraction):
                return elementwise("pow", args[0], term.value)
            return elementwise("exp", times(args[1], elementwise("log", args[0])))
    return _call(term, args)


def expanded(node: Node, shape: Shape) -> Node:
    """The paper's scalar expansion: a scalar at every place of a shape.

    Args:
        node: a scalar, or of that shape already.
        shape: to expand to.
    """
    if node.rank == len(shape.sizes):
        return node
    return product([(node, ())], range(len(shape.sizes)), dict(enumerate(shape.sizes)))


def _difference(shape: Shape, one: Node, other: Node) -> Node:
    return add([(1, expanded(one, shape)), (-1, expanded(other, shape))], shape.sizes)


def _matrix_product(term: Typed, args: list[Node]) -> Node:
    left, right = term.args[0].shape, term.args[1].shape
    if "scalar" in (left.kind, right.kind):
        return times(*args)
    rows = ("i",) if left.kind in ("column", "matrix") else ()
    columns = ("k",) if right.kind in ("row", "matrix") else ()
    # A column before a row has no axis to sum over: the outer product.
    inner = ("j",) if left.kind in ("row", "matrix") else ()
    return product([(args[0], (*rows, *inner)), (args[1], (*inner, *columns))], (*rows, *columns))


def _matrix_power(base: Node, power: int) -> Node:
    made: Node = Identity(base.shape[0])
    square = whole("inv", base) if power < 0 else base
    for bit in reversed(bin(abs(power))[2:]):
        if bit == "1":
            made = product([(made, "ij"), (square, "jk")], "ik")  # type: ignore[list-item]
        square = product([(square, "ij"), (square, "jk")], "ik")  # type: ignore[list-item]
    return made


def _call(term: Typed, args: list[Node]) -> Node:
    name, first = term.name, args[0]
    if name in ELEMENTWISE:
        return elementwise(name, first)
    axes = tuple(range(first.rank))
    match name:
        case "sqrt":
            return elementwise("pow", first, _HALF)
        case "max":
            return add(
                [(1, expanded(args[0], term.shape)), (1, _over(term, args[1], args[0]))], term.shape.sizes
            )
        case "min":
            return add(
                [(1, expanded(args[0], term.shape)), (-1, _over(term, args[0], args[1]))], term.shape.sizes
            )
        case "sum":
            return product([(first, axes)], ())
        case "mean":
            sizes = [elementwise("pow", size_of(size), Fraction(-1)) for size in first.shape]
            return product([(first, axes), *((one, ()) for one in sizes)], ())
        case "sum1" | "sum2":
            return product([(first, (0, 1))], (1,) if name == "sum1" else (0,))
        case "tr":
            return product([(first, (0, 0))], ())
        case "diag":
            return product([(first, (0,))], (0, 0)) if first.rank == 1 else product([(first, (0, 0))], (0,))
        case "norm1":
            return product([(elementwise("abs", first), axes)], ())
        case "norm2" | "frobenius":
            squares = product([(elementwise("pow", first, Fraction(2)), axes)], ())
            return elementwise("pow", squares, _HALF)
        case "kron":
            return _kronecker(args)
        case "outer":
            return product([(args[0], (0,)), (args[1], (1,))], (0, 1))
        case "logsumexp1":
            return whole("logsumexp", transpose(first))
        case "logsumexp" | "logsumexp2":
            return whole("logsumexp", first)
    return whole(name, first)


def _kronecker(args: list[Node]) -> Node:
    """Each pair of axes becomes one."""
    factors: list[Labelled] = [
        (one, tuple((name, axis) for axis in range(one.rank))) for name, one in zip("ik", args, strict=True)
    ]
    for axis, pair in enumerate(zip(args[0].shape, args[1].shape, strict=True)):
        factors.append((Pairing(*pair), (axis, ("i", axis), ("k", axis))))
    return product(factors, range(args[0].rank))


def _over(term: Typed, one: Node, other: Node) -> Node:
    """max(0, one - other): max(a, b) is a + max(0, b - a), so that max(0, z) is the paper's."""
    return elementwise("relu", _difference(term.shape, one, other))
