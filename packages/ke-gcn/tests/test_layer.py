"""The layer: gradients in closed form, the Jacobi reading, and its symmetries."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from ke_gcn import KEGCN, GenericScore, Graph, KEGCNConv, score_named
from ke_gcn.algebra import conjugate, multiply
from ke_gcn.matrices import layer_matrix

MODES = ["None", "TransE", "TransH", "TransD", "DistMult", "DistMultDot", "ComplEx", "RotatE", "QuatE"]
DISTANCES = ["None", "TransE", "RotatE", "QuatE"]


def rows(score, graph: Graph, dim: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(count: int, width: int) -> torch.Tensor:
        return torch.randn(count, width, generator=generator, dtype=torch.float64)

    return (
        normal(graph.num_entities, dim * score.entity_factor),
        normal(graph.num_relations, dim * score.relation_factor),
    )


@pytest.mark.parametrize("backend", ["numba", "torch", "dgl"])
@pytest.mark.parametrize("mode", MODES)
def test_closed_forms_are_the_gradient_of_the_sum_of_scores(
    request: pytest.FixtureRequest, awkward, mode: str, backend: str
) -> None:
    if backend == "dgl":
        request.getfixturevalue("dgl")
    score, graph = score_named(mode), awkward(backend=backend)
    e, r = (x.requires_grad_() for x in rows(score, graph))
    head, relation, tail = torch.from_numpy(graph.triples).T
    expected = torch.autograd.grad(
        score.score(e[head], r[relation], e[tail]).sum(), (e, r), allow_unused=True, materialize_grads=True
    )
    found = score.gradient(graph, e, r)
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(
        torch.zeros_like(r) if found[1] is None else found[1], expected[1], rtol=0, atol=1e-10
    )
    torch.testing.assert_close(
        score.total(graph, e, r), score.score(e[head], score.normalise(r)[relation], e[tail]).sum()
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_way_back_is_the_second_derivative(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward(1)
    e, r = rows(score, graph, 4)
    r[2] = 0  # a relation that an activation has cut off; also a zero hyperplane of TransH
    layer = KEGCNConv(score, 0.3, act=None, rel_act=None)
    with torch.no_grad():
        assert torch.isfinite(torch.cat([x.flatten() for x in layer(graph, e, r)])).all()
    parts = (e.requires_grad_(), (r + 0.1).detach().requires_grad_())
    assert torch.autograd.gradcheck(lambda e, r: layer(graph, e, r), parts)


@pytest.mark.parametrize("mode", ["RotatE", "QuatE", "TransH"])
def test_a_zero_relation_carries_nothing_and_gets_no_gradient(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward(2)
    e, r = rows(score, graph)
    r[:, :] = 0
    r.requires_grad_()
    to_entities, to_relations = score.gradient(graph, e, score.normalise(r))
    (back,) = torch.autograd.grad(
        to_entities.sum() + to_relations.sum(), r, allow_unused=True, materialize_grads=True
    )
    assert torch.isfinite(back).all()
    if mode != "TransH":
        assert torch.equal(back, torch.zeros_like(back))
        degree = torch.from_numpy(np.bincount(graph.triples[:, 2], minlength=graph.num_entities))
        torch.testing.assert_close(to_entities, -2 * degree[:, None] * e)  # only |t|^2 is left of the score


@pytest.mark.parametrize("mode", ["TransE", "RotatE", "TransD"])
def test_a_score_given_as_a_function_makes_the_same_layer(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward(3)
    e, r = (x.requires_grad_() for x in rows(score, graph))
    generic = GenericScore(score.score, score.normalise, chunk=7)
    weights = [torch.randn_like(x) for x in (e, r)]
    found, expected = [], []
    for result, kind in ((found, generic), (expected, score)):
        moved = KEGCNConv(kind, 0.3)(graph, e, r)
        result += moved
        result += torch.autograd.grad(sum((w * x).sum() for w, x in zip(weights, moved, strict=True)), (e, r))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_transe_layer_is_one_matrix(awkward) -> None:
    score, graph = score_named("TransE"), awkward()
    e, r = rows(score, graph)
    matrix = layer_matrix(graph, 0.3, 0.2, relations_act=True, relations_move=True)
    dense = torch.zeros(matrix.pattern.shape, dtype=torch.float64)
    dense[matrix.pattern.row.long(), matrix.pattern.column.long()] = matrix.values
    expected = KEGCNConv(score, 0.3, 0.2, act=None, rel_act=None)(graph, e, r)
    torch.testing.assert_close(dense @ torch.cat([e, r]), torch.cat(expected))


@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("rel_relu", [True, False])
@pytest.mark.parametrize("mode", ["None", "TransE"])
def test_the_quick_way_of_linear_scores_is_the_stack_of_layers(
    awkward, mode: str, rel_relu: bool, update: bool
) -> None:
    graph = awkward()
    model = KEGCN(
        graph.num_entities, 4, score_named(mode), 6, 1, rel_relu=rel_relu, update_relations=update
    ).double()
    for ours, theirs in zip(model(graph), model.states(graph)[-1], strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("mode", DISTANCES)
def test_half_a_step_is_the_mean_of_what_the_neighbours_predict(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward(4)
    e, r = rows(score, graph)
    rho = score.normalise(r)
    k = score.components
    predicted: dict[int, list[torch.Tensor]] = {v: [] for v in range(graph.num_entities)}
    for head, relation, tail in graph.triples.tolist():
        if mode in ("None", "TransE"):
            shift = rho[relation] if mode == "TransE" else 0
            predicted[tail].append(e[head] + shift)
            predicted[head].append(e[tail] - shift)
        else:
            predicted[tail].append(multiply(e[head], rho[relation], k))
            predicted[head].append(multiply(e[tail], conjugate(rho[relation], k), k))
    expected = torch.stack([torch.stack(p).mean(0) if p else e[v] for v, p in predicted.items()])
    moved, _ = KEGCNConv(score, 0.5, act=None, rel_act=None)(graph, e, r)
    torch.testing.assert_close(moved, expected)


@pytest.mark.parametrize("alpha", [0.3, 0.5])
@pytest.mark.parametrize("mode", DISTANCES)
def test_without_activation_the_sum_of_scores_never_falls_up_to_alpha_one_half(
    awkward, mode: str, alpha: float
) -> None:
    score, graph = score_named(mode), awkward(5, entities=12, edges=40)
    totals = iterate(score, graph, alpha, 60)
    assert (np.diff(totals) >= -1e-9 * abs(totals[0])).all()
    assert totals[-1] > totals[0]


def test_beyond_one_half_the_sum_of_scores_can_fall() -> None:
    score = score_named("None")
    pair = Graph(np.array([[0, 0, 1]]))  # of two joined entities the Laplacian has the eigenvalue 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        totals = iterate(score, pair, 1.1, 10)
    assert (np.diff(totals) < 0).all()


def test_a_step_that_may_overshoot_warns() -> None:
    with pytest.warns(UserWarning, match="overshoot"):
        KEGCNConv(score_named("TransE"), 0.6)


def iterate(score, graph: Graph, alpha: float, steps: int) -> list[float]:
    """F before the first and after each layer without activation, relations fixed."""
    e, r = rows(score, graph)
    layer = KEGCNConv(score, alpha, act=None, rel_act=None, update_relations=False)
    totals = [float(score.total(graph, e, r))]
    for _ in range(steps):
        e, _ = layer(graph, e, r)
        totals.append(float(score.total(graph, e, r)))
    return totals


@pytest.mark.parametrize(
    ("mode", "relation"), [("TransE", 0.0), ("RotatE", 1.0), ("QuatE", 1.0), ("DistMult", 1.0)]
)
def test_with_the_relation_that_does_nothing_every_distance_is_none(
    awkward, mode: str, relation: float
) -> None:
    score, graph = score_named(mode), awkward()
    e, r = rows(score, graph)
    r[:] = 0
    r[:, : 8 // score.components] = relation
    found, _ = KEGCNConv(score, 0.3, act=None)(graph, e, r)
    expected, _ = KEGCNConv(score_named("None"), 0.3, act=None)(graph, e, r)
    torch.testing.assert_close(found, expected)


def test_quaternions_without_j_and_k_are_complex_numbers(awkward) -> None:
    graph = awkward()
    e, r = rows(score_named("RotatE"), graph, 4)
    wide = [torch.cat([x, torch.zeros_like(x)], 1) for x in (e, r)]
    found = KEGCNConv(score_named("QuatE"), 0.3)(graph, *wide)
    for quaternions, complex_numbers in zip(
        found, KEGCNConv(score_named("RotatE"), 0.3)(graph, e, r), strict=True
    ):
        torch.testing.assert_close(quaternions[:, :4], complex_numbers)
        assert torch.equal(quaternions[:, 4:], torch.zeros_like(complex_numbers))


@pytest.mark.parametrize("mode", MODES)
def test_names_of_entities_and_order_of_triples_do_not_matter(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward()
    e, r = rows(score, graph)
    generator = np.random.default_rng(0)
    name = generator.permutation(graph.num_entities)
    triples = generator.permutation(graph.triples)
    triples[:, [0, 2]] = name[triples[:, [0, 2]]]
    renamed = Graph(triples, graph.num_entities, 4)
    moved_e = torch.empty_like(e)
    moved_e[torch.from_numpy(name)] = e
    layer = KEGCNConv(score, 0.3)
    expected, expected_r = layer(graph, e, r)
    found, found_r = layer(renamed, moved_e, r)
    torch.testing.assert_close(found[torch.from_numpy(name)], expected)
    torch.testing.assert_close(found_r, expected_r)


@pytest.mark.parametrize("mode", ["None", "TransE"])
def test_translations_move_what_they_are_given(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward()
    e, r = rows(score, graph)
    layer, shift = KEGCNConv(score, 0.3, act=None, rel_act=None), torch.randn(8, dtype=torch.float64)
    moved, moved_r = layer(graph, e + shift, r)
    still, still_r = layer(graph, e, r)
    torch.testing.assert_close(moved, still + shift)
    torch.testing.assert_close(moved_r, still_r)


@pytest.mark.parametrize("mode", ["RotatE", "QuatE"])
def test_a_global_phase_turns_what_it_is_given(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward()
    e, r = rows(score, graph)
    k = score.components
    phase = score.normalise(torch.randn(1, 8, dtype=torch.float64))
    layer = KEGCNConv(score, 0.3, act=None, rel_act=None)
    moved, moved_r = layer(graph, multiply(phase.expand_as(e), e, k), r)
    still, still_r = layer(graph, e, r)
    torch.testing.assert_close(moved, multiply(phase.expand_as(e), still, k))
    torch.testing.assert_close(moved_r, still_r)


@pytest.mark.parametrize("mode", ["TransE", "RotatE", "QuatE"])
def test_a_triple_read_backwards_with_the_inverse_relation_says_the_same(awkward, mode: str) -> None:
    score, graph = score_named(mode), awkward()
    e, r = rows(score, graph)
    reverse = Graph(graph.triples[:, [2, 1, 0]], graph.num_entities, 4)
    inverse = -r if mode == "TransE" else conjugate(r, score.components)
    layer = KEGCNConv(score, 0.3, act=None, rel_act=None)
    torch.testing.assert_close(layer(reverse, e, inverse)[0], layer(graph, e, r)[0])
