"""Whole layers with their gradients, where the backend has them compiled; elsewhere layers are put together from `ops`.

A product's layer is the gradient of T(e, r, e) (see `ops`) and of the squared lengths that a distance adds. Its way back
is one more walk of the same kind, over the rows of the entities and of their gradient. A translation's layers are products with one
constant matrix; only where their ReLUs were open is kept.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ke_gcn.graph import Graph
from ke_gcn.pattern import Matrix

NORM_SQUARED = 1e-12


def product_step(
    graph: Graph, e: Tensor, r: Tensor, k: int, alpha: float, *, distance: bool, relu: bool
) -> tuple[Tensor, Tensor]:
    """A step of the entities along dF/de of a product score, and dF/dr.

    Args:
        graph: N entities, R relations; its backend must have `whole_steps`.
        e: (N, d) float.
        r: (R, d) float.
        k: components a number.
        alpha: step of the entities; it is divided by their degrees.
        distance: the score is -|h r - t|^2; otherwise <h r, t>.
        relu: cut the entities off below 0.

    Returns:
        The entities moved (N, d), and dF/dr (R, d).
    """
    moved: tuple[Tensor, Tensor] = cast(Any, _ProductStep).apply(graph, e, r, k, alpha, distance, relu)
    return moved


def linear_stack(
    graph: Graph, matrix: Matrix, e: Tensor, r: Tensor, layers: int, relu_rows: int
) -> tuple[Tensor, Tensor]:
    """Products of one matrix with entities and relations in one array, with ReLUs between them.

    Args:
        graph: N entities, R relations; its backend must have `whole_steps`.
        matrix: (N + R, N + R).
        e: (N, d) float.
        r: (R, d) float.
        layers: number of products.
        relu_rows: rows that go through a ReLU behind all products but the last.

    Returns:
        (N, d) and (R, d).
    """
    moved: tuple[Tensor, Tensor] = cast(Any, _LinearStack).apply(graph, matrix, e, r, layers, relu_rows)
    return moved


def unit_rows(x: Tensor) -> Tensor:
    """Each row scaled to length 1; a row shorter than 1e-6 is multiplied by 10^6. (n, d) -> (n, d)."""
    if x.device.type != "cpu":
        return x * x.square().sum(1, keepdim=True).clamp_min(NORM_SQUARED).rsqrt()
    scaled: Tensor = cast(Any, _UnitRows).apply(x)
    return scaled


class _ProductStep(Function):
    @staticmethod
    def forward(
        ctx: Any, graph: Graph, e: Tensor, r: Tensor, k: int, alpha: float, distance: bool, relu: bool
    ) -> tuple[Tensor, Tensor]:
        from ke_gcn import numba_steps

        factor = 2.0 if distance else 1.0
        scale = (factor * alpha * graph.inverse_degree(e.dtype)).squeeze(1)
        moved, messages, own = numba_steps.product_step(
            graph.groups, e, r, k, scale, distance=distance, relu=relu
        )
        ctx.save_for_backward(e, r, moved if relu else None, own, scale)
        ctx.made_of = graph, k, factor, distance
        ctx.set_materialize_grads(False)
        return moved, factor * (messages - _repeated(own, k) * r if distance else messages)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_e: Tensor | None, by_r: Tensor | None) -> Any:
        from ke_gcn import numba_rows, numba_steps

        e, r, moved, own, scale = ctx.saved_tensors
        graph, k, factor, distance = ctx.made_of
        if by_e is None:
            by_e = torch.zeros_like(e)
        elif moved is not None:
            by_e = numba_rows.gated(by_e, moved)
        by_r = None if by_r is None else factor * by_r
        to_e, to_r, turned = numba_steps.product_step_back(
            graph.groups, e, r, k, scale, by_e, by_r, distance=distance
        )
        if distance:
            to_r = to_r - 2 * _repeated(turned, k) * r
            if by_r is not None:
                to_r = to_r - _repeated(own, k) * by_r
        return None, to_e, to_r, None, None, None, None


class _LinearStack(Function):
    @staticmethod
    def forward(
        ctx: Any, graph: Graph, matrix: Matrix, e: Tensor, r: Tensor, layers: int, relu_rows: int
    ) -> tuple[Tensor, Tensor]:
        from ke_gcn import numba_linear, numba_rows

        pattern, weights = matrix.pattern, matrix.weights(e.dtype)
        x = numba_rows.stacked(e, r)
        gates: list[Tensor] = []
        for layer in range(layers):
            last = layer == layers - 1
            x = numba_linear.linear_step(pattern.indptr, pattern.column, weights, x, 0 if last else relu_rows)
            if not last:
                gates.append(x)
        ctx.save_for_backward(*gates)
        ctx.made_of = matrix, relu_rows, len(e)
        ctx.set_materialize_grads(False)
        return x[: len(e)], x[len(e) :]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_e: Tensor | None, by_r: Tensor | None) -> Any:
        from ke_gcn import numba_linear, numba_rows

        matrix, relu_rows, entities = ctx.made_of
        gates = list(ctx.saved_tensors)
        if by_e is None and by_r is None:
            return None, None, None, None, None, None
        if by_r is None:
            g = by_e
        else:
            by_e = by_r.new_zeros(entities, by_r.shape[1]) if by_e is None else by_e
            g = numba_rows.stacked(by_e, by_r)
        assert g is not None
        pattern, weights = matrix.pattern, matrix.weights(g.dtype, transposed=True)
        transposed = pattern.transposed_indptr, pattern.transposed_row, weights
        first = True
        while True:
            gate = gates.pop() if gates else None
            g = numba_linear.linear_step_back(*transposed, g, gate, relu_rows, dead=first)
            first = False
            if gate is None:
                return None, None, g[:entities], g[entities:], None, None


class _UnitRows(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        from ke_gcn import numba_rows

        unit, inverse = numba_rows.unit_rows(x, NORM_SQUARED)
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by: Tensor) -> Any:
        from ke_gcn import numba_rows

        unit, inverse = ctx.saved_tensors
        return numba_rows.unit_rows_back(unit, inverse, by, NORM_SQUARED)


def _repeated(x: Tensor, k: int) -> Tensor:
    return torch.cat([x] * k, 1)
