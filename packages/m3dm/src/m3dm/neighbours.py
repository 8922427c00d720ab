"""The nearest row of a bank for each of many patches, exactly, without a distance to every row.

A principal-axes projection splits |x - m|² into the part along the axes, and the rest, which is at least (|x'| - |m'|)² for what is
left of x and m off the axes. One narrow matrix product gives this lower bound for all pairs; distances are computed for the few rows
whose bound is below the best distance found.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import linalg

from offprints.errors import InputError

from m3dm.arrays import Floats, Indices

AXES = 48
_QUERIES = 256


class Neighbours:
    """Answers which row is nearest.

    Args:
        rows: (M, D) float32.
        axes: of the projection.

    Raises:
        InputError: there is no row.
    """

    def __init__(self, rows: Floats, axes: int = AXES) -> None:
        if rows.ndim != 2 or not len(rows):
            raise InputError(f"a bank of shape {rows.shape} has no rows to be near to")
        self.rows = np.ascontiguousarray(rows, np.float32)
        self.centre = self.rows.mean(0, dtype=np.float64)
        self.basis = self._axes(axes)  # (D, k) float64
        self.folded = self._fold(self.rows)  # (M, k + 1)
        self._norms = np.einsum("mk,mk->m", self.folded, self.folded)

    def query(self, patches: Floats) -> tuple[Floats, Indices]:
        """The nearest row of each patch; the lower row wins a tie.

        Args:
            patches: (P, D).

        Returns:
            (P,) float32 distances, and (P,) rows.

        Raises:
            InputError: patches of another width, or numbers that are not finite.
        """
        if patches.ndim != 2 or patches.shape[1] != self.rows.shape[1]:
            raise InputError(
                f"patches of shape {patches.shape}; this bank has rows of {self.rows.shape[1]} numbers"
            )
        x = np.ascontiguousarray(patches, np.float32)
        if not np.isfinite(x).all():
            raise InputError("patches hold numbers that are not finite")
        folded = self._fold(x)
        scale = float(max(self._norms.max(), np.einsum("pk,pk->p", folded, folded).max(initial=0)))
        slack = 8 * (folded.shape[1] + 16) * 2.0**-24 * scale
        found, distance = np.zeros(len(x), np.int64), np.zeros(len(x))
        for first in range(0, len(x), _QUERIES):
            part = slice(first, first + _QUERIES)
            # The patch's own norm is left out: it is the same for all rows.
            bounds = self._norms - 2 * (folded[part] @ self.folded.T)
            own = np.einsum("pk,pk->p", folded[part], folded[part])
            _refine(x[part], self.rows, bounds, bounds.argmin(1), own, slack, found[part], distance[part])
        return np.sqrt(distance).astype(np.float32), found

    def _axes(self, axes: int) -> Floats:
        dim = self.rows.shape[1]
        if dim <= axes + 1:
            return np.eye(dim)
        # A few thousand rows show where a bank spreads; any orthonormal axes give a valid bound.
        some = (
            self.rows[np.linspace(0, len(self.rows) - 1, min(len(self.rows), 2000)).astype(int)] - self.centre
        )
        if len(some) < dim:
            _, _, vectors = np.linalg.svd(some, full_matrices=False)
            return np.ascontiguousarray(vectors[:axes].T)
        _, columns = linalg.eigh(some.T @ some, subset_by_index=[dim - axes, dim - 1])
        return np.ascontiguousarray(columns)

    def _fold(self, rows: Floats) -> Floats:
        """(N, k + 1) float32: coordinates along the axes, and the length of what they leave."""
        folded = np.empty((len(rows), self.basis.shape[1] + 1), np.float32)
        for first in range(0, len(rows), 4096):
            part = slice(first, first + 4096)
            apart = rows[part] - self.centre  # float64: what the axes leave is a difference
            along = apart @ self.basis
            rest = np.einsum("nd,nd->n", apart, apart) - np.einsum("nk,nk->n", along, along)
            folded[part, :-1] = along
            folded[part, -1] = np.sqrt(np.maximum(rest, 0))
        return folded


@numba.njit(cache=True)
def _refine(
    x: Floats,
    rows: Floats,
    bounds: Floats,
    first: Indices,
    own: Floats,
    slack: float,
    found: Indices,
    distance: Floats,
) -> None:
    for p in range(len(x)):
        best, at = np.inf, -1
        for turn in range(2):
            # The row of the lowest bound first: its distance rules out nearly all others.
            for m in range(len(rows)) if turn else range(first[p], first[p] + 1):
                if turn and bounds[p, m] + own[p] > best + slack:
                    continue
                total = 0.0
                for d in range(x.shape[1]):
                    gap = np.float64(x[p, d]) - np.float64(rows[m, d])
                    total += gap * gap
                    if (d & 63) == 63 and total > best:
                        break
                if total < best or (total == best and m < at):
                    best, at = total, m
        found[p], distance[p] = at, best
