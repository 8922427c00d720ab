"""The unification: known layers are gradients of scores, number for number."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from ke_gcn import Graph
from ke_gcn import special_cases as cases
from ke_gcn.general import GeneralConv

N, R, D = 12, 3, 6


@pytest.fixture
def graph() -> Graph:
    """Twenty triples without self-loops, which libraries count in different ways."""
    rng = np.random.default_rng(0)
    head = rng.integers(0, N, 20)
    tail = (head + rng.integers(1, N, 20)) % N
    return Graph(np.stack([head, rng.integers(0, R, 20), tail], 1), N, R)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def directed(graph: Graph) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Source, target and type of every message: relation r along a triple, R + r against it."""
    head, relation, tail = (column.clone() for column in torch.from_numpy(graph.triples).T)
    return torch.cat([head, tail]), torch.cat([tail, head]), torch.cat([relation, relation + R])


def both_ways(score, **more: object) -> GeneralConv:
    return GeneralConv(D, D, 1, incoming=score, outgoing=cases.backwards(score), **{"weights": False} | more)


@pytest.mark.parametrize("library", ["dgl", "torch_geometric"])
def test_a_gcn_is_the_gradient_of_the_inner_product(
    request: pytest.FixtureRequest, graph: Graph, library: str
) -> None:
    found = request.getfixturevalue(library)
    layer, e = both_ways(cases.gcn, weights=True), normal(N, D)
    weight = normal(D, D, seed=1)
    with torch.no_grad():
        for matrix in (layer.weight_in, layer.weight_out, layer.weight_self):
            matrix.copy_(weight)
    of_triples, of_entities = cases.symmetric_weights(graph)
    ours, _ = layer(graph, e, torch.zeros(R, 1), triple_weight=of_triples, self_weight=of_entities)
    source, target, _ = directed(graph)
    if library == "dgl":
        loops = torch.arange(N)
        other = found.graph((torch.cat([source, loops]), torch.cat([target, loops])), num_nodes=N)
        convolution = found.nn.GraphConv(D, D, norm="both", bias=False)
        convolution.weight.data.copy_(weight)
        theirs = convolution(other, e)
    else:
        from torch_geometric.nn import GCNConv

        convolution = GCNConv(D, D, bias=False)
        convolution.lin.weight.data.copy_(weight.T)
        theirs = convolution(e, torch.stack([source, target]))
    torch.testing.assert_close(ours, theirs)


def test_a_weighted_gcn_is_the_gradient_of_a_scaled_inner_product(dgl: ModuleType, graph: Graph) -> None:
    e, scale = normal(N, D), normal(2 * R, 1, seed=1)
    layer = both_ways(cases.weighted_gcn)
    ours, _ = layer(graph, e, scale[:R], inverse_r=scale[R:], self_weight=torch.zeros(N))
    source, target, kind = directed(graph)
    theirs = dgl.ops.u_mul_e_sum(dgl.graph((source, target), num_nodes=N), e, scale[kind])
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("library", ["dgl", "torch_geometric"])
@pytest.mark.parametrize("kind", ["basis", "bdd"])
def test_an_rgcn_is_the_gradient_of_a_bilinear_form(
    request: pytest.FixtureRequest, graph: Graph, kind: str, library: str
) -> None:
    request.getfixturevalue(library)
    e, own = normal(N, D), normal(D, D, seed=9)
    source, target, relation = directed(graph)
    coefficients, bases = normal(2 * R, 2, seed=1), normal(2, D, D, seed=2)
    blocks = normal(2 * R, 2, D // 2, D // 2, seed=3)
    rows = cases.basis(coefficients, bases) if kind == "basis" else cases.block_diagonal(blocks)
    layer = GeneralConv(D, D, D * D, incoming=cases.rgcn, outgoing=cases.backwards(cases.rgcn), weights=True)
    with torch.no_grad():
        for matrix, value in (
            (layer.weight_in, torch.eye(D)),
            (layer.weight_out, torch.eye(D)),
            (layer.weight_self, own),
        ):
            matrix.copy_(value)
    ours, _ = layer(graph, e, rows[:R], inverse_r=rows[R:])
    if library == "dgl":
        import dgl
        from dgl.nn.pytorch import RelGraphConv

        convolution = RelGraphConv(D, D, 2 * R, kind, 2, bias=False)
        convolution.linear_r.W.data.copy_(bases if kind == "basis" else blocks.reshape(2 * R, -1))
        if kind == "basis":
            convolution.linear_r.coeff.data.copy_(coefficients)
        convolution.loop_weight.data.copy_(own)
        theirs = convolution(dgl.graph((source, target), num_nodes=N), e, relation)
    else:
        from torch_geometric.nn import RGCNConv

        parts = {"num_bases": 2} if kind == "basis" else {"num_blocks": 2}
        convolution = RGCNConv(D, D, 2 * R, aggr="add", bias=False, **parts)
        convolution.weight.data.copy_(bases if kind == "basis" else blocks)
        if kind == "basis":
            convolution.comp.data.copy_(coefficients)
        convolution.root.data.copy_(own)
        theirs = convolution(e, torch.stack([source, target]), relation)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_rgcn_with_its_normalisation_is_the_same_gradient_with_a_weight_for_each_triple(
    torch_geometric: ModuleType,
) -> None:
    graph = Graph(np.array([[0, 0, 1], [2, 0, 1], [3, 0, 1], [3, 1, 1], [0, 0, 4], [0, 0, 5]]), N, R)
    along, against = cases.relation_weights(graph)
    torch.testing.assert_close(along, torch.tensor([1 / 3, 1 / 3, 1 / 3, 1, 1, 1]))
    torch.testing.assert_close(against, torch.tensor([1 / 3, 1, 1, 1, 1 / 3, 1 / 3]))
    matrices, e = normal(2 * R, D, D), normal(N, D, seed=1)
    rows = matrices.flatten(1)
    layer = GeneralConv(D, D, D * D, incoming=cases.rgcn, outgoing=cases.backwards(cases.rgcn), weights=False)
    ours, _ = layer(
        graph,
        e,
        rows[:R],
        inverse_r=rows[R:],
        triple_weight=along,
        outgoing_weight=against,
        self_weight=torch.zeros(N),
    )
    source, target, relation = directed(graph)
    convolution = torch_geometric.nn.RGCNConv(D, D, 2 * R, root_weight=False, bias=False)  # sums divided by c
    convolution.weight.data.copy_(matrices)
    theirs = convolution(e, torch.stack([source, target]), relation)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["subtraction", "multiplication", "correlation"])
def test_a_compgcn_is_the_gradient_of_an_inner_product_with_a_composition(graph: Graph, name: str) -> None:
    e, r = normal(N, D), normal(2 * R, D, seed=1)
    score = cases.compgcn(getattr(cases, name))
    layer = GeneralConv(
        D, 4, D, incoming=score, outgoing=cases.backwards(score), relation_out_width=4, act=torch.tanh
    )
    weight = 1 / (1 + torch.arange(20.0))
    ours, relations = layer(graph, e, r[:R], inverse_r=r[R:], triple_weight=weight)

    # The definition, triple by triple, with the inverse relation's own row against the direction.
    w_in, w_out, w_self = (layer.weight_in, layer.weight_out, layer.weight_self)
    sums = [e[v] @ w_self for v in range(N)]
    for row, (head, relation, tail) in enumerate(graph.triples.tolist()):
        sums[tail] = sums[tail] + weight[row] * (composed(name, e[head], r[relation]) @ w_in)
        sums[head] = sums[head] + weight[row] * (composed(name, e[tail], r[R + relation]) @ w_out)
    torch.testing.assert_close(ours, torch.stack(sums).tanh())
    torch.testing.assert_close(relations, r[:R] @ layer.weight_relation)


def composed(name: str, x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    if name == "subtraction":
        return x - r
    if name == "multiplication":
        return x * r
    return torch.stack([sum(x[i] * r[(i + k) % D] for i in range(D)) for k in range(D)])


def test_a_distance_has_a_term_of_its_own_that_no_such_layer_has(graph: Graph) -> None:
    """Linear scores give messages that do not depend on who receives them; TransE's do."""

    def distance(head: torch.Tensor, relation: torch.Tensor, tail: torch.Tensor) -> torch.Tensor:
        return -(head + relation - tail).square().sum(-1)

    e, r = normal(N, D), normal(R, D, seed=1)
    triple = Graph(np.array([[0, 0, 1]]), N, R)
    moved = e.clone()
    moved[1] += 1
    for score, depends in ((cases.compgcn(cases.subtraction), False), (distance, True)):
        layer = GeneralConv(D, D, D, incoming=score, weights=False)
        first, second = (layer(triple, x, r, self_weight=torch.zeros(N))[0][1] for x in (e, moved))
        assert torch.equal(first, second) is not depends


def test_relations_move_by_their_own_score_and_matrices_learn(graph: Graph) -> None:
    def distance(head: torch.Tensor, relation: torch.Tensor, tail: torch.Tensor) -> torch.Tensor:
        return -(head + relation - tail).square().sum(-1) / 2

    e, r = normal(N, D), normal(R, D, seed=1)
    layer = GeneralConv(D, 4, D, incoming=distance, relation=distance, relation_out_width=5)
    entities, relations = layer(graph, e, r)
    pull = torch.zeros_like(r)
    for head, relation, tail in graph.triples.tolist():
        pull[relation] -= e[head] + r[relation] - e[tail]
    torch.testing.assert_close(relations, (r + pull) @ layer.weight_relation)
    (entities.sum() + relations.sum()).backward()
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
