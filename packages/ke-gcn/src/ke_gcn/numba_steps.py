"""Whole layers of products as compiled loops: an entity's row is gathered, moved, cut off by the ReLU and written once.

The messages of one relation to one entity share their factor, so their sources are summed before it is applied. The sum
also gives the relation its own message without another walk. Relations are summed in a fixed number of parts, whatever
the number of threads, so that this number changes no bit of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ke_gcn.numba_rows import live_rows
from ke_gcn.numba_walk import arrays, compiled, in_parts, new
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
