"""Values of expressions, in two ways that share nothing with the derivation.

`by_syntax` reads the language as it stands, on matrices: a column is n×1, a scalar 1×1. Nothing of the Einstein form takes part, so that
autograd and finite differences of it judge the derivation from outside. `by_einsum` is the plain sum over all indices, in any precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import torch
from numpy.typing import NDArray

from matrix_calculus.expression import (
    Elementwise,
    Identity,
    Node,
    Pairing,
    Product,
    SizeOf,
    Sum,
    Symbol,
    Whole,
    order,
)
from matrix_calculus.inference import Reading, Typed
from matrix_calculus.shapes import Size, concrete

Array = NDArray[Any]
Values = Mapping[str, Any]


def _softplus(z: Any) -> Any:
    return mpmath.log1p(mpmath.exp(z))


_EXACT: dict[str, Callable[[Any], Any]] = {
    "exp": mpmath.exp, "log": mpmath.log, "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan, "sinh": mpmath.sinh,
    "cosh": mpmath.cosh, "tanh": mpmath.tanh, "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan,
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)), "softplus": _softplus, "relu": lambda z: max(z, mpmath.mpf(0)), "abs": abs,
    "sign": mpmath.sign, "step": lambda z: mpmath.mpf(z > 0),
}  # fmt: skip
_TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "exp": torch.exp, "log": torch.log, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "sinh": torch.sinh,
    "cosh": torch.cosh, "tanh": torch.tanh, "arcsin": torch.asin, "arccos": torch.acos, "arctan": torch.atan,
    "sigmoid": torch.sigmoid, "softplus": lambda z: torch.logaddexp(torch.zeros_like(z), z), "relu": torch.relu, "abs": torch.abs,
    "sign": torch.sign, "step": lambda z: (z > 0).to(z.dtype),
}  # fmt: skip


class _Torch:
    """Arithmetic in float64, which autograd follows."""

    def number(self, value: Fraction | int) -> torch.Tensor:
        return torch.full((1, 1), float(value), dtype=torch.float64)

    def filled(self, value: Fraction, rows: int, columns: int) -> torch.Tensor:
        return torch.full((rows, columns), float(value), dtype=torch.float64)

    def eye(self, size: int) -> torch.Tensor:
        return torch.eye(size, dtype=torch.float64)

    def function(self, name: str, z: torch.Tensor) -> torch.Tensor:
        return _TORCH[name](z)

    def power(self, z: torch.Tensor, power: Fraction) -> torch.Tensor:
        return z ** (int(power) if power.denominator == 1 else float(power))

    def inv(self, z: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.linalg.inv(z)
        return found

    def det(self, z: torch.Tensor) -> torch.Tensor:
        # torch.linalg.det has second derivatives that are wrong or not a number at diagonal matrices; those of LU are right.
        factors, pivots = torch.linalg.lu_factor(z)
        swaps = (pivots != torch.arange(1, len(z) + 1)).sum()
        found: torch.Tensor = factors.diagonal().prod() * (1 - 2 * (swaps % 2))
        return found

    def kron(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.kron(a, b)

    def larger(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.where(a > b, a, b)


class _Exact:
    """Arithmetic of mpmath numbers in object arrays, at the precision of the context."""

    def number(self, value: Fraction | int) -> Array:
        value = Fraction(value)
        return np.array([[mpmath.mpf(value.numerator) / value.denominator]], dtype=object)

    def filled(self, value: Fraction, rows: int, columns: int) -> Array:
        return np.broadcast_to(self.number(value), (rows, columns)).copy()

    def eye(self, size: int) -> Array:
        return np.array([[mpmath.mpf(i == j) for j in range(size)] for i in range(size)], dtype=object)

    def function(self, name: str, z: Array) -> Array:
        return _each(_EXACT[name], z)

    def power(self, z: Array, power: Fraction) -> Array:
        exponent = int(power) if power.denominator == 1 else mpmath.mpf(power.numerator) / power.denominator
        return _each(lambda one: one**exponent, z)

    def kron(self, a: Array, b: Array) -> Array:
        return np.asarray(np.kron(a, b), dtype=object)

    def inv(self, z: Array) -> Array:
        found = mpmath.inverse(mpmath.matrix(z.tolist()))
        return np.array(found.tolist(), dtype=object).reshape(z.shape)

    def det(self, z: Array) -> Any:
        return mpmath.det(mpmath.matrix(z.tolist()))

    def larger(self, a: Array, b: Array) -> Array:
        return np.where(a > b, a, b)


def _each(function: Callable[[Any], Any], z: Array) -> Array:
    found = np.empty(z.shape, dtype=object)
    for place in np.ndindex(z.shape):
        found[place] = function(z[place])
    return found


def by_syntax(reading: Reading, values: Values, sizes: Mapping[str, int], exact: bool = False) -> Any:
    """The value of an expression, read as it stands.

    Args:
        reading: the expression.
        values: symbol -> tensor, or object array of mpmath numbers; of its own shape: (), (n,) or (m, n).
        sizes: number of each named size.
        exact: compute with mpmath instead of torch.

    Returns:
        Of the expression's shape: (), (n,) or (m, n).
    """
    return _Walk(reading, values, sizes, _Exact() if exact else _Torch()).whole(reading.term)


class _Walk:
    def __init__(self, reading: Reading, values: Values, sizes: Mapping[str, int], arithmetic: Any) -> None:
        self.reading, self.values, self.sizes, self.number = reading, values, sizes, arithmetic

    def whole(self, term: Typed) -> Any:
        found = self.value(term)
        return found.reshape(tuple(self.length(size) for size in term.shape.sizes))

    def length(self, size: Size) -> int:
        return concrete((size,), self.sizes)[0]

    def value(self, term: Typed) -> Any:
        shape = term.shape
        rows, columns = self.length(shape.rows), self.length(shape.columns)
        if term.op == "name":
            return self.values[term.name].reshape(rows, columns)
        a, *more = [self.value(one) for one in term.args] or [None]
        b: Any = more[0] if more else None
        match term.op:
            case "number":
                return self.number.number(term.value)
            case "size":
                return self.number.number(self.length(term.name))
            case "filled":
                return self.number.filled(term.value, rows, columns)
            case "eye":
                return self.number.eye(rows)
            case "neg":
                return -a
            case "transpose":
                return a.T
            case "add":
                for one in more:
                    a = a + one
                return a
            case ".*":
                return a * b
            case "./":
                return a / b
            case ">":
                return self.number.function("step", a - b + self._zeros(rows, columns))
            case "dot":
                return self.number.filled(Fraction(1), 1, 1) * (a.reshape(-1) * b.reshape(-1)).sum()
            case "*":
                scalar = "scalar" in (term.args[0].shape.kind, term.args[1].shape.kind)
                return a * b if scalar else a @ b
            case "^":
                return self._matrix_power(a, int(term.value))  # type: ignore[arg-type]
            case ".^":
                if isinstance(term.value, Fraction):
                    return self.number.power(a, term.value)
                return self.number.function("exp", b * self.number.function("log", a))
        return self._call(term, a, b, rows, columns)

    def _zeros(self, rows: int, columns: int) -> Any:
        return self.number.filled(Fraction(0), rows, columns)

    def _matrix_power(self, a: Any, power: int) -> Any:
        base = self.number.inv(a) if power < 0 else a
        made = self.number.eye(a.shape[0])
        for _ in range(abs(power)):
            made = made @ base
        return made

    def _call(self, term: Typed, a: Any, b: Any, rows: int, columns: int) -> Any:
        name, number = term.name, self.number
        one = number.filled(Fraction(1), 1, 1)
        match name:
            case "sqrt":
                return number.power(a, Fraction(1, 2))
            case "max":
                zeros = self._zeros(rows, columns)
                return number.larger(a + zeros, b + zeros)
            case "min":
                zeros = self._zeros(rows, columns)
                return -number.larger(-(a + zeros), -(b + zeros))
            case "sum":
                return one * a.sum()
            case "mean":
                return one * a.sum() / (a.shape[0] * a.shape[1])
            case "sum1":
                return a.sum(0).reshape(1, -1)
            case "sum2":
                return a.sum(1).reshape(-1, 1)
            case "tr":
                return one * (a * number.eye(a.shape[0])).sum()
            case "diag":
                if columns == 1 and term.shape.kind == "column":
                    return (a * number.eye(a.shape[0])).sum(1).reshape(-1, 1)
                return a.reshape(-1, 1) * number.eye(rows)
            case "norm1":
                return one * number.function("abs", a).sum()
            case "norm2" | "frobenius":
                return number.power(one * (a * a).sum(), Fraction(1, 2))
            case "kron":
                return number.kron(a, b)
            case "outer":
                return a.reshape(-1, 1) * b.reshape(1, -1)
            case "inv":
                return number.inv(a)
            case "det":
                return one * number.det(a)
            case "logdet":
                return number.function("log", number.function("abs", one * number.det(a)))
        if name.startswith("logsumexp") or name == "softmax":
            return self._exponentials(term, a)
        return number.function(name, a)

    def _exponentials(self, term: Typed, a: Any) -> Any:
        down = term.name == "logsumexp1" or (term.args[0].shape.kind == "column")
        along = a.T if down else a
        raised = self.number.function("exp", along)
        total = raised.sum(1).reshape(-1, 1)
        found = self.number.function("log", total) if term.name != "softmax" else raised / total
        return found.T if down else found


def by_einsum(node: Node, values: Mapping[str, Array], sizes: Mapping[str, int]) -> Array:
    """The value of a tensor by its definition: sums over all indices, in the arithmetic of the values.

    Args:
        node: the tensor.
        values: symbol -> array of mpmath numbers.
        sizes: number of each named size.

    Returns:
        Object array of the node's shape.
    """
    exact = _Exact()
    length: Callable[[Size], int] = lambda size: concrete((size,), sizes)[0]  # noqa: E731
    done: dict[bytes, Any] = {}
    for one in order([node]):
        match one:
            case Symbol():
                found: Any = np.asarray(values[one.name], dtype=object)
            case SizeOf():
                found = exact.number(length(one.size)).reshape(())
            case Identity():
                found = exact.eye(length(one.size))
            case Pairing():
                shape = concrete(one.shape, sizes)
                found = exact.eye(shape[0]).reshape(shape)
            case Sum():
                found = sum(exact.number(c).reshape(()) * done[inner.key] for c, inner in one.terms)
            case Elementwise(function="pow"):
                assert one.power is not None
                found = exact.power(np.asarray(done[one.argument.key], dtype=object), one.power)
            case Elementwise():
                found = exact.function(one.function, np.asarray(done[one.argument.key], dtype=object))
            case Product():
                found = _contracted(one, done, length)
            case _:
                assert isinstance(one, Whole)
                found = _whole(one, np.asarray(done[one.argument.key], dtype=object), exact)
        done[one.key] = np.asarray(found, dtype=object)
    return np.asarray(done[node.key], dtype=object)


def _contracted(node: Product, done: Mapping[bytes, Any], length: Callable[[Size], int]) -> Any:
    shape = tuple(map(length, node.sizes))
    coefficient = mpmath.mpf(node.coefficient.numerator) / node.coefficient.denominator
    used = {index for _, indices in node.factors for index in indices}
    parts = [(np.asarray(done[factor.key], dtype=object), list(indices)) for factor, indices in node.factors]
    for index in set(range(node.rank)) - used:
        parts.append((np.full(shape[index], mpmath.mpf(1), dtype=object), [index]))
    total = np.asarray(coefficient, dtype=object)
    held: list[int] = []
    for at, (part, indices) in enumerate(
        parts
    ):  # one after the other; what no later factor has is summed at once
        later = {index for _, rest in parts[at + 1 :] for index in rest}
        kept = [i for i in dict.fromkeys([*held, *indices]) if i in later or i < node.rank]
        total = np.asarray(np.einsum(total, held, part, indices, kept, optimize=False), dtype=object)
        held = kept
    return np.einsum(total, held, list(range(node.rank))) if parts else total


def _whole(node: Whole, inner: Array, exact: _Exact) -> Any:
    match node.function:
        case "inv":
            return exact.inv(inner)
        case "det":
            return exact.det(inner)
        case "logdet":
            return mpmath.log(abs(exact.det(inner)))
    raised = exact.function("exp", inner)
    total = raised.sum(-1)
    return (
        _each(mpmath.log, np.asarray(total, dtype=object))
        if node.function == "logsumexp"
        else raised / np.asarray(total)[..., None]
    )
