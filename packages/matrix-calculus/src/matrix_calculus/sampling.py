"""Random well-typed expressions, for tests that compare the derivation with autograd on thousands of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SYMBOLS = {
    "s": "scalar", "t": "scalar", "x": "vector(n)", "y": "vector(n)", "z": "vector(m)", "A": "matrix(m, n)", "B": "matrix(n, m)",
    "C": "matrix(n, n)", "S": "symmetric matrix(n)", "D": "diagonal matrix(n)",
}  # fmt: skip
"""The symbols of random expressions, and what they are."""

_FUNCTIONS = ("exp(0.3*{})", "sin({})", "cos({})", "tanh({})", "sigmoid({})", "relu({})", "abs({})", "log(2 + tanh({}))", "({}).^2",
              "({}).^3", "sqrt(1 + ({}).^2)", "1 ./ (2 + sin({}))", "arctan({})", "softplus({})", "-({})", "0.5*({})", "cosh(tanh({}))",
              "sinh(sin({}))", "tan(0.4*sin({}))", "arcsin(0.6*tanh({}))", "arccos(0.5*sin({}))")  # fmt: skip


@dataclass
class Sampler:
    """Draws expressions.

    Attributes:
        generator: of the random numbers.
    """

    generator: np.random.Generator

    def expression(self, depth: int, rank: int | None = None) -> str:
        """A random expression.

        Args:
            depth: operators on the longest path, at most.
            rank: 0 for a scalar, 1 for a column, 2 for a matrix; None draws it.
        """
        rank = int(self.generator.integers(3)) if rank is None else rank
        if rank == 0:
            return self.scalar(depth)
        return self.column(depth, self.size()) if rank == 1 else self.matrix(depth, self.size(), self.size())

    def size(self) -> str:
        """n or m."""
        return self._of("nm")

    def scalar(self, depth: int) -> str:
        """A random scalar."""
        if depth <= 0:
            return self._of(("s", "t", "2", "s", "0.7"))
        d, size, other = depth - 1, self.size(), self.size()
        return self._one(
            lambda: self._each(self.scalar(d)),
            lambda: self._both(self.scalar(d), self.scalar(d)),
            lambda: f"sum({self.column(d, size)})",
            lambda: f"sum({self.matrix(d, size, other)})",
            lambda: f"({self.column(d, size)})'*({self.column(d, size)})",
            lambda: f"dot({self.column(d, size)}, {self.column(d, size)})",
            lambda: f"tr({self.matrix(d, size, size)})",
            lambda: f"norm2(1.5 + {self.column(d, size)})",
            lambda: f"frobenius({self.matrix(d, size, other)} - 2)",
            lambda: f"norm1({self.column(d, size)})",
            lambda: f"logsumexp({self.column(d, size)})",
            lambda: f"mean({self.matrix(d, size, other)})",
            lambda: f"logdet({self._regular(d, size)})",
            lambda: f"det({self._regular(d, size)})",
            lambda: f"({self.scalar(d)})/(2 + sin({self.scalar(d)}))",
        )

    def column(self, depth: int, size: str) -> str:
        """A random column of a size."""
        if depth <= 0:
            return self._of(("x", "y", "x", "ones(n)")) if size == "n" else self._of(("z", "z", "ones(m)"))
        d, other = depth - 1, self.size()
        return self._one(
            lambda: self._each(self.column(d, size)),
            lambda: self._both(self.column(d, size), self.column(d, size)),
            lambda: f"({self.matrix(d, size, other)})*({self.column(d, other)})",
            lambda: f"({self.matrix(d, other, size)})'*({self.column(d, other)})",
            lambda: f"({self.scalar(d)})*({self.column(d, size)})",
            lambda: f"{self.column(d, size)} + {self.scalar(d)}",
            lambda: f"sum({self.matrix(d, size, other)}, 2)",
            lambda: f"sum({self.matrix(d, other, size)}, 1)'",
            lambda: f"diag({self.matrix(d, size, size)})",
            lambda: f"softmax({self.column(d, size)})",
            lambda: f"inv({self._regular(d, size)})*({self.column(d, size)})",
            lambda: f"logsumexp({self.matrix(d, size, other)}, 2)",
        )

    def matrix(self, depth: int, rows: str, columns: str) -> str:
        """A random matrix of two sizes."""
        if depth <= 0:
            names = {
                "mn": ("A", "B'"),
                "nm": ("B", "A'"),
                "nn": ("C", "S", "D", "C'"),
                "mm": ("eye(m)", "A*B"),
            }
            return self._of(names[rows + columns])
        d, other = depth - 1, self.size()
        square = (
            [lambda: f"inv({self._regular(d, rows)})", lambda: f"diag({self.column(d, rows)})"]
            if rows == columns
            else []
        )
        return self._one(
            lambda: self._each(self.matrix(d, rows, columns)),
            lambda: self._both(self.matrix(d, rows, columns), self.matrix(d, rows, columns)),
            lambda: f"({self.matrix(d, rows, other)})*({self.matrix(d, other, columns)})",
            lambda: f"({self.matrix(d, columns, rows)})'",
            lambda: f"({self.column(d, rows)})*({self.column(d, columns)})'",
            lambda: f"outer({self.column(d, rows)}, {self.column(d, columns)})",
            lambda: f"({self.scalar(d)})*({self.matrix(d, rows, columns)})",
            lambda: f"softmax({self.matrix(d, rows, columns)})",
            lambda: f"{self.matrix(d, rows, columns)} - {self.scalar(d)}",
            *square,
        )

    def _regular(self, depth: int, size: str) -> str:
        """A matrix that is far from singular."""
        return f"4*eye({size}) + tanh({self.matrix(depth - 1, size, size)})"

    def _each(self, inner: str) -> str:
        return self._of(_FUNCTIONS).format(inner)

    def _both(self, one: str, other: str) -> str:
        return self._of(
            (
                "({}) + ({})",
                "({}) - ({})",
                "({}) .* ({})",
                "({}) ./ (2 + sin({}))",
                "max({}, {})",
                "min({}, {})",
            )
        ).format(one, other)

    def _of(self, choices: tuple[str, ...] | str) -> str:
        return choices[int(self.generator.integers(len(choices)))]

    def _one(self, *choices: Callable[[], str]) -> str:
        return choices[int(self.generator.integers(len(choices)))]()
