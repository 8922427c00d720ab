"""A layer from any differentiable score: the message is its gradient, found by torch.func.

    def conve_like(head, relation, tail): ...          # (..., d) rows -> (...,) scores
    layer = KEGCNConv(GenericScore(conve_like))

Edges are taken a chunk at a time and computed again on the way back, so that memory stays that of a chunk. What the
layer trains are the rows: parameters inside the function itself get no gradient, so put them into the relations' rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd import Function

from offprints.errors import InputError

from ke_gcn.checks import check_rows
from ke_gcn.graph import Graph
from ke_gcn.scores import Score

ScoreFunction: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Rows of heads, relations and tails, each (..., width), to scores (...,)."""


class GenericScore(Score):
    """A score that the user gives as a function.

    Args:
        function: rows of heads, relations and tails, each (..., width), to scores (...,); differentiable twice.
        normalisation: what is done to the relations of each layer first; the gradient is taken behind it.
        chunk: triples at a time.
    """

    name = "generic"
    bounded = False

    def __init__(
        self,
        function: ScoreFunction,
        normalisation: Callable[[Tensor], Tensor] | None = None,
        chunk: int = 1 << 13,
    ) -> None:
        self.function = function
        self.normalisation = normalisation
        self.chunk = chunk

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return self.function(head, relation, tail)

    def check_widths(self, entity_width: int, relation_width: int) -> None:
        """Any: the function knows its rows."""

    def normalise(self, r: Tensor) -> Tensor:
        return r if self.normalisation is None else self.normalisation(r)

    def gradient(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor | None]:
        to_head, to_relation, to_tail = gradients(self.function, graph, e, r, self.chunk)
        return to_head + to_tail, to_relation


def gradients(
    function: ScoreFunction,
    graph: Graph,
    e: Tensor,
    r: Tensor,
    chunk: int = 1 << 13,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient of the sum of a score over all triples, kept apart by the end of the triple that it goes to.

    Args:
        function: rows of heads, relations and tails to scores.
        graph: N entities, R relations.
        e: (N, entity width) float.
        r: (R, relation width) float.
        chunk: triples at a time.
        weight: (E,) factor of each triple; None is 1.

    Returns:
        For the heads (N, entity width), for the relations (R, relation width), for the tails (N, entity width).

    Raises:
        InputError: the rows are not those of the graph, or the function does not give one number a triple.
    """
    check_rows(e, r, graph.num_entities, graph.num_relations, graph.device)
    weight = e.new_ones(len(graph)) if weight is None else weight
    found: tuple[Tensor, Tensor, Tensor] = cast(Any, _Gradients).apply(function, graph, chunk, weight, e, r)
    return found


class _Gradients(Function):
    """Keeps the embeddings and nothing of the edges: the way back differentiates each chunk anew."""

    @staticmethod
    def forward(
        ctx: Any, function: ScoreFunction, graph: Graph, chunk: int, weight: Tensor, e: Tensor, r: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(weight, e, r)
        ctx.made_of = function, graph, chunk
        to_head, to_relation, to_tail = torch.zeros_like(e), torch.zeros_like(r), torch.zeros_like(e)
        differentiate = _differentiated(function)
        for (head, relation, tail), w in _chunks(graph, weight, chunk):
            parts = differentiate(e[head], r[relation], e[tail], w)
            to_head.index_add_(0, head, parts[0])
            to_relation.index_add_(0, relation, parts[1])
            to_tail.index_add_(0, tail, parts[2])
        return to_head, to_relation, to_tail

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_head: Tensor, by_relation: Tensor, by_tail: Tensor) -> Any:
        weight, e, r = ctx.saved_tensors
        function, graph, chunk = ctx.made_of
        to_e, to_r = torch.zeros_like(e), torch.zeros_like(r)
        differentiate = _differentiated(function)
        for (head, relation, tail), w in _chunks(graph, weight, chunk):
            rows = (e[head], r[relation], e[tail])
            _, pull = torch.func.vjp(lambda h, k, t, w=w: differentiate(h, k, t, w), *rows)
            back = pull((by_head[head], by_relation[relation], by_tail[tail]))
            to_e.index_add_(0, head, back[0]).index_add_(0, tail, back[2])
            to_r.index_add_(0, relation, back[1])
        return None, None, None, None, to_e, to_r


def _differentiated(function: ScoreFunction) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    def weighted(head: Tensor, relation: Tensor, tail: Tensor, weight: Tensor) -> Tensor:
        scores = function(head, relation, tail)
        if scores.shape != weight.shape:
            raise InputError(
                f"the score gives {tuple(scores.shape)} for {len(weight)} triples; expected one number for each"
            )
        return (scores * weight).sum()

    differentiated: Callable[..., tuple[Tensor, Tensor, Tensor]] = torch.func.grad(weighted, (0, 1, 2))
    return differentiated


def _chunks(graph: Graph, weight: Tensor, chunk: int) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    triples = torch.from_numpy(graph.triples).to(weight.device)
    for part, w in zip(triples.split(chunk), weight.split(chunk), strict=True):
        yield part.unbind(1), w
