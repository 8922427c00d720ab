"""The sums of products as one GPU kernel each: rows are read, multiplied and added up in registers, and no message is stored.

A program walks a run of edges that are sorted by where their products go, and adds to the result when that changes. In
plain torch the same takes a pass over memory for each multiplication.
"""

# Triton reads annotations when it compiles, and knows none but its own.
# ruff: noqa: ANN001, ANN202

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ke_gcn.algebra import conjugate
from ke_gcn.pattern import ByRelation, Edges
from ke_gcn.torch_kernels import TorchKernels

_RUN = 16
"""Edges of a program: enough that most of their sums stay in registers, few enough that all of the GPU is busy."""


class TritonKernels(TorchKernels):
    """See `ke_gcn.kernels.Kernels`; what no product is in is torch's."""

    def aggregate(self, edges: Edges, x: Tensor, r: Tensor, k: int) -> Tensor:
        return _summed(x, r, edges.receiver, (edges.source, edges.relation), edges.sign, len(x), k)

    def relate(self, triples: ByRelation, x: Tensor, y: Tensor, k: int) -> Tensor:
        rows = triples.head, triples.tail
        return _summed(conjugate(x, k), y, triples.relation, rows, None, len(triples.indptr) - 1, k)


def _summed(
    x: Tensor, y: Tensor, to: Tensor, rows: tuple[Tensor, Tensor], sign: Tensor | None, count: int, k: int
) -> Tensor:
    """The sums of x[rows[0]] y[rows[1]], with conj(y) where the sign is negative, by `to`; (count, d)."""
    out = x.new_zeros(count, x.shape[1])
    width = x.shape[1] // k
    columns = triton.next_power_of_2(width)
    grid = (triton.cdiv(len(to), _RUN),)
    with torch.cuda.device_of(x):
        _add_products[grid](
            x.contiguous(),
            y.contiguous(),
            out,
            to,
            *rows,
            to if sign is None else sign,
            len(to),
            width,
            K=k,
            SIGNED=sign is not None,
            RUN=_RUN,
            COLUMNS=columns,
            num_warps=max(1, columns // 128),
        )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _add_products(  # type: ignore[no-untyped-def]
    x,
    y,
    out,
    to,
    left,
    right,
    sign,
    count,
    width,
    K: tl.constexpr,
    SIGNED: tl.constexpr,
    RUN: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    first = tl.program_id(0) * RUN
    column = tl.arange(0, COLUMNS)
    inside = column < width
    a = tl.zeros((COLUMNS,), x.dtype.element_ty)
    b = tl.zeros((COLUMNS,), x.dtype.element_ty)
    c = tl.zeros((COLUMNS,), x.dtype.element_ty)
    d = tl.zeros((COLUMNS,), x.dtype.element_ty)
    row = tl.load(to + first)
    for i in range(first, tl.minimum(first + RUN, count)):
        target = tl.load(to + i)
        if target != row:
            _add(out + row.to(tl.int64) * K * width + column, width, inside, a, b, c, d, K)
            row = target
            a = tl.zeros_like(a)
            b = tl.zeros_like(b)
            c = tl.zeros_like(c)
            d = tl.zeros_like(d)
        p = x + tl.load(left + i).to(tl.int64) * K * width + column
        q = y + tl.load(right + i).to(tl.int64) * K * width + column
        x0 = tl.load(p, inside, 0.0)
        y0 = tl.load(q, inside, 0.0)
        if K == 1:
            a += x0 * y0
        if K > 1:
            turn = 1.0
            if SIGNED:
                turn = tl.load(sign + i).to(x.dtype.element_ty)
            x1 = tl.load(p + width, inside, 0.0)
            y1 = tl.load(q + width, inside, 0.0) * turn
            a += x0 * y0 - x1 * y1
            b += x0 * y1 + x1 * y0
            if K == 4:
                x2 = tl.load(p + 2 * width, inside, 0.0)
                x3 = tl.load(p + 3 * width, inside, 0.0)
                y2 = tl.load(q + 2 * width, inside, 0.0) * turn
                y3 = tl.load(q + 3 * width, inside, 0.0) * turn
                a -= x2 * y2 + x3 * y3
                b += x2 * y3 - x3 * y2
                c += x0 * y2 - x1 * y3 + x2 * y0 + x3 * y1
                d += x0 * y3 + x1 * y2 - x2 * y1 + x3 * y0
    _add(out + row.to(tl.int64) * K * width + column, width, inside, a, b, c, d, K)


@triton.jit  # type: ignore[untyped-decorator]
def _add(place, width, inside, a, b, c, d, K: tl.constexpr):  # type: ignore[no-untyped-def]
    tl.atomic_add(place, a, inside)
    if K > 1:
        tl.atomic_add(place + width, b, inside)
    if K == 4:
        tl.atomic_add(place + 2 * width, c, inside)
        tl.atomic_add(place + 3 * width, d, inside)
