"""Scores of a triple, and the gradient of their sum over a graph in closed form.

F(e, r) is the sum of f(e_h, r_r, e_t) over all triples. A layer moves entities and relations along dF/de and dF/dr, so
a score is here what it says of one triple (`score`) and these two gradients (`gradient`), which no array of edges times
width is needed for. `score` alone defines a layer as well: see `generic.GenericScore`.

Source: Table 1 of the paper; distances, damping and normalisation as in its published program.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from offprints.errors import InputError

from ke_gcn import algebra
from ke_gcn.graph import Graph
from ke_gcn.matrices import incident, tails_less_heads, towards_neighbours
from ke_gcn.ops import aggregate, relate
from ke_gcn.steps import product_step


class Score(ABC):
    """How plausible a triple is, differentiable in its three embeddings.

    Attributes:
        name: as the paper writes it.
        components: widths are multiples of it.
        entity_factor: columns of an entity's row, in multiples of the dimension.
        relation_factor: columns of a relation's row, in multiples of the dimension.
        offset: added to the embeddings that a model begins with.
        bounded: F cannot grow without limit for fixed relations, so that a step of alpha <= 1/2 never overshoots.
    """

    name: ClassVar[str]
    components: ClassVar[int] = 1
    entity_factor: ClassVar[int] = 1
    relation_factor: ClassVar[int] = 1
    offset: ClassVar[float] = 0.0
    bounded: ClassVar[bool] = True

    @abstractmethod
    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Score of each triple; rows of entities and relations (..., width) -> (...)."""

    @abstractmethod
    def gradient(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor | None]:
        """dF/de and dF/dr of the sum over all triples of the graph.

        Args:
            graph: N entities, R relations.
            e: (N, entity width) float.
            r: (R, relation width) float, as `normalise` gives it.

        Returns:
            (N, entity width), and (R, relation width) or None where the score has no relation.
        """

    def step(
        self, graph: Graph, e: Tensor, r: Tensor, alpha: float, relu: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Entities moved by alpha D^-1 dF/de, cut off below 0 if `relu`; and dF/dr. Shapes as in `gradient`."""
        to_entities, to_relations = self.gradient(graph, e, r)
        e = e + alpha * graph.inverse_degree(e.dtype) * to_entities
        return torch.relu(e) if relu else e, to_relations

    def check_widths(self, entity_width: int, relation_width: int) -> None:
        """See that rows of these widths are rows of this score.

        Raises:
            InputError: they are not.
        """
        dim, rest = divmod(entity_width, self.entity_factor)
        if rest or dim % self.components:
            raise InputError(
                f"{self.name}: rows of entities must be a multiple of {self.entity_factor * self.components} wide, "
                f"not {entity_width}"
            )
        if relation_width != dim * self.relation_factor:
            raise InputError(
                f"{self.name}: rows of relations must be {dim * self.relation_factor} wide beside "
                f"{entity_width} of entities, not {relation_width}"
            )

    def normalise(self, r: Tensor) -> Tensor:
        """The relations as the score takes them; (R, width) -> (R, width)."""
        return r

    def output(self, x: Tensor) -> Tensor:
        """The columns of a final embedding that are compared with another's; (n, width) -> (n, dim)."""
        return x

    def total(self, graph: Graph, e: Tensor, r: Tensor) -> Tensor:
        """F, the sum over all triples, a chunk of them at a time; a scalar."""
        triples = torch.from_numpy(graph.triples).to(e.device)
        rho = self.normalise(r)
        return torch.stack(
            [self.score(e[h], rho[k], e[t]).sum() for h, k, t in (part.T for part in triples.split(1 << 14))]
        ).sum()


class NoRelation(Score):
    """-|h - t|^2: a graph convolution that sees no relations ("None" in the paper's tables)."""

    name = "None"

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return -(head - tail).square().sum(-1)

    def gradient(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor | None]:
        return 2 * towards_neighbours(graph, e), None


class TransE(Score):
    """-|h + r - t|^2 (Bordes et al. 2013)."""

    name = "TransE"

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return -(head + relation - tail).square().sum(-1)

    def gradient(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor | None]:
        count = graph.count[:, None].to(r.dtype)
        to_entities = towards_neighbours(graph, e) + tails_less_heads(graph, r)
        return 2 * to_entities, 2 * (tails_less_heads(graph, e, transposed=True) - count * r)


class _Product(Score):
    """The scores of an algebra: of h r against t, by distance or by inner product."""

    distance: ClassVar[bool]
    unit_relations: ClassVar[bool] = False

    def normalise(self, r: Tensor) -> Tensor:
        return algebra.normalise(r, self.components) if self.unit_relations else r

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        product = algebra.multiply(head, relation, self.components)
        return -(product - tail).square().sum(-1) if self.distance else (product * tail).sum(-1)

    def step(
        self, graph: Graph, e: Tensor, r: Tensor, alpha: float, relu: bool
    ) -> tuple[Tensor, Tensor | None]:
        if not graph.kernels.whole_steps:
            return super().step(graph, e, r, alpha, relu)
        return product_step(graph, e, r, self.components, alpha, distance=self.distance, relu=relu)

    def gradient(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor | None]:
        k = self.components
        to_entities, to_relations = aggregate(graph, e, r, k), relate(graph, e, e, k)
        if not self.distance:
            return to_entities, to_relations
        # -|h r - t|^2 = 2 <h r, t> - |h|^2 |r|^2 - |t|^2, number by number.
        incidence = graph.incidence
        lengths_r, lengths_e = algebra.squared_length(r, k), algebra.squared_length(e, k)
        width = e.shape[1] // k  # the columns repeat k times
        own = incident(graph, incidence.heads, lengths_r[:, :width]).repeat(1, k)
        tails = torch.zeros_like(graph.degree).index_add_(0, incidence.pattern.row, incidence.tails)
        own_r = incident(graph, incidence.heads, lengths_e[:, :width], transposed=True).repeat(1, k)
        to_entities = to_entities - (own + tails[:, None].to(e.dtype)) * e
        return 2 * to_entities, 2 * (to_relations - own_r * r)


class DistMult(_Product):
    """-|h * r - t|^2: the distance form that the published program calls DistMult."""

    name = "DistMult"
    distance = True
    offset = 1.0
    bounded = False


class DistMultDot(_Product):
    """<h, r, t>, the trilinear product of Yang et al. 2015."""

    name = "DistMultDot"
    distance = False
    offset = 1.0
    bounded = False


class ComplEx(_Product):
    """Re <h, r, conj t> (Trouillon et al. 2016)."""

    name = "ComplEx"
    components = 2
    distance = False
    bounded = False


class RotatE(_Product):
    """-|h r - t|^2 with complex numbers r of length 1 (Sun et al. 2019)."""

    name = "RotatE"
    components = 2
    distance = True
    unit_relations = True


class QuatE(_Product):
    """-|h r - t|^2 with quaternions r of length 1 (Zhang et al. 2019)."""

    name = "QuatE"
    components = 4
    distance = True
    unit_relations = True
