"""Greedy k-centre coreset: the row that lies furthest from all chosen ones is chosen next.

The plain loop passes over all rows for each choice. The lazy one gives the same rows in the same order: it keeps for each row an
upper bound of its distance to the chosen ones and computes the distance itself only for the row whose bound is the highest. Bounds are
lowered by matrix products now and then, and only those that could soon be the highest: most rows lie closer to a chosen one than any
choice to come, and are not looked at again.

Source: Section 3.4 of the paper, after PatchCore (Roth et al. 2022) and Sener and Savarese 2018.
"""

from __future__ import annotations

import numba
import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats, Indices

BLOCK = 128
"""Choices between two lowerings of all bounds."""
_ROWS = 4096


def greedy_coreset(rows: Floats, count: int, block: int = BLOCK) -> Indices:
    """The greedy order of rows, from row 0 on.

    Distances are compared in float64, whatever the rows are, and the lower row wins a tie: the answer does not depend on `block`.

    Args:
        rows: (N, D) float32.
        count: rows to choose.
        block: choices between two lowerings of all bounds.

    Returns:
        (count,) rows in the order they are chosen, all different.

    Raises:
        InputError: count is below 1 or above N, or a number is not finite.
    """
    x = _checked(rows, count)
    # Far from the origin the product below would lose digits. Bounds only: distances are those of the rows themselves.
    centred = np.ascontiguousarray(x - x.mean(0, dtype=np.float64).astype(np.float32))
    norms = np.einsum("nd,nd->n", centred, centred, dtype=np.float64)
    slack = _rounding(x.shape[1]) * (np.sqrt(norms) + np.sqrt(norms.max())) ** 2
    bound = np.full(len(x), np.inf)  # squared, never below the distance to the nearest chosen row
    exact = np.full(len(x), np.inf)  # squared distance to the nearest of the first `known` chosen rows
    known = np.zeros(len(x), np.int64)
    seen = np.zeros(len(x), np.int64)  # chosen rows that the bound takes into account
    chosen = np.zeros(count, np.int64)
    done, top, floor = 0, np.inf, 0.0
    while done < count:
        last = min(done + (block if done else 1), count)
        reached = _choose(x, bound, exact, known, chosen, done, last)
        done = last
        if np.isfinite(top):
            floor = (
                reached * (reached / top) ** 2 if top > 0 else 0.0
            )  # it falls less in the next block than in two like this one
        top = reached
        _lower(centred, norms, slack, bound, seen, chosen[:done], floor)
    return chosen


def greedy_coreset_plain(rows: Floats, count: int) -> Indices:
    """The same rows by the plain loop: the explanation, and what the fast one is held to. See `greedy_coreset`."""
    x = _checked(rows, count)
    chosen = np.zeros(count, np.int64)
    nearest = np.full(len(x), np.inf)
    for k in range(count):
        chosen[k] = int(nearest.argmax()) if k else 0
        for i in range(len(x)):
            nearest[i] = min(nearest[i], _squared(x[i], x[chosen[k]], np.inf))
        nearest[chosen[: k + 1]] = -1  # never twice
    return chosen


def cover_radius(rows: Floats, chosen: Indices) -> float:
    """The longest way from a row to the nearest chosen one.

    Args:
        rows: (N, D).
        chosen: indices of rows.
    """
    from m3dm.neighbours import Neighbours

    distance, _ = Neighbours(np.ascontiguousarray(rows[chosen], np.float32)).query(rows)
    return float(distance.max())


def project(rows: Floats, eps: float = 0.9, seed: int | None = 0) -> Floats:
    """A sparse random projection that keeps distances up to a share: what the greedy choice is made on.

    Where it would need as many columns as there are, or more, the rows stay as they are.

    Args:
        rows: (N, D).
        eps: the share; 0.9 is the published value.
        seed: of the projection.

    Returns:
        (N, k) float32, k being the bound of Johnson and Lindenstrauss.
    """
    from sklearn.random_projection import SparseRandomProjection, johnson_lindenstrauss_min_dim

    if int(johnson_lindenstrauss_min_dim(len(rows), eps=eps)) >= rows.shape[1]:
        return np.ascontiguousarray(rows, np.float32)
    found = SparseRandomProjection(eps=eps, random_state=seed).fit_transform(rows)
    return np.ascontiguousarray(found, np.float32)


def _checked(rows: Floats, count: int) -> Floats:
    if rows.ndim != 2:
        raise InputError(f"rows of a coreset have shape {rows.shape}; it must be (N, D)")
    if not 1 <= count <= len(rows):
        raise InputError(f"a coreset of {count} of {len(rows)} rows: it takes 1 to all of them")
    x = np.ascontiguousarray(rows, np.float32)
    if not np.isfinite(x).all():
        raise InputError("rows of a coreset hold numbers that are not finite")
    return x


def _rounding(dim: int) -> float:
    """How far |x|² + |c|² - 2xc in float32 can be from the squared distance, as a share of (|x| + |c|)²."""
    return (dim / 2 + 16) * 2.0**-24


def _lower(
    x: Floats, norms: Floats, slack: Floats, bound: Floats, seen: Indices, chosen: Indices, floor: float
) -> None:
    """Lower the bounds that lie above `floor` to the distance to the chosen rows, rounding included."""
    above = np.flatnonzero(bound > floor)
    for first in np.unique(seen[above]):
        rows = above[seen[above] == first]
        c, of_centres = x[chosen[first:]].T, norms[chosen[first:]].astype(np.float32)
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            squared = x[part] @ c
            squared *= -2
            squared += of_centres
            bound[part] = np.minimum(bound[part], squared.min(1) + norms[part] + slack[part])
        seen[rows] = len(chosen)


@numba.njit(cache=True, fastmath=True)
def _roughly(a: Floats, b: Floats) -> float:
    """Squared distance in float32, summed in whatever order is fastest."""
    total = np.float32(0.0)
    for d in range(len(a)):
        gap = a[d] - b[d]
        total += gap * gap
    return float(total)


@numba.njit(cache=True)
def _squared(a: Floats, b: Floats, limit: float) -> float:
    """Squared distance in float64; of one above the limit, a part that is above the limit already."""
    one, two, three, four = 0.0, 0.0, 0.0, 0.0
    whole = len(a) - len(a) % 4
    for d in range(0, whole, 4):
        # Four sums side by side, in an order that no compiler may change: the answer is the same wherever this is called.
        gap = np.float64(a[d]) - np.float64(b[d])
        one += gap * gap
        gap = np.float64(a[d + 1]) - np.float64(b[d + 1])
        two += gap * gap
        gap = np.float64(a[d + 2]) - np.float64(b[d + 2])
        three += gap * gap
        gap = np.float64(a[d + 3]) - np.float64(b[d + 3])
        four += gap * gap
        if d & 31 == 28 and (one + two) + (three + four) > limit:
            return (one + two) + (three + four)
    for d in range(whole, len(a)):
        gap = np.float64(a[d]) - np.float64(b[d])
        one += gap * gap
    return (one + two) + (three + four)


@numba.njit(cache=True)
def _choose(
    x: Floats, bound: Floats, exact: Floats, known: Indices, chosen: Indices, done: int, last: int
) -> float:
    """Choose rows number `done` to `last`; bounds of chosen rows become -1. Returns the squared distance of the last one."""
    size, reached = 256, np.inf
    rounding = len(x[0]) * 2.0**-23  # of a sum in float32, as a share of it
    tops = np.empty((len(x) + size - 1) // size)
    for block in range(len(tops)):
        tops[block] = bound[block * size : (block + 1) * size].max()
    while done < last:
        block = int(tops.argmax())
        i = block * size + int(bound[block * size : (block + 1) * size].argmax())
        if known[i] < done:
            # Some chosen row is as near as the bound says, or nearer: parts of sums above it are of no interest.
            for k in range(known[i], done):
                limit = min(exact[i], bound[i])
                if _roughly(x[i], x[chosen[k]]) * (1 - rounding) <= limit:
                    exact[i] = min(exact[i], _squared(x[i], x[chosen[k]], limit))
            known[i] = done
            bound[i] = exact[i]
        else:
            chosen[done] = i
            done += 1
            reached = bound[i]
            bound[i] = -1.0
        tops[block] = bound[block * size : (block + 1) * size].max()
    return reached
