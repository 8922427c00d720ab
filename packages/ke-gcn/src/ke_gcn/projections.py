"""TransH and TransD: scores that project entities before they are translated.

Both projections are damped by `scale`, 1/10 in the published program and 1 in the papers that they are named after.
Of each edge only scalars are needed: the products of an entity with the relation's vector, one for each pair (entity,
relation) that occurs, and what the edge makes of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ke_gcn.algebra import SHORTEST_SQUARED
from ke_gcn.graph import Graph
from ke_gcn.matrices import incident, tails_less_heads, towards_neighbours
from ke_gcn.ops import pair_dot
from ke_gcn.scores import Score

PUBLISHED_SCALE = 0.1


class TransH(Score):
    """-|q - c (n.q) n + d|^2 with q = h - t, relation row [d | w] and n = w / |w| (Wang et al. 2014).

    Args:
        scale: c.
    """

    name = "TransH"
    relation_factor = 2

    def __init__(self, scale: float = PUBLISHED_SCALE) -> None:
        self.scale = scale

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        translation, direction = relation.chunk(2, -1)
        normal = direction * _inverse_length(direction)
        difference = head - tail
        projected = difference - self.scale * (normal * difference).sum(-1, keepdim=True) * normal
        return -(projected + translation).square().sum(-1)

    def gradient(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor | None]:
        c = self.scale
        translation, direction = r.chunk(2, -1)  # (R, d) each
        inverse = _inverse_length(direction)  # (R, 1)
        normal = direction * inverse
        relation = _relation_of_triples(graph)
        along = pair_dot(graph, graph.incidence.pattern, e, normal)  # n.e of each (entity, relation)
        difference = along[graph.incidence.head_pair] - along[graph.incidence.tail_pair]  # (E,) n.q
        shift = (normal * translation).sum(-1)  # (R,) n.d

        # Every triple pulls its tail by p = u - c (n.u) n and its head by -p.
        off = c * (2 - c) * difference + c * shift[relation]  # (E,), p = q + d - off n
        to_entities = (
            towards_neighbours(graph, e)
            + tails_less_heads(graph, translation)
            + incident(graph, _heads_less_tails(graph, off), normal)
        )
        sums = -tails_less_heads(graph, e, transposed=True)  # (R, d), sum of q
        count = graph.count[:, None].to(r.dtype)
        total = (normal * sums).sum(-1, keepdim=True)  # (R, 1), sum of n.q
        to_translation = -(sums - c * total * normal + count * translation)

        squares = torch.zeros_like(shift).index_add(0, relation, difference.square())[:, None]
        weighted = incident(graph, _heads_less_tails(graph, difference), e, transposed=True)  # sum of (n.q) q
        to_normal = c * (
            (2 - c) * weighted + shift[:, None] * sums - c * squares * normal + total * translation
        )
        # n is w scaled to length 1: what points along it is lost.
        to_direction = (to_normal - (normal * to_normal).sum(-1, keepdim=True) * normal) * inverse
        return 2 * to_entities, 2 * torch.cat([to_translation, to_direction], -1)


class TransD(Score):
    """-|a_h - c (a_h.p_h) s + d - a_t + c (a_t.p_t) s|^2 with rows [a | p] and [d | s] (Ji et al. 2015).

    Args:
        scale: c.
    """

    name = "TransD"
    entity_factor = 2
    relation_factor = 2

    def __init__(self, scale: float = PUBLISHED_SCALE) -> None:
        self.scale = scale

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        (a_h, p_h), (d, s), (a_t, p_t) = (row.chunk(2, -1) for row in (head, relation, tail))
        along = (a_h * p_h).sum(-1, keepdim=True) - (a_t * p_t).sum(-1, keepdim=True)
        return -(a_h - a_t + d - self.scale * along * s).square().sum(-1)

    def output(self, x: Tensor) -> Tensor:
        return x.chunk(2, -1)[0]

    def gradient(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor | None]:
        c = self.scale
        (a, p), (d, s) = e.chunk(2, -1), r.chunk(2, -1)
        a, p = a.contiguous(), p.contiguous()
        relation = _relation_of_triples(graph)
        head, tail = graph.once("ends", lambda: _ends_of_triples(graph))
        own = (a * p).sum(-1)  # (N,) a.p
        change = own[head] - own[tail]  # (E,)
        along = pair_dot(graph, graph.incidence.pattern, a, s)  # s.a of each (entity, relation)
        # v = s.u of each triple
        v = along[graph.incidence.head_pair] - along[graph.incidence.tail_pair]
        v = v + ((s * d).sum(-1))[relation] - c * change * s.square().sum(-1)[relation]

        pull = torch.zeros_like(own).index_add(0, head, v).index_add(0, tail, v, alpha=-1)[:, None]  # (N, 1)
        to_a = (
            towards_neighbours(graph, a)
            + tails_less_heads(graph, d)
            + c * incident(graph, _heads_less_tails(graph, change), s)
            + c * pull * p
        )
        sums = -tails_less_heads(graph, a, transposed=True)  # (R, d), sum of a_h - a_t
        count = graph.count[:, None].to(r.dtype)
        zero = r.new_zeros(graph.num_relations)
        total = zero.index_add(0, relation, change)[:, None]
        squares = zero.index_add(0, relation, change.square())[:, None]
        to_d = -(sums - c * total * s + count * d)
        weighted = incident(graph, _heads_less_tails(graph, change), a, transposed=True)
        to_s = c * (weighted + total * d - c * squares * s)
        return 2 * torch.cat([to_a, c * pull * a], -1), 2 * torch.cat([to_d, to_s], -1)


def _inverse_length(x: Tensor) -> Tensor:
    """1 / |x| of each row, 0 for a zero row; (..., d) -> (..., 1)."""
    squares = x.square().sum(-1, keepdim=True)
    return torch.where(squares > SHORTEST_SQUARED, squares.clamp_min(SHORTEST_SQUARED).rsqrt(), 0)


def _heads_less_tails(graph: Graph, weight: Tensor) -> Tensor:
    """Numbers of triples as weights of the incidence: added at the head's entry, taken away at the tail's."""
    incidence = graph.incidence
    empty = weight.new_zeros(len(incidence.heads))
    return empty.index_add(0, incidence.head_pair, weight).index_add(0, incidence.tail_pair, weight, alpha=-1)


def _relation_of_triples(graph: Graph) -> Tensor:
    return graph.once("relations", lambda: torch.from_numpy(graph.triples[:, 1].copy()).to(graph.device))


def _ends_of_triples(graph: Graph) -> tuple[Tensor, Tensor]:
    head, tail = graph.triples[:, 0].copy(), graph.triples[:, 2].copy()
    return torch.from_numpy(head).to(graph.device), torch.from_numpy(tail).to(graph.device)
