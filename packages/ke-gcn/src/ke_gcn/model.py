"""Embeddings and a stack of convolutions: the whole network.

Source: sizes, initialisation and the place of W as in the published program.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.errors import InputError

from ke_gcn.checks import check_rows
from ke_gcn.graph import Graph
from ke_gcn.layer import KEGCNConv, checked_steps
from ke_gcn.matrices import layer_matrix
from ke_gcn.ops import product
from ke_gcn.scores import NoRelation, Score, TransE
from ke_gcn.steps import linear_stack, unit_rows


class KEGCN(nn.Module):
    """Entities and relations embedded, and moved by a stack of convolutions.

    The parameters are raw rows; what enters the first convolution are the rows scaled to length 1, plus the score's
    offset. All layers but the last end in a ReLU.

    Args:
        num_entities: N.
        num_relations: R.
        score: what the messages are the gradient of.
        dim: d; a score may need a multiple of it for its rows.
        layers: hidden convolutions beside the first and the last: 2 is four convolutions.
        out_dim: classes; None gives embeddings.
        alpha: step of the entities.
        beta: step of the relations; None takes alpha.
        rel_relu: the ReLU on relations, as published.
        update_relations: move the relations too.
        train_relations: False keeps relations at the constant 1, as the published program does for DistMult in
            classification.
        seed: of the initial values.

    Raises:
        InputError: a size is not positive, or the dimension does not divide into the score's numbers.
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        score: Score,
        dim: int = 200,
        layers: int = 2,
        *,
        out_dim: int | None = None,
        alpha: float = 0.3,
        beta: float | None = None,
        rel_relu: bool = True,
        update_relations: bool = True,
        train_relations: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if dim < 1 or dim % score.components:
            raise InputError(f"dim={dim} must be a positive multiple of {score.components} for {score.name}")
        if layers < 0:
            raise InputError(f"layers={layers} must be 0 or more")
        self.score = score
        generator = torch.Generator().manual_seed(seed)
        self.entities = nn.Parameter(initial_rows(num_entities, dim * score.entity_factor, generator))
        relations = initial_rows(num_relations, dim * score.relation_factor, generator)
        self.relations = nn.Parameter(relations) if train_relations else None
        self.relation_shape = relations.shape
        weight = None if out_dim is None else glorot(dim * score.entity_factor, out_dim, generator)
        self.weight = None if weight is None else nn.Parameter(weight)
        alpha, beta = checked_steps(score, alpha, beta)
        relu = torch.relu if rel_relu else None
        self.convolutions = nn.ModuleList(
            KEGCNConv(
                score,
                alpha,
                beta,
                act=torch.relu if i <= layers else None,
                rel_act=relu if i <= layers else None,
                update_relations=update_relations,
            )
            for i in range(layers + 2)
        )

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Embed the graph.

        Returns:
            Entities (N, d), or logits (N, out_dim), and relations (R, relation width), cut to the columns that are
            compared (`Score.output`) where they are embeddings.

        Raises:
            InputError: the graph has other numbers of entities or relations, or is on another device.
        """
        e, r = self.embeddings()
        check_rows(e, r, graph.num_entities, graph.num_relations, graph.device)
        if isinstance(self.score, (NoRelation, TransE)):
            e, r = self._linear(graph, e, r)
        else:
            for convolution in self.convolutions:
                e, r = convolution(graph, e, r)
        if self.weight is None:
            return self.score.output(e), self.score.output(r) if self.score.entity_factor > 1 else r
        return self.score.output(e) @ self.weight[: self.score.output(e).shape[1]], r

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """What enters the first convolution: (N, entity width) and (R, relation width)."""
        e = unit_rows(self.entities) + self.score.offset if self.score.offset else unit_rows(self.entities)
        if self.relations is None:
            return e, self.entities.new_ones(self.relation_shape)
        r = unit_rows(self.relations)
        return e, r + self.score.offset if self.score.offset else r

    def states(self, graph: Graph) -> list[tuple[Tensor, Tensor]]:
        """Entities and relations before the first and after each convolution, before W."""
        states = [self.embeddings()]
        for convolution in self.convolutions:
            states.append(convolution(graph, *states[-1]))
        return states

    def _linear(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """The same for TransE and None, whose layer is one matrix: entities and relations stay in one array."""
        first = self.convolutions[0]
        assert isinstance(first, KEGCNConv)
        translates = isinstance(self.score, TransE)
        moves = first.update_relations and translates
        matrix = layer_matrix(graph, first.alpha, first.beta, relations_act=translates, relations_move=moves)
        if graph.kernels.whole_steps:
            # The last convolution has no activation; the others have the same one.
            relu_rows = len(e) + (len(r) if first.rel_act is not None else 0)
            return linear_stack(graph, matrix, e, r, len(self.convolutions), relu_rows)
        x = torch.cat([e, r])
        for convolution in self.convolutions:
            x = product(graph, matrix, x)
            if convolution.act is not None and convolution.rel_act is not None:
                x = F.relu(x, inplace=True)  # the product keeps neither its input nor its result
            elif convolution.act is not None:
                x = torch.cat([F.relu(x[: len(e)]), x[len(e) :]])
        return x[: len(e)], x[len(e) :]


def initial_rows(rows: int, width: int, generator: torch.Generator) -> Tensor:
    """Truncated normal of deviation 1 / sqrt(rows), cut at two deviations."""
    if rows < 1:
        raise InputError(f"an embedding of {rows} rows: there must be one entity and one relation at least")
    deviation = 1 / math.sqrt(rows)
    x = torch.empty(rows, width)
    return nn.init.trunc_normal_(x, 0, deviation, -2 * deviation, 2 * deviation, generator=generator)


def glorot(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Uniform within sqrt(6 / (rows + columns)); (rows, columns)."""
    bound = math.sqrt(6 / (rows + columns))
    return (2 * torch.rand(rows, columns, generator=generator) - 1) * bound
