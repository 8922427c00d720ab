"""Filters that are learned and stay tight: the squares of a filter bank sum to 1 wherever its values are a point of the unit sphere.

    filters = TightFilters("haar", terms=8, waves=4)
    table = filters.table()                    # (r, n) Chebyshev coefficients, with a gradient
    filters.bank()                             # as a `FilterBank` of its own, to transform with after training

The angles of that point are what is learned: a = cos(p_1), b_1 = sin(p_1) cos(p_2), ..., and the last one is the product of all
sines. Each angle is that of the filter bank begun with, plus waves sin(k x) that leave both ends of the spectrum as they are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offprints.errors import InputError

from ufg.filters import FilterBank, Floats, filter_bank, series_weights

FLAT = 1e-9  # a filter whose square is below it is 0 there: its angle is then any, and 0 is taken


class TightFilters(nn.Module):
    """A bank of filters on [0, pi] whose squares sum to 1 whatever its parameters are.

    Args:
        filters: to begin with: a name or a `FilterBank` whose values are 0 or more.
        terms: n, Chebyshev coefficients of each filter.
        waves: sines added to each angle; the highest is sin(waves x).

    Attributes:
        angles: (r - 1, waves) amplitudes of the sines, 0 at first.

    Raises:
        InputError: fewer than one wave, or a filter with values below 0.
    """

    angles: Tensor

    def __init__(self, filters: str | FilterBank = "haar", terms: int = 8, waves: int = 4) -> None:
        super().__init__()
        if waves < 1:
            raise InputError(f"waves={waves} of learned filters are too few: 1 or more")
        start = filter_bank(filters)
        self.start, self.terms, self.waves = start, terms, waves
        points, weights = series_weights(terms)
        values = start(points)
        if (values < -FLAT).any():
            raise InputError(f"learned filters begin with values of 0 or more; {start.name!r} has some below")
        self.angles = nn.Parameter(torch.zeros(len(start) - 1, waves))
        # In float64 whatever the network is: what is derived from them is cast at the end.
        self._begun, self._weights = _angles(values), weights
        self._sines = np.sin(np.outer(np.arange(1, waves + 1), points))

    def values(self) -> Tensor:
        """(r, points) float64 values of the filters at the points of the quadrature."""
        begun, sines = (
            torch.as_tensor(array, device=self.angles.device) for array in (self._begun, self._sines)
        )
        return _sphere(begun + self.angles.double() @ sines)

    def table(self) -> Tensor:
        """(r, n) float64 Chebyshev coefficients, differentiable in the angles."""
        return self.values() @ torch.as_tensor(self._weights, device=self.angles.device)

    def forward(self) -> Tensor:
        """The same as `table`."""
        return self.table()

    def bank(self) -> FilterBank:
        """The filters as they are now, for a `FrameletTransform`."""
        amplitudes = self.angles.detach().double().cpu().numpy()
        start, count = self.start, len(self.start)

        def one(j: int, x: Floats) -> Floats:
            waved = np.sin(np.multiply.outer(np.arange(1, len(amplitudes[0]) + 1), x))
            angles = _angles(start(x)) + amplitudes @ waved
            return np.asarray(_sphere(torch.from_numpy(angles))[j].numpy(), np.float64)

        functions = tuple((lambda x, j=j: one(j, x)) for j in range(count))
        return FilterBank(f"learned from {start.name}", functions)

    def extra_repr(self) -> str:
        return f"{self.start.name}, terms={self.terms}, waves={self.waves}"


def _angles(values: Floats) -> NDArray[np.float64]:
    """(r - 1, points) angles of (r, points) values of 0 or more whose squares sum to 1."""
    rest = np.sqrt(np.cumsum(np.square(values[::-1]), 0)[::-1])  # of a filter and all after it
    angles = np.arctan2(rest[1:], np.maximum(values[:-1], 0))
    return np.where(rest[:-1] < np.sqrt(FLAT), 0.0, angles)


def _sphere(angles: Tensor) -> Tensor:
    """(r, points) from (r - 1, points): the squares of each column sum to 1."""
    rows, left = [], torch.ones_like(angles[0])
    for angle in angles:
        rows.append(left * angle.cos())
        left = left * angle.sin()
    return torch.stack([*rows, left])
