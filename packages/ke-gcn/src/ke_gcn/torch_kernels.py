"""The operations in plain torch, on any device: gather, multiply and add, a chunk of edges at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ke_gcn.algebra import conjugate, multiply
from ke_gcn.pattern import ByRelation, Edges, Pattern

# What a chunk's arrays hold: little enough for a CPU's caches, and on a GPU enough that its work outlasts a launch.
_CHUNK_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 24}


class TorchKernels:
    """See `ke_gcn.kernels.Kernels`."""

    whole_steps = False

    def weighted_sum(self, pattern: Pattern, weight: Tensor, x: Tensor, transposed: bool) -> Tensor:
        rows, columns = pattern.shape
        if transposed:
            parts = (pattern.transposed_indptr, pattern.transposed_row, weight[pattern.transposed_order])
            return _product(*parts, (columns, rows), x)
        return _product(pattern.indptr, pattern.column, weight, (rows, columns), x)

    def pair_dot(self, pattern: Pattern, x: Tensor, y: Tensor) -> Tensor:
        out = x.new_empty(len(pattern.row))
        for part in _chunks(len(out), x):
            out[part] = (_rows(x, pattern.row[part]) * _rows(y, pattern.column[part])).sum(1)
        return out

    def aggregate(self, edges: Edges, x: Tensor, r: Tensor, k: int) -> Tensor:
        out = torch.zeros_like(x)
        both = torch.cat([r, conjugate(r, k)])
        relation = edges.relation + (edges.sign < 0) * r.shape[0]
        for part in _chunks(len(relation), x):
            message = multiply(_rows(x, edges.source[part]), _rows(both, relation[part]), k)
            out.index_add_(0, edges.receiver[part], message)
        return out

    def relate(self, triples: ByRelation, x: Tensor, y: Tensor, k: int) -> Tensor:
        out = x.new_zeros(len(triples.indptr) - 1, x.shape[1])
        x = conjugate(x, k)
        for part in _chunks(len(triples.head), x):
            product = multiply(_rows(x, triples.head[part]), _rows(y, triples.tail[part]), k)
            out.index_add_(0, triples.relation[part], product)
        return out

    def distances(self, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        out = x.new_empty(len(left))
        for part in _chunks(len(left), x):
            out[part] = (_rows(x, left[part]) - _rows(x, right[part])).abs_().sum(1)
        return out

    def distance_gradient(self, x: Tensor, left: Tensor, right: Tensor, gradient: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        for part in _chunks(len(left), x):
            step = (_rows(x, left[part]) - _rows(x, right[part])).sign_().mul_(gradient[part, None])
            out.index_add_(0, left[part], step)
            out.index_add_(0, right[part], step, alpha=-1)
        return out


def _product(indptr: Tensor, column: Tensor, weight: Tensor, shape: tuple[int, int], x: Tensor) -> Tensor:
    matrix = torch.sparse_csr_tensor(indptr.to(column.dtype), column, weight, shape, check_invariants=False)
    return matrix @ x


def _rows(x: Tensor, index: Tensor) -> Tensor:
    return x.index_select(0, index)


def _chunks(count: int, rows: Tensor) -> Iterator[slice]:
    elements = _CHUNK_ELEMENTS.get(rows.device.type, _CHUNK_ELEMENTS["cpu"])
    step = max(1, elements // max(rows.shape[1], 1))
    return (slice(begin, begin + step) for begin in range(0, count, step))
