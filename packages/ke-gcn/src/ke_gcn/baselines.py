"""Other networks in the same trainer: what alignment gains from messages that are gradients of a distance.

All begin with embeddings as KEGCN does, and give entities and relations; they differ in the layer. A matrix begins as the identity and
moves slowly, and rows that come from matrices end at length 1: otherwise the margin is met by growing, and by heart.

- mtranse: no convolution at all; TransE's loss on the triples beside that on the seeds (after Chen et al. 2017).
- gcn_align: the normalised adjacency with self-loops, no matrix (Wang et al. 2018, structure channel).
- rgcn: a matrix for each relation and direction, as sums of shared ones (Schlichtkrull et al. 2018).
- compgcn_sub, compgcn_mult, compgcn_corr: composition with the relation's row (Vashishth et al. 2020).
- vr_gcn: h + r and t - r from the neighbours and t - h for relations, each with a matrix (Ye et al. 2019).

No array of edges times width is made; the numbers are those of `GeneralConv` with the scores of `special_cases`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ke_gcn.graph import Direction, Graph
from ke_gcn.matrices import adjacency, incident, tails_less_heads
from ke_gcn.model import glorot, initial_rows
from ke_gcn.ops import aggregate, product, weighted_sum
from ke_gcn.steps import unit_rows

CONVOLUTIONS = ("gcn_align", "rgcn", "compgcn_sub", "compgcn_mult", "compgcn_corr", "vr_gcn")
BASELINES = ("mtranse", *CONVOLUTIONS)
_BASES = 4
_SLOW = 0.05  # of a matrix beside an embedding: Adam moves every number alike, and 200 of them add up in a product
_REACH = 0.7  # margin of MTransE over sqrt(d): two random rows of length 1 are about 1.1 sqrt(d) apart
_WAYS: tuple[Direction, Direction] = ("in", "out")


class MTransE(nn.Module):
    """Embeddings that no convolution moves: structure enters by TransE's margin loss on triples.

    Distance, margin and uniform negatives are those that suit rows of length 1; unlike the published MTransE both graphs
    share one space from the start, as all networks here do.

    Args:
        num_entities: N.
        num_relations: R.
        dim: d.
        seed: of the initial values.
        triples: of a graph that an epoch draws; all where it has fewer.

    Raises:
        InputError: a size is not positive.
    """

    def __init__(
        self, num_entities: int, num_relations: int, dim: int = 200, *, seed: int = 0, triples: int = 1 << 14
    ) -> None:
        super().__init__()
        if dim < 1:
            raise InputError(f"dim={dim} must be 1 or more")
        generator = torch.Generator().manual_seed(seed)
        self.entities = nn.Parameter(initial_rows(num_entities, dim, generator))
        self.relations = nn.Parameter(initial_rows(num_relations, dim, generator))
        self.triples = triples

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Entities (N, d) and relations (R, d)."""
        return unit_rows(self.entities), unit_rows(self.relations)

    def triple_loss(self, graph: Graph, generator: torch.Generator) -> Tensor:
        """The mean over drawn triples of relu(|h + r - t| + m - |h' + r - t'|), one end of each replaced; a scalar."""
        count = min(self.triples, len(graph))
        rows = torch.randint(len(graph), (count,), generator=generator)
        head, relation, tail = torch.from_numpy(graph.triples)[rows].to(graph.device).unbind(1)
        drawn = torch.randint(graph.num_entities, (count,), generator=generator).to(graph.device)
        at_head = (torch.rand(count, generator=generator) < 0.5).to(graph.device)
        e, r = self(graph)
        true = (e[head] + r[relation] - e[tail]).abs().sum(1)
        wrong_head, wrong_tail = torch.where(at_head, drawn, head), torch.where(at_head, tail, drawn)
        false = (e[wrong_head] + r[relation] - e[wrong_tail]).abs().sum(1)
        return torch.relu(true + _REACH * e.shape[1] ** 0.5 - false).mean()


class Baseline(nn.Module):
    """One of the networks above.

    Args:
        name: one of CONVOLUTIONS.
        num_entities: N.
        num_relations: R.
        dim: d of entities and relations.
        layers: convolutions, 1 or more; all but the last end in a ReLU on the entities.
        seed: of the initial values.

    Raises:
        InputError: there is no such network, or a size does not fit it.
    """

    def __init__(
        self,
        name: str,
        num_entities: int,
        num_relations: int,
        dim: int = 200,
        layers: int = 2,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if name not in CONVOLUTIONS:
            raise InputError(f"baseline {name!r} is unknown: one of {', '.join(BASELINES)}")
        if layers < 1 or dim < 1:
            raise InputError(f"dim={dim} and layers={layers} must be 1 or more")
        if name == "compgcn_corr" and dim % 2:
            raise InputError(f"dim={dim} must be even for compgcn_corr")
        self.name, self.layers = name, layers
        generator = torch.Generator().manual_seed(seed)
        self.entities = nn.Parameter(initial_rows(num_entities, dim, generator))
        self.relations = nn.Parameter(initial_rows(2 * num_relations, dim, generator))  # each also backwards
        matrices = {"gcn_align": 0, "rgcn": 1 + 2 * _BASES, "vr_gcn": 3}.get(name, 4)
        self.weights = nn.ParameterList(
            [
                nn.Parameter(torch.stack([glorot(dim, dim, generator) for _ in range(matrices)]))
                for _ in range(layers)
                if matrices
            ]
        )
        shape = (layers, 2, num_relations, _BASES)
        # Each relation begins as the mean of the shared matrices, which is all but the identity.
        mixed = (1 + _SLOW * torch.randn(shape, generator=generator)) / _BASES if name == "rgcn" else None
        self.coefficients = None if mixed is None else nn.Parameter(mixed)

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Entities (N, d) and relations (R, d)."""
        e, r = unit_rows(self.entities), unit_rows(self.relations)
        # As KE-GCN's DistMult begins: products of two small numbers would carry next to nothing.
        if self.name == "compgcn_mult":
            r = r + 1
        elif self.name == "compgcn_corr":
            r = r + torch.eye(1, r.shape[1], dtype=r.dtype, device=r.device)
        for layer in range(self.layers):
            e, r = self._layer(graph, layer, e, r)
            if layer < self.layers - 1:
                e = torch.relu(e)
        return unit_rows(e) if len(self.weights) else e, r[: graph.num_relations]

    def matrices(self, layer: int) -> Tensor:
        """The matrices of a layer; (M, d, d)."""
        slow = self.weights[layer]
        matrices: Tensor = torch.eye(slow.shape[-1], dtype=slow.dtype, device=slow.device) + _SLOW * slow
        return matrices

    def _layer(self, graph: Graph, layer: int, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        if self.name == "gcn_align":
            scale = (graph.degree + 1).rsqrt()[:, None].to(e.dtype)
            inside = scale * e
            return scale * (product(graph, adjacency(graph), inside) + inside), r
        weights = self.matrices(layer)
        if self.name == "rgcn":
            assert self.coefficients is not None
            return self._relational(graph, e, weights, self.coefficients[layer]), r
        if self.name == "vr_gcn":
            return self._vectorised(graph, e, r, weights)
        return self._composed(graph, e, r, weights)

    def _relational(self, graph: Graph, e: Tensor, weights: Tensor, coefficients: Tensor) -> Tensor:
        moved = e @ weights[0]
        by_degree = graph.inverse_degree(e.dtype)
        for way, direction in enumerate(_WAYS):
            pattern, relation = graph.message_pattern(direction), graph.edges(direction).relation
            for base in range(_BASES):
                mixed = weighted_sum(graph, pattern, coefficients[way, relation, base], e)
                moved = moved + (by_degree * mixed) @ weights[1 + way * _BASES + base]
        return moved

    def _vectorised(self, graph: Graph, e: Tensor, r: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        forwards = r[: graph.num_relations]
        predicted = product(graph, adjacency(graph), e) + tails_less_heads(graph, forwards)
        between = tails_less_heads(graph, e, transposed=True)
        moved = e @ weights[0] + (graph.inverse_degree(e.dtype) * predicted) @ weights[1]
        relations = (forwards + graph.inverse_count(e.dtype) * between) @ weights[2]
        return moved, torch.cat([relations, r[graph.num_relations :]])

    def _composed(self, graph: Graph, e: Tensor, r: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        moved = e @ weights[0]
        by_degree = graph.inverse_degree(e.dtype)
        for way, (direction, rows) in enumerate(zip(_WAYS, r.chunk(2), strict=True)):
            moved = (
                moved
                + (by_degree * composed_messages(graph, self.name, e, rows, direction)) @ weights[1 + way]
            )
        return moved, r @ weights[3]


def composed_messages(graph: Graph, name: str, e: Tensor, r: Tensor, direction: Direction) -> Tensor:
    """The sum of phi(h_u, h_r) over an entity's incoming or outgoing triples; (N, d), (R, d) -> (N, d)."""
    if name == "compgcn_sub":
        pattern = graph.message_pattern(direction)
        neighbours = weighted_sum(graph, pattern, e.new_ones(len(pattern.row)), e)
        ends = graph.incidence.tails if direction == "in" else graph.incidence.heads
        return neighbours - incident(graph, ends, r)
    if name == "compgcn_mult":
        return aggregate(graph, e, r, 1, direction)
    # Circular correlation is a product of complex numbers behind a Fourier transform: conj(x) r, summed over triples.
    x, y = torch.fft.rfft(e), torch.fft.rfft(r)
    rows, relations = (torch.cat([z.real, z.imag], 1) for z in (x.conj(), y))
    if direction == "out":  # messages against the triples take conj(r), which is undone here
        relations = torch.cat([y.real, -y.imag], 1)
    real, imaginary = aggregate(graph, rows, relations, 2, direction).chunk(2, 1)
    messages: Tensor = torch.fft.irfft(torch.complex(real.contiguous(), imaginary.contiguous()), n=e.shape[1])
    return messages


def baseline_named(
    name: str, num_entities: int, num_relations: int, dim: int = 200, layers: int = 2, *, seed: int = 0
) -> nn.Module:
    """One of BASELINES; mtranse has no layers.

    Raises:
        InputError: there is no such network, or a size does not fit it.
    """
    if name == "mtranse":
        return MTransE(num_entities, num_relations, dim, seed=seed)
    return Baseline(name, num_entities, num_relations, dim, layers, seed=seed)
