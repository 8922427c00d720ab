"""The operations of `kernels.py` with their gradients.

Aggregating and relating come from one trilinear form,

    T(x, r, y) = sum over triples of <x_h r, y_t>,

whose gradient in y_t are messages along the triples, in x_h messages against them (with conj r), and in r the products
conj(x_h) y_t. So each gradient is again one of the operations, of any order, and nothing of the size of the
edges is kept for the way back.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from ke_gcn.graph import Direction, Graph
from ke_gcn.kernels import Kernels
from ke_gcn.pattern import Matrix, Pattern

_REVERSED: dict[Direction, Direction] = {"in": "out", "out": "in", "both": "both"}


def product(graph: Graph, matrix: Matrix, x: Tensor, transposed: bool = False) -> Tensor:
    """A constant sparse matrix, or its transpose, times x; x (columns, d) -> (rows, d)."""
    return weighted_sum(graph, matrix.pattern, matrix.weights(x.dtype), x, transposed)


def weighted_sum(
    graph: Graph, pattern: Pattern, weight: Tensor, x: Tensor, transposed: bool = False
) -> Tensor:
    """The same with values that may be trained; see `Kernels.weighted_sum`."""
    return _apply(_WeightedSum, graph.kernels, pattern, weight, x, transposed)


def pair_dot(graph: Graph, pattern: Pattern, x: Tensor, y: Tensor) -> Tensor:
    """<x[row], y[column]> at each entry of the pattern; x (rows, d), y (columns, d) -> (entries,)."""
    return _apply(_PairDot, graph.kernels, pattern, x, y)


def aggregate(graph: Graph, x: Tensor, r: Tensor, k: int, direction: Direction = "both") -> Tensor:
    """AGG: what the neighbours say of each entity, x_h r along a triple and x_t conj(r) against it.

    Args:
        graph: N entities, R relations.
        x: (N, d) float.
        r: (R, d) float.
        k: components a number, see `algebra`.
        direction: "in" only along, "out" only against the triples.

    Returns:
        (N, d) float.
    """
    return _apply(_Aggregate, graph, x, r, k, direction)


def relate(graph: Graph, x: Tensor, y: Tensor, k: int) -> Tensor:
    """REL: the sum of conj(x_h) y_t over the triples of each relation; x, y (N, d) -> (R, d)."""
    return _apply(_Relate, graph, x, y, k)


def distances(graph: Graph, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """L1 distances of the rows x[left] and x[right]; x (N, d), left and right (pairs,) int64 -> (pairs,)."""
    return _apply(_Distances, graph.kernels, x, left, right)


def _apply(function: type[Function], *arguments: Any) -> Tensor:
    result: Tensor = cast(Any, function).apply(*arguments)
    return result


class _WeightedSum(Function):
    @staticmethod
    def forward(
        ctx: Any, kernels: Kernels, pattern: Pattern, weight: Tensor, x: Tensor, transposed: bool
    ) -> Tensor:
        # x is only needed for the gradient of the weights; where those are constants it need not be kept.
        ctx.save_for_backward(weight, x if weight.requires_grad else None)
        ctx.made_of = kernels, pattern, transposed
        return kernels.weighted_sum(pattern, weight, x, transposed)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        weight, x = ctx.saved_tensors
        kernels, pattern, transposed = ctx.made_of
        to_weight = to_x = None
        if ctx.needs_input_grad[2]:
            sides = (x, gradient) if transposed else (gradient, x)
            to_weight = _apply(_PairDot, kernels, pattern, *sides)
        if ctx.needs_input_grad[3]:
            to_x = _apply(_WeightedSum, kernels, pattern, weight, gradient, not transposed)
        return None, None, to_weight, to_x, None


class _PairDot(Function):
    @staticmethod
    def forward(ctx: Any, kernels: Kernels, pattern: Pattern, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.made_of = kernels, pattern
        return kernels.pair_dot(pattern, x, y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, y = ctx.saved_tensors
        to_x = to_y = None
        if ctx.needs_input_grad[2]:
            to_x = _apply(_WeightedSum, *ctx.made_of, gradient, y, False)
        if ctx.needs_input_grad[3]:
            to_y = _apply(_WeightedSum, *ctx.made_of, gradient, x, True)
        return None, None, to_x, to_y


class _Aggregate(Function):
    @staticmethod
    def forward(ctx: Any, graph: Graph, x: Tensor, r: Tensor, k: int, direction: Direction) -> Tensor:
        ctx.save_for_backward(x, r)
        ctx.made_of = graph, k, direction
        return graph.kernels.aggregate(graph.edges(direction), x, r, k)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, r = ctx.saved_tensors
        graph, k, direction = ctx.made_of
        to_x = to_r = None
        if ctx.needs_input_grad[1]:
            to_x = _apply(_Aggregate, graph, gradient, r, k, _REVERSED[direction])
        if ctx.needs_input_grad[2]:
            if direction != "out":
                to_r = _apply(_Relate, graph, x, gradient, k)
            if direction != "in":
                against = _apply(_Relate, graph, gradient, x, k)
                to_r = against if to_r is None else to_r + against
        return None, to_x, to_r, None, None


class _Relate(Function):
    @staticmethod
    def forward(ctx: Any, graph: Graph, x: Tensor, y: Tensor, k: int) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.made_of = graph, k
        ctx.same = x is y
        return graph.kernels.relate(graph.by_relation, x, y, k)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, y = ctx.saved_tensors
        graph, k = ctx.made_of
        if ctx.same:  # both sides' gradients go to one tensor: one walk over the edges instead of two
            return None, _apply(_Aggregate, graph, x, gradient, k, "both"), None, None
        to_x = to_y = None
        if ctx.needs_input_grad[1]:
            to_x = _apply(_Aggregate, graph, y, gradient, k, "out")
        if ctx.needs_input_grad[2]:
            to_y = _apply(_Aggregate, graph, x, gradient, k, "in")
        return None, to_x, to_y, None


class _Distances(Function):
    @staticmethod
    def forward(ctx: Any, kernels: Kernels, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(x, left, right)
        ctx.kernels = kernels
        return kernels.distances(x, left, right)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, left, right = ctx.saved_tensors
        return None, ctx.kernels.distance_gradient(x, left, right, gradient), None, None
