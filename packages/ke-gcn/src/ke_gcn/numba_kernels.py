"""The operations as compiled loops: each row of the result is made by one walk over its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from offprints.threads import by_rows

from ke_gcn.numba_linear import linear_step
from ke_gcn.numba_walk import arrays, compiled, new
from ke_gcn.pattern import ByRelation, Edges, Pattern


class NumbaKernels:
    """See `ke_gcn.kernels.Kernels`."""

    whole_steps = True

    def weighted_sum(self, pattern: Pattern, weight: Tensor, x: Tensor, transposed: bool) -> Tensor:
        if transposed:
            indptr, column = pattern.transposed_indptr, pattern.transposed_row
            weight = weight[pattern.transposed_order]
        else:
            indptr, column = pattern.indptr, pattern.column
        return linear_step(indptr, column, weight, x)

    def pair_dot(self, pattern: Pattern, x: Tensor, y: Tensor) -> Tensor:
        out = x.new_empty(len(pattern.row))
        by_rows(_pair_dot, pattern.indptr.numpy(), *arrays(pattern.column, x, y, out))
        return out

    def aggregate(self, edges: Edges, x: Tensor, r: Tensor, k: int) -> Tensor:
        out = new(x)
        given = arrays(edges.source, edges.relation, edges.sign, x, r, out)
        by_rows(_AGGREGATE[k], edges.indptr.numpy(), *given)
        return out

    def relate(self, triples: ByRelation, x: Tensor, y: Tensor, k: int) -> Tensor:
        out = new(x, len(triples.indptr) - 1, x.shape[1])
        by_rows(_RELATE[k], triples.indptr.numpy(), *arrays(triples.head, triples.tail, x, y, out))
        return out

    def distances(self, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        out = x.new_empty(len(left))
        by_rows(_distances, np.arange(len(left) + 1), *arrays(left, right, x, out))
        return out

    def distance_gradient(self, x: Tensor, left: Tensor, right: Tensor, gradient: Tensor) -> Tensor:
        out = new(x).zero_()
        # Pairs share rows, so one thread walks them all.
        _distance_gradient(*arrays(left, right, x, gradient, out))
        return out


def all_distances(x: Tensor, y: Tensor) -> Tensor:
    """L1 distances of all rows of x from all rows of y; (n, d), (m, d) -> (n, m).

    Equal rows get equal distances to the bit, as ties ask for: the last columns take the way of the others.
    """
    columns = len(y)
    y = torch.cat([y, y[-1:].expand(-columns % 4, -1)])
    out = new(y, len(x), len(y))
    by_rows(_all_distances, np.arange(len(x) + 1) * len(y), *arrays(x, y, out))
    return out[:, :columns]


def count_block(
    found: Tensor,
    first: int,
    partner: Tensor,
    closer: Tensor,
    at_most: Tensor,
    nearest: Tensor,
    best: Tensor,
    column_nearest: Tensor,
) -> None:
    """Add a block of distances to the counts of `ranking.rank_pairs`; all but `found` are of all rows or columns."""
    counts = (tensor.numpy() for tensor in (closer, at_most, nearest, best, column_nearest))
    _count_block(found.numpy(), first, partner.numpy(), *counts)


@compiled()
def _pair_dot(indptr: Any, column: Any, x: Any, y: Any, out: Any, begin: int, end: int) -> None:
    width = x.shape[1]
    for row in range(begin, end):
        here = x[row]
        for entry in range(indptr[row], indptr[row + 1]):
            there = y[column[entry]]
            total = x.dtype.type(0)
            for j in range(width):
                total += here[j] * there[j]
            out[entry] = total


@compiled()
def _aggregate_real(
    indptr: Any, source: Any, relation: Any, sign: Any, x: Any, r: Any, out: Any, begin: int, end: int
) -> None:
    width = x.shape[1]
    for row in range(begin, end):
        total = out[row]
        total[:] = 0
        for edge in range(indptr[row], indptr[row + 1]):
            there, by = x[source[edge]], r[relation[edge]]
            for j in range(width):
                total[j] += there[j] * by[j]


@compiled()
def _aggregate_complex(
    indptr: Any, source: Any, relation: Any, sign: Any, x: Any, r: Any, out: Any, begin: int, end: int
) -> None:
    n = x.shape[1] // 2
    for row in range(begin, end):
        out[row, :] = 0
        u0, u1 = out[row, :n], out[row, n:]
        for edge in range(indptr[row], indptr[row + 1]):
            there, by = x[source[edge]], r[relation[edge]]
            a, b = there[:n], there[n:]
            p, q = by[:n], by[n:]
            s = x.dtype.type(sign[edge])
            for j in range(n):
                q_j = s * q[j]
                u0[j] += a[j] * p[j] - b[j] * q_j
                u1[j] += a[j] * q_j + b[j] * p[j]


@compiled()
def _aggregate_quaternion(
    indptr: Any, source: Any, relation: Any, sign: Any, x: Any, r: Any, out: Any, begin: int, end: int
) -> None:
    n = x.shape[1] // 4
    for row in range(begin, end):
        out[row, :] = 0
        u0, u1, u2, u3 = out[row, :n], out[row, n : 2 * n], out[row, 2 * n : 3 * n], out[row, 3 * n :]
        for edge in range(indptr[row], indptr[row + 1]):
            there, by = x[source[edge]], r[relation[edge]]
            a, b, c, d = there[:n], there[n : 2 * n], there[2 * n : 3 * n], there[3 * n :]
            p, q, s, t = by[:n], by[n : 2 * n], by[2 * n : 3 * n], by[3 * n :]
            g = x.dtype.type(sign[edge])
            for j in range(n):
                q_j, s_j, t_j = g * q[j], g * s[j], g * t[j]
                u0[j] += a[j] * p[j] - b[j] * q_j - c[j] * s_j - d[j] * t_j
                u1[j] += a[j] * q_j + b[j] * p[j] + c[j] * t_j - d[j] * s_j
                u2[j] += a[j] * s_j - b[j] * t_j + c[j] * p[j] + d[j] * q_j
                u3[j] += a[j] * t_j + b[j] * s_j - c[j] * q_j + d[j] * p[j]


@compiled()
def _relate_real(indptr: Any, head: Any, tail: Any, x: Any, y: Any, out: Any, begin: int, end: int) -> None:
    width = x.shape[1]
    for row in range(begin, end):
        total = out[row]
        total[:] = 0
        for edge in range(indptr[row], indptr[row + 1]):
            a, p = x[head[edge]], y[tail[edge]]
            for j in range(width):
                total[j] += a[j] * p[j]


@compiled()
def _relate_complex(
    indptr: Any, head: Any, tail: Any, x: Any, y: Any, out: Any, begin: int, end: int
) -> None:
    n = x.shape[1] // 2
    for row in range(begin, end):
        out[row, :] = 0
        u0, u1 = out[row, :n], out[row, n:]
        for edge in range(indptr[row], indptr[row + 1]):
            here, there = x[head[edge]], y[tail[edge]]
            a, b = here[:n], here[n:]
            p, q = there[:n], there[n:]
            for j in range(n):
                u0[j] += a[j] * p[j] + b[j] * q[j]
                u1[j] += a[j] * q[j] - b[j] * p[j]


@compiled()
def _relate_quaternion(
    indptr: Any, head: Any, tail: Any, x: Any, y: Any, out: Any, begin: int, end: int
) -> None:
    n = x.shape[1] // 4
    for row in range(begin, end):
        out[row, :] = 0
        u0, u1, u2, u3 = out[row, :n], out[row, n : 2 * n], out[row, 2 * n : 3 * n], out[row, 3 * n :]
        for edge in range(indptr[row], indptr[row + 1]):
            here, there = x[head[edge]], y[tail[edge]]
            a, b, c, d = here[:n], here[n : 2 * n], here[2 * n : 3 * n], here[3 * n :]
            p, q, s, t = there[:n], there[n : 2 * n], there[2 * n : 3 * n], there[3 * n :]
            for j in range(n):
                u0[j] += a[j] * p[j] + b[j] * q[j] + c[j] * s[j] + d[j] * t[j]
                u1[j] += a[j] * q[j] - b[j] * p[j] - c[j] * t[j] + d[j] * s[j]
                u2[j] += a[j] * s[j] + b[j] * t[j] - c[j] * p[j] - d[j] * q[j]
                u3[j] += a[j] * t[j] - b[j] * s[j] + c[j] * q[j] - d[j] * p[j]


@compiled()
def _distances(indptr: Any, left: Any, right: Any, x: Any, out: Any, begin: int, end: int) -> None:
    width = x.shape[1]
    for pair in range(begin, end):
        a, b = x[left[pair]], x[right[pair]]
        total = x.dtype.type(0)
        for j in range(width):
            total += abs(a[j] - b[j])
        out[pair] = total


@compiled()
def _all_distances(indptr: Any, x: Any, y: Any, out: Any, begin: int, end: int) -> None:
    """Sixteen columns for all rows, so that they stay in the nearest cache; of these four at a time, in registers."""
    width = x.shape[1]
    for first in range(0, len(y), 16):
        for row in range(begin, end):
            here = x[row]
            for column in range(first, min(first + 16, len(y)), 4):
                y0, y1, y2, y3 = y[column], y[column + 1], y[column + 2], y[column + 3]
                a = b = c = d = x.dtype.type(0)
                for j in range(width):
                    value = here[j]
                    a += abs(value - y0[j])
                    b += abs(value - y1[j])
                    c += abs(value - y2[j])
                    d += abs(value - y3[j])
                out[row, column], out[row, column + 1], out[row, column + 2], out[row, column + 3] = (
                    a,
                    b,
                    c,
                    d,
                )


@compiled()
def _count_block(
    found: Any,
    first: int,
    partner: Any,
    closer: Any,
    at_most: Any,
    nearest: Any,
    best: Any,
    column_nearest: Any,
) -> None:
    """One pass over a block of distances for what torch needs six for."""
    for i in range(found.shape[0]):
        row = first + i
        here, own, least, where = found[i], partner[row], found[i, 0], 0
        strictly = equally = 0
        for column in range(found.shape[1]):
            value, theirs = here[column], partner[column]
            strictly += value < own
            equally += value <= own
            closer[1, column] += value < theirs
            at_most[1, column] += value <= theirs
        for column in range(found.shape[1]):
            if here[column] < least:
                least, where = here[column], column
            if here[column] < best[column]:
                best[column] = here[column]
                column_nearest[column] = row
        closer[0, row], at_most[0, row], nearest[row] = strictly, equally, where


@compiled()
def _distance_gradient(left: Any, right: Any, x: Any, gradient: Any, out: Any) -> None:
    width = x.shape[1]
    for pair in range(len(left)):
        g = gradient[pair]
        if g == 0:  # pairs beyond the margin
            continue
        a, b = x[left[pair]], x[right[pair]]
        to_a, to_b = out[left[pair]], out[right[pair]]
        for j in range(width):
            step = g if a[j] > b[j] else (-g if a[j] < b[j] else g * 0)
            to_a[j] += step
            to_b[j] -= step


_AGGREGATE = {1: _aggregate_real, 2: _aggregate_complex, 4: _aggregate_quaternion}
_RELATE = {1: _relate_real, 2: _relate_complex, 4: _relate_quaternion}
