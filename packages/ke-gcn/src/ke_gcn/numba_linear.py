"""A sparse matrix times rows, forward and backward, with the ReLU in the same walk."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from offprints.threads import by_rows

from ke_gcn.numba_rows import live_rows
from ke_gcn.numba_walk import arrays, compiled, new


def linear_step(indptr: Tensor, column: Tensor, weight: Tensor, x: Tensor, relu_rows: int = 0) -> Tensor:
    """A sparse matrix times x, with a ReLU on so many of the first rows."""
    out = new(x, len(indptr) - 1, x.shape[1])
    by_rows(_linear_step, indptr.numpy(), *arrays(column, weight, x), relu_rows, *arrays(out))
    return out


def linear_step_back(
    indptr: Tensor, column: Tensor, weight: Tensor, g: Tensor, gate: Tensor | None, gated: int, *, dead: bool
) -> Tensor:
    """The transposed matrix times a gradient, cut off where the ReLU before it did.

    Args:
        indptr: of the transposed matrix.
        column: of the transposed matrix.
        weight: of the transposed matrix.
        g: (rows or fewer, d): rows that are missing at the end are zero.
        gate: what the ReLU gave; None for no ReLU.
        gated: rows that went through the ReLU.
        dead: many rows of g are zero.
    """
    out = new(g, len(indptr) - 1, g.shape[1])
    live = np.ones(len(indptr) - 1, np.bool_)
    live[len(g) :] = False
    if dead:
        live[: len(g)] = live_rows(g)
    opened = arrays(g if gate is None else gate)[0]
    by_rows(
        _linear_step_back,
        indptr.numpy(),
        *arrays(column, weight, g),
        live,
        opened,
        0 if gate is None else gated,
        *arrays(out),
    )
    return out


@compiled()
def _linear_step(
    indptr: Any, column: Any, weight: Any, x: Any, relu_rows: int, out: Any, begin: int, end: int
) -> None:
    """Four entries at a time: the sum is read and written once for four rows that are gathered."""
    width, zero = x.shape[1], x.dtype.type(0)
    for row in range(begin, end):
        total = out[row]
        total[:] = 0
        entry, last = indptr[row], indptr[row + 1]
        while entry + 4 <= last:
            w0, w1, w2, w3 = weight[entry], weight[entry + 1], weight[entry + 2], weight[entry + 3]
            x0, x1, x2, x3 = (
                x[column[entry]],
                x[column[entry + 1]],
                x[column[entry + 2]],
                x[column[entry + 3]],
            )
            for j in range(width):
                total[j] += w0 * x0[j] + w1 * x1[j] + w2 * x2[j] + w3 * x3[j]
            entry += 4
        while entry < last:
            value, there = weight[entry], x[column[entry]]
            for j in range(width):
                total[j] += value * there[j]
            entry += 1
        if row < relu_rows:
            for j in range(width):
                total[j] = zero if total[j] < zero else total[j]


@compiled()
def _linear_step_back(
    indptr: Any,
    column: Any,
    weight: Any,
    g: Any,
    live: Any,
    gate: Any,
    gated: int,
    out: Any,
    begin: int,
    end: int,
) -> None:
    width, zero = g.shape[1], g.dtype.type(0)
    for row in range(begin, end):
        total = out[row]
        total[:] = 0
        entry, last = indptr[row], indptr[row + 1]
        while entry < last:
            # The next four that are alive; a dead row's place is taken by an entry of weight 0 that is in the cache.
            c0 = c1 = c2 = c3 = -1
            w0 = w1 = w2 = w3 = zero
            while entry < last and c3 < 0:
                c, w = column[entry], weight[entry]
                entry += 1
                if not live[c]:
                    continue
                if c0 < 0:
                    c0, w0 = c, w
                elif c1 < 0:
                    c1, w1 = c, w
                elif c2 < 0:
                    c2, w2 = c, w
                else:
                    c3, w3 = c, w
            if c0 < 0:
                break
            x0 = g[c0]
            x1, x2, x3 = g[c1 if c1 >= 0 else c0], g[c2 if c2 >= 0 else c0], g[c3 if c3 >= 0 else c0]
            for j in range(width):
                total[j] += w0 * x0[j] + w1 * x1[j] + w2 * x2[j] + w3 * x3[j]
        if row < gated:
            opened = gate[row]
            for j in range(width):
                if opened[j] <= 0:
                    total[j] = zero
