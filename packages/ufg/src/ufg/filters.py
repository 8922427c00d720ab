"""Filter banks on [0, pi]: one low-pass and several high-pass functions whose squares sum to 1.

    bank = filter_bank("haar")
    table = chebyshev_table(bank, terms=8)   # what the transform computes with

The sum of squares is what makes a frame tight (`ufg.transform`); it holds exactly for the functions, and to the accuracy of the
series for what is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.user_errors import closest

Floats = NDArray[np.float64]
Filter = Callable[[Floats], Floats]

_QUADRATURE_POINTS = 500


@dataclass(frozen=True)
class FilterBank:
    """A low-pass function a and high-pass functions b_1, b_2, ... on [0, pi].

    Attributes:
        name: for messages and figures.
        functions: a, b_1, b_2, ...; each maps an array to an array of its shape.
        tight: insist on a(x)^2 + b_1(x)^2 + ... = 1.

    Raises:
        InputError: fewer than two functions, one that gives no finite numbers, or squares that do not sum to 1.
    """

    name: str
    functions: tuple[Filter, ...]
    tight: bool = True

    def __post_init__(self) -> None:
        if len(self.functions) < 2:
            raise InputError(
                f"filter bank {self.name!r} needs a low-pass and at least one high-pass function"
            )
        grid = np.linspace(0, np.pi, 257)
        values = self(grid)
        if not np.isfinite(values).all():
            raise InputError(f"filter bank {self.name!r} gives numbers that are not finite on [0, pi]")
        defect = np.abs(np.square(values).sum(0) - 1)
        if self.tight and defect.max() > 1e-8:
            where = float(grid[defect.argmax()])
            raise InputError(
                f"the squares of filter bank {self.name!r} sum to {np.square(values).sum(0)[defect.argmax()]:.6g} at x={where:.4g}, "
                f"and not to 1: no tight frame comes of it (tight=False takes it all the same)"
            )

    def __len__(self) -> int:
        """r, the number of functions."""
        return len(self.functions)

    def __call__(self, x: Floats) -> Floats:
        """All functions at the same points.

        Args:
            x: (points,) in [0, pi].

        Returns:
            (r, points).
        """
        return np.stack(
            [np.broadcast_to(np.asarray(function(x), float), x.shape) for function in self.functions]
        )


HAAR = FilterBank("haar", (lambda x: np.cos(x / 2), lambda x: np.sin(x / 2)))
LINEAR = FilterBank(
    "linear",
    (
        lambda x: np.cos(x / 2) ** 2,
        lambda x: np.sin(x) / np.sqrt(2),
        lambda x: np.sin(x / 2) ** 2,
    ),
)
QUADRATIC = FilterBank(
    "quadratic",
    (
        lambda x: np.cos(x / 2) ** 3,
        lambda x: np.sqrt(3) * np.sin(x / 2) * np.cos(x / 2) ** 2,
        lambda x: np.sqrt(3) * np.sin(x / 2) ** 2 * np.cos(x / 2),
        lambda x: np.sin(x / 2) ** 3,
    ),
)
FILTERS = {bank.name: bank for bank in (HAAR, LINEAR, QUADRATIC)}
"""The filter banks of the paper: (cos^2 + sin^2)^k = 1 with k = 1, 2, 3."""

_NARROW = re.compile(r"cos(\d{1,2})")


@lru_cache(maxsize=64)
def narrow_bank(power: int) -> FilterBank:
    """Two filters, the low-pass one as narrow as is asked for: a = cos(x/2)^power, b = sqrt(1 - a^2).

    Power 1 is Haar. Both are smooth, so that a series comes as near to them as to the filters of the paper: power 8 is tight to
    1e-6 with 16 terms.

    Args:
        power: 1 to 99; the low-pass filter falls to half its height at about x = 2.4 / sqrt(power).

    Raises:
        InputError: it is not.
    """
    if not 1 <= power <= 99:
        raise InputError(f"power={power} of a narrow filter bank is from 1 to 99")

    def high(x: Floats) -> Floats:
        # 1 - a^2 loses its digits where a is nearly 1.
        found: Floats = np.sqrt(-np.expm1(2 * power * np.log(np.maximum(np.cos(x / 2), 1e-300))))
        return found

    return FilterBank(f"cos{power}", (lambda x: np.cos(x / 2) ** power, high))


def filter_bank(name: str | FilterBank) -> FilterBank:
    """A filter bank by name; one of your own is handed through.

    Args:
        name: haar, linear or quadratic, or cos1 to cos99 for `narrow_bank`.

    Raises:
        InputError: no bank is called so.
    """
    if isinstance(name, FilterBank):
        return name
    if name in FILTERS:
        return FILTERS[name]
    if narrow := _NARROW.fullmatch(name):
        return narrow_bank(int(narrow[1]))
    raise InputError(f"no filter bank is called {name!r}{closest(name, [*FILTERS, 'cos1 to cos99'])}")


@lru_cache(maxsize=256)
def chebyshev_table(bank: FilterBank, terms: int) -> Floats:
    """Coefficients of the Chebyshev series of every filter on [0, pi].

    g(x) is about c_0 / 2 + sum over k >= 1 of c_k T_k(2 x / pi - 1). The trapezoid rule over a period of an even function is exact
    to machine precision here.

    Args:
        bank: the filters.
        terms: n, the number of coefficients; the degree is n - 1.

    Returns:
        (r, terms), read-only.

    Raises:
        InputError: fewer than two terms.
    """
    points, weights = series_weights(terms)
    table: Floats = bank(points) @ weights
    table.flags.writeable = False
    return table


def series_weights(terms: int) -> tuple[Floats, Floats]:
    """The quadrature that makes Chebyshev coefficients out of the values of a function.

    Args:
        terms: n, the number of coefficients.

    Returns:
        (points,) where in [0, pi] the function is wanted, and (points, terms): its values times these are its coefficients.

    Raises:
        InputError: fewer than two terms.
    """
    if terms < 2:
        raise InputError(f"terms={terms} is too few: 2 or more, so that the series is not a constant")
    angles = np.linspace(0, np.pi, max(_QUADRATURE_POINTS, 4 * terms))
    weights = np.full(len(angles), 2 / (len(angles) - 1))
    weights[[0, -1]] /= 2
    return np.pi / 2 * (np.cos(angles) + 1), weights[:, None] * np.cos(np.outer(angles, np.arange(terms)))


def evaluate_series(table: Floats, z: Floats) -> Floats:
    """Value of the series of every filter.

    Args:
        table: (r, terms) coefficients.
        z: (points,) where; the argument of T_k, which is 2 x / pi - 1.

    Returns:
        (r, points).
    """
    halved = table.copy()
    halved[:, 0] /= 2
    return np.asarray(np.polynomial.chebyshev.chebval(z, halved.T), np.float64)
