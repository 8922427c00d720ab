"""The constant sparse matrices of a graph: adjacency, incidence, and a whole TransE layer as one matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from ke_gcn.graph import Graph
from ke_gcn.ops import product, weighted_sum
from ke_gcn.pattern import Array, Matrix


def adjacency(graph: Graph) -> Matrix:
    """A, (N, N): how many triples join two entities, in either direction; a self-loop counts 2."""

    def make() -> Matrix:
        return Matrix.of(_adjacency(graph), torch.float64, graph.device)

    return graph.once("adjacency", make)


def layer_matrix(
    graph: Graph, alpha: float, beta: float, *, relations_act: bool, relations_move: bool
) -> Matrix:
    """A layer without its activation as one matrix over entities and relations, (N + R, N + R).

        [e; r] <- [[I - 2 alpha (I - D^-1 A),      2 alpha D^-1 (C_t - C_h)],
                   [2 beta n^-1 (C_t - C_h)^T,     (1 - 2 beta) I          ]] [e; r]

    This is TransE: a graph convolution on the graph that has one more node for each relation. Without `relations_act`
    and `relations_move` it is the layer that sees no relations.

    Args:
        graph: N entities, R relations.
        alpha: step of the entities.
        beta: step of the relations.
        relations_act: relations are part of the entities' messages.
        relations_move: relations get messages of their own.
    """

    def make() -> Matrix:
        degree, count = graph.degree.cpu().numpy(), graph.count.cpu().numpy()
        inverse_degree, inverse_count = _inverse(degree), _inverse(count)
        to_entities = 2 * alpha * sp.diags_array(inverse_degree)
        own = sp.diags_array(1 - 2 * alpha * (degree > 0))
        ends = _ends(graph)
        blocks = [
            [own + to_entities @ _adjacency(graph), None],
            [None, sp.diags_array(np.ones(len(count)))],
        ]
        if relations_act:
            blocks[0][1] = to_entities @ ends
        if relations_move:
            blocks[1][0] = 2 * beta * sp.diags_array(inverse_count) @ ends.T
            blocks[1][1] = sp.diags_array(1 - 2 * beta * (count > 0))
        return Matrix.of(sp.block_array(blocks), torch.float64, graph.device)

    return graph.once(f"layer {alpha} {beta} {relations_act} {relations_move}", make)


def towards_neighbours(graph: Graph, e: Tensor) -> Tensor:
    """(A - D) e: the sum of the neighbours' rows, less the own row for each; (N, d) -> (N, d)."""
    return product(graph, adjacency(graph), e) - graph.degree[:, None].to(e.dtype) * e


def incident(graph: Graph, weight: Tensor, x: Tensor, transposed: bool = False) -> Tensor:
    """Sum over an entity's relations, each with the weight of its entry in the incidence; or the other way round.

    Args:
        graph: N entities, R relations.
        weight: (entries of graph.incidence.pattern,).
        x: (R, d); (N, d) if transposed.
        transposed: sum over a relation's entities.

    Returns:
        (N, d); (R, d) if transposed.
    """
    return weighted_sum(graph, graph.incidence.pattern, weight.to(x.dtype), x, transposed)


def tails_less_heads(graph: Graph, x: Tensor, transposed: bool = False) -> Tensor:
    """(C_t - C_h) x, (R, d) -> (N, d), or its transpose times x, (N, d) -> (R, d)."""
    return incident(graph, graph.incidence.tails - graph.incidence.heads, x, transposed)


def _adjacency(graph: Graph) -> sp.coo_array:
    head, _, tail = graph.triples.T
    both = (np.concatenate([head, tail]), np.concatenate([tail, head]))
    return sp.coo_array((np.ones(2 * len(head)), both), shape=(graph.num_entities, graph.num_entities))


def _ends(graph: Graph) -> sp.coo_array:
    head, relation, tail = graph.triples.T
    values = np.repeat([-1.0, 1.0], len(head))
    places = (np.concatenate([head, tail]), np.tile(relation, 2))
    return sp.coo_array((values, places), shape=(graph.num_entities, graph.num_relations))


def _inverse(count: Array) -> Array:
    inverse: Array = np.divide(1.0, count, out=np.zeros_like(count), where=count > 0)
    return inverse
