"""Known graph convolutions as scores: with them `GeneralConv` is a GCN, a W-GCN, an R-GCN or a CompGCN.

Each of these scores is linear in the entity that receives the message, so that its gradient is the message itself. Where
a score is not, as every distance, the gradient has a term in the entity's own row, and no layer of that family has it.

| layer   | f(h, r, t)               | row of a relation        | message to t            |
| ------- | ------------------------ | ------------------------ | ----------------------- |
| GCN     | <h, t>                   | none is read             | h                       |
| W-GCN   | a <h, t>                 | a                        | a h                     |
| R-GCN   | h^T W t                  | W, row by row            | W^T h                   |
| CompGCN | <phi(h, r), t>           | r                        | phi(h, r)               |

Source: the paper's unification of known layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from ke_gcn.generic import ScoreFunction
from ke_gcn.graph import Graph

Composition: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def gcn(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    """<h, t>; rows (..., d) -> (...)."""
    return (head * tail).sum(-1)


def weighted_gcn(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    """a <h, t> with a scalar for each relation (Shang et al. 2019); relation (..., 1)."""
    return relation[..., 0] * (head * tail).sum(-1)


def rgcn(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    """h^T W t with a matrix for each relation (Schlichtkrull et al. 2018); relation (..., d * d), row by row."""
    width = head.shape[-1]
    return torch.einsum("...i,...ij,...j->...", head, relation.unflatten(-1, (width, width)), tail)


def basis(coefficients: Tensor, bases: Tensor) -> Tensor:
    """Rows of `rgcn` from shared matrices; (R, B) and (B, d, d) -> (R, d * d)."""
    return torch.einsum("rb,bij->rij", coefficients, bases).flatten(1)


def block_diagonal(blocks: Tensor) -> Tensor:
    """Rows of `rgcn` from blocks on the diagonal; (R, B, b, b) -> (R, d * d) with d = B b."""
    return torch.stack([torch.block_diag(*of_relation) for of_relation in blocks]).flatten(1)


def compgcn(composition: Composition) -> ScoreFunction:
    """<phi(h, r), t> (Vashishth et al. 2020); `subtraction`, `multiplication` or `correlation` for phi."""

    def score(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return (composition(head, relation) * tail).sum(-1)

    return score


def backwards(score: ScoreFunction) -> ScoreFunction:
    """The same score of a triple that is read from its tail: the message to the head comes from the tail."""

    def reversed_score(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return score(tail, relation, head)

    return reversed_score


def subtraction(x: Tensor, r: Tensor) -> Tensor:
    """x - r, as TransE."""
    return x - r


def multiplication(x: Tensor, r: Tensor) -> Tensor:
    """x * r, as DistMult."""
    return x * r


def correlation(x: Tensor, r: Tensor) -> Tensor:
    """Circular correlation, sum over i of x_i r_(i + k mod d) in column k, as HolE."""
    product = torch.fft.rfft(x).conj() * torch.fft.rfft(r)
    correlated: Tensor = torch.fft.irfft(product, n=x.shape[-1])
    return correlated


def symmetric_weights(graph: Graph, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Weights of the GCN of Kipf and Welling: 1 / sqrt(d_h d_t) for triples and 1 / d for entities.

    Degrees count both directions of each triple, and a self-loop that the formula adds to each entity.

    Returns:
        (E,) and (N,), for `GeneralConv`.
    """
    degree = (graph.degree + 1).to(dtype)
    head, tail = (torch.from_numpy(graph.triples[:, column]).to(graph.device) for column in (0, 2))
    return (degree[head] * degree[tail]).rsqrt(), 1 / degree


def relation_weights(graph: Graph, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Weights of an R-GCN: one by the messages that an entity gets from one relation in one direction (c_{v,r}).

    Returns:
        (E,) along the triples, `triple_weight` of `GeneralConv`, and (E,) against them, its `outgoing_weight`.
    """
    weights = []
    for receiver in (2, 0):
        key = torch.from_numpy(graph.triples[:, receiver] * graph.num_relations + graph.triples[:, 1])
        _, place, count = key.unique(return_inverse=True, return_counts=True)
        weights.append((1 / count.to(dtype))[place].to(graph.device))
    return weights[0], weights[1]
