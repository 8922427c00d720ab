"""Whole layers as compiled loops: an entity's row is gathered, moved, cut off by the ReLU and written once.

The messages of one relation to one entity share their factor, so their sources are summed before it is applied. The sum
also gives the relation its own message without another walk. Relations are summed in a fixed number of parts, whatever
the number of threads, so that this number changes no bit of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ke_gcn.numba_kernels import arrays, by_rows, compiled, in_parts, new
from ke_gcn.pattern import Groups

_PARTS = 4


def product_step(
    groups: Groups, e: Tensor, r: Tensor, k: int, scale: Tensor, *, distance: bool, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """See `ke_gcn.steps`; the entities moved, the relations' messages, and |e_h|^2 summed over a relation's triples."""
    width = e.shape[1]
    out = new(e)
    to_r, own_r = (e.new_zeros(_PARTS, len(r), columns) for columns in (width, width // k))
    given = arrays(groups.first, groups.relation, groups.sign, groups.source, e, r, _lengths(r, k), scale)
    in_parts(_PARTS, _product_step, groups.indptr, *given, k, distance, relu, *arrays(out, to_r, own_r))
    return out, to_r.sum(0), own_r.sum(0)


def product_step_back(
    groups: Groups,
    e: Tensor,
    r: Tensor,
    k: int,
    scale: Tensor,
    by_e: Tensor,
    by_r: Tensor | None,
    *,
    distance: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `product_step` in e and, but for the terms in |r|^2 (third result), in r.

    Args:
        groups: messages of the graph.
        e: (N, d), as given to the step.
        r: (R, d), as given to the step.
        k: components a number.
        scale: (N,), as given to the step.
        by_e: (N, d) gradient in the entities moved, cut off where the ReLU did.
        by_r: (R, d) gradient in the relations' messages; None is zero.
        distance: as given to the step.

    Returns:
        (N, d), (R, d), and (R, d / k), the sum over a relation's triples of <e_h, gradient in e_h's messages>.
    """
    width = e.shape[1]
    out = new(e)
    to_r, own_r = (e.new_zeros(_PARTS, len(r), columns) for columns in (width, width // k))
    given = arrays(
        groups.first, groups.relation, groups.sign, groups.source, e, r, _lengths(r, k), scale, by_e
    )
    live = live_rows(by_e)
    of_relations = torch.zeros_like(r) if by_r is None else by_r
    inner = (r * of_relations).unflatten(1, (k, -1)).sum(1)
    more = arrays(of_relations, inner)
    in_parts(
        _PARTS,
        _product_step_back,
        groups.indptr,
        *given,
        live,
        *more,
        k,
        distance,
        by_r is not None,
        *arrays(out, to_r, own_r),
    )
    return out, to_r.sum(0), own_r.sum(0)


def live_rows(x: Tensor) -> Any:
    """Which rows have a number that is not 0; (n,) bool. Most of a loss's gradient is zero rows, not worth a gather."""
    live = np.empty(len(x), np.bool_)
    (rows,) = arrays(x)
    _live_rows(rows, live)
    return live


def linear_step(indptr: Tensor, column: Tensor, weight: Tensor, x: Tensor, relu_rows: int) -> Tensor:
    """A sparse matrix times x, with a ReLU on the first rows."""
    out = new(x, len(indptr) - 1, x.shape[1])
    by_rows(_linear_step, indptr, *arrays(column, weight, x), relu_rows, *arrays(out))
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
        indptr,
        *arrays(column, weight, g),
        live,
        opened,
        0 if gate is None else gated,
        *arrays(out),
    )
    return out


def stacked(e: Tensor, r: Tensor) -> Tensor:
    """Both in one array; (N, d), (R, d) -> (N + R, d)."""
    out = new(e, len(e) + len(r), e.shape[1])
    out[: len(e)], out[len(e) :] = e.detach(), r.detach()
    return out


def gated(g: Tensor, gate: Tensor) -> Tensor:
    """g where the gate is above 0, and 0 elsewhere; (n, d), (n, d) -> (n, d)."""
    out = new(g)
    _gated(*arrays(g, gate, out))
    return out


def unit_rows(x: Tensor, shortest_squared: float) -> tuple[Tensor, Tensor]:
    """Rows scaled to length 1, and the factors that did it."""
    out, inverse = new(x), x.new_empty(len(x))
    rows, scaled, factors = arrays(x, out, inverse)
    _unit_rows(rows, rows.dtype.type(shortest_squared), scaled, factors)
    return out, inverse


def unit_rows_back(unit: Tensor, inverse: Tensor, g: Tensor, shortest_squared: float) -> Tensor:
    """The gradient of `unit_rows` in x; a row that was too short has a constant factor."""
    out = new(g)
    rows, factors, by, there = arrays(unit, inverse, g, out)
    longest = rows.dtype.type((1 - 1e-5) * shortest_squared**-0.5)
    _unit_rows_back(rows, factors, longest, by, there)
    return out


def _lengths(r: Tensor, k: int) -> Tensor:
    lengths: Tensor = r.square().unflatten(1, (k, -1)).sum(1)
    return lengths


@compiled()
def _add_product(out: Any, x: Any, r: Any, sign: int, k: int) -> None:
    """out += x r, with conj(r) for a negative sign."""
    n = len(x) // k
    if k == 1:
        for j in range(n):
            out[j] += x[j] * r[j]
    elif k == 2:
        a, b, p, q = x[:n], x[n:], r[:n], r[n:]
        u, v = out[:n], out[n:]
        if sign > 0:
            for j in range(n):
                u[j] += a[j] * p[j] - b[j] * q[j]
                v[j] += a[j] * q[j] + b[j] * p[j]
        else:
            for j in range(n):
                u[j] += a[j] * p[j] + b[j] * q[j]
                v[j] += b[j] * p[j] - a[j] * q[j]
    else:
        a, b, c, d = x[:n], x[n : 2 * n], x[2 * n : 3 * n], x[3 * n :]
        p, q, s, t = r[:n], r[n : 2 * n], r[2 * n : 3 * n], r[3 * n :]
        u0, u1, u2, u3 = out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n :]
        g = out.dtype.type(sign)
        for j in range(n):
            q_j, s_j, t_j = g * q[j], g * s[j], g * t[j]
            u0[j] += a[j] * p[j] - b[j] * q_j - c[j] * s_j - d[j] * t_j
            u1[j] += a[j] * q_j + b[j] * p[j] + c[j] * t_j - d[j] * s_j
            u2[j] += a[j] * s_j - b[j] * t_j + c[j] * p[j] + d[j] * q_j
            u3[j] += a[j] * t_j + b[j] * s_j - c[j] * q_j + d[j] * p[j]


@compiled()
def _add_quotient(out: Any, x: Any, y: Any, k: int) -> None:
    """out += conj(x) y: the relation that takes x to y."""
    n = len(x) // k
    if k == 1:
        for j in range(n):
            out[j] += x[j] * y[j]
    elif k == 2:
        a, b, p, q = x[:n], x[n:], y[:n], y[n:]
        u, v = out[:n], out[n:]
        for j in range(n):
            u[j] += a[j] * p[j] + b[j] * q[j]
            v[j] += a[j] * q[j] - b[j] * p[j]
    else:
        a, b, c, d = x[:n], x[n : 2 * n], x[2 * n : 3 * n], x[3 * n :]
        p, q, s, t = y[:n], y[n : 2 * n], y[2 * n : 3 * n], y[3 * n :]
        u0, u1, u2, u3 = out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n :]
        for j in range(n):
            u0[j] += a[j] * p[j] + b[j] * q[j] + c[j] * s[j] + d[j] * t[j]
            u1[j] += a[j] * q[j] - b[j] * p[j] - c[j] * t[j] + d[j] * s[j]
            u2[j] += a[j] * s[j] + b[j] * t[j] - c[j] * p[j] - d[j] * q[j]
            u3[j] += a[j] * t[j] - b[j] * s[j] + c[j] * q[j] - d[j] * p[j]


@compiled()
def _inner(out: Any, x: Any, y: Any, k: int) -> None:
    """Inner product of each number of x with that of y, (d / k,)."""
    n = len(out)
    for j in range(n):
        out[j] = x[j] * y[j]
    for part in range(1, k):
        a, b = x[part * n : (part + 1) * n], y[part * n : (part + 1) * n]
        for j in range(n):
            out[j] += a[j] * b[j]


@compiled()
def _add(out: Any, x: Any, factor: Any) -> None:
    for j in range(len(out)):
        out[j] += factor * x[j]


@compiled()
def _product_step(
    indptr: Any, first: Any, relation: Any, sign: Any, source: Any, x: Any, r: Any, lengths: Any, scale: Any, k: int,
    distance: bool, relu: bool, out: Any, to_r: Any, own_r: Any, part: int, begin: int, end: int,
) -> None:  # fmt: skip
    width, n, one = x.shape[1], lengths.shape[1], x.dtype.type(1)
    total, summed = np.empty(width, x.dtype), np.empty(width, x.dtype)
    own, here_squared = np.empty(n, x.dtype), np.empty(n, x.dtype)
    for row in range(begin, end):
        here = x[row]
        total[:] = 0
        own[:] = 0
        if distance:
            _inner(here_squared, here, here, k)
        for group in range(indptr[row], indptr[row + 1]):
            by = relation[group]
            start, stop = first[group], first[group + 1]
            sources = x[source[start]]
            if stop > start + 1:
                summed[:] = sources
                for message in range(start + 1, stop):
                    _add(summed, x[source[message]], one)
                sources = summed
            _add_product(total, sources, r[by], sign[group], k)
            count = x.dtype.type(stop - start)
            if sign[group] > 0:
                _add_quotient(to_r[part, by], sources, here, k)
                if distance:
                    for j in range(n):
                        own[j] += count
            elif distance:
                _add(own, lengths[by], count)
                _add(own_r[part, by], here_squared, count)
        step, there = scale[row], out[row]
        for component in range(k):
            for j in range(n):
                i = component * n + j
                value = here[i] + step * (total[i] - own[j] * here[i])
                there[i] = x.dtype.type(0) if relu and value < 0 else value


@compiled()
def _product_step_back(
    indptr: Any, first: Any, relation: Any, sign: Any, source: Any, x: Any, r: Any, lengths: Any, scale: Any, g: Any,
    live: Any, by_r: Any, inner: Any, k: int, distance: bool, relations: bool, out: Any, to_r: Any, own_r: Any,
    part: int, begin: int, end: int,
) -> None:  # fmt: skip
    width, n, one = x.shape[1], lengths.shape[1], x.dtype.type(1)
    total, summed, moved, a = (
        np.empty(width, x.dtype),
        np.empty(width, x.dtype),
        np.empty(width, x.dtype),
        np.empty(width, x.dtype),
    )
    own, product, turned = np.empty(n, x.dtype), np.empty(n, x.dtype), np.empty(n, x.dtype)
    for row in range(begin, end):
        here, by_here, step = x[row], g[row], scale[row]
        total[:] = 0
        own[:] = 0
        turned[:] = 0
        for j in range(width):
            a[j] = step * by_here[j]
        if distance:
            _inner(product, here, a, k)
        for group in range(indptr[row], indptr[row + 1]):
            by = relation[group]
            start, stop = first[group], first[group + 1]
            along = sign[group] > 0
            count = x.dtype.type(stop - start)
            any_live = False
            for message in range(start, stop):
                u = source[message]
                if live[u]:
                    if not any_live:
                        moved[:] = 0
                        any_live = True
                    _add(moved, g[u], scale[u])
            if any_live:
                _add_product(total, moved, r[by], sign[group], k)
                if along:
                    _add_quotient(to_r[part, by], moved, here, k)
            if relations or (along and live[row]):
                sources = x[source[start]]
                if stop > start + 1:
                    summed[:] = sources
                    for message in range(start + 1, stop):
                        _add(summed, x[source[message]], one)
                    sources = summed
                if relations:
                    _add_product(total, sources, by_r[by], sign[group], k)
                if along and live[row]:
                    _add_quotient(to_r[part, by], sources, a, k)
            if distance:
                if along:
                    for j in range(n):
                        own[j] += count
                else:
                    _add(own, lengths[by], count)
                    _add(turned, inner[by], count)
                    _add(own_r[part, by], product, count)
        there = out[row]
        for component in range(k):
            for j in range(n):
                i = component * n + j
                there[i] = by_here[i] + total[i] - own[j] * a[i] - 2 * turned[j] * here[i]


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
            _add(total, x[column[entry]], weight[entry])
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


@compiled()
def _gated(g: Any, gate: Any, out: Any) -> None:
    width, zero = g.shape[1], g.dtype.type(0)
    for row in range(len(g)):
        by, opened, there = g[row], gate[row], out[row]
        for j in range(width):
            there[j] = by[j] if opened[j] > 0 else zero


@compiled()
def _live_rows(x: Any, live: Any) -> None:
    for row in range(len(x)):
        here, found = x[row], False
        for j in range(len(here)):
            if here[j] != 0:
                found = True
                break
        live[row] = found


@compiled()
def _unit_rows(x: Any, shortest_squared: Any, out: Any, inverse: Any) -> None:
    width = x.shape[1]
    for row in range(len(x)):
        here, there, squares = x[row], out[row], x.dtype.type(0)
        for j in range(width):
            squares += here[j] * here[j]
        factor = x.dtype.type(1) / np.sqrt(shortest_squared if squares < shortest_squared else squares)
        inverse[row] = factor
        for j in range(width):
            there[j] = here[j] * factor


@compiled()
def _unit_rows_back(unit: Any, inverse: Any, longest: Any, g: Any, out: Any) -> None:
    width = g.shape[1]
    for row in range(len(g)):
        here, by, there, dot = unit[row], g[row], out[row], g.dtype.type(0)
        if inverse[row] < longest:
            for j in range(width):
                dot += here[j] * by[j]
        for j in range(width):
            there[j] = inverse[row] * (by[j] - dot * here[j])
