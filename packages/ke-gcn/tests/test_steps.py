"""Whole layers as compiled walks: the numbers of the operations they replace, for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ke_gcn import KEGCN, Graph, KEGCNConv, ranking, score_named
from ke_gcn.locality import neighbours_together
from ke_gcn.numba_kernels import count_block
from ke_gcn.steps import unit_rows

MODES = ["None", "TransE", "DistMult", "DistMultDot", "ComplEx", "RotatE", "QuatE"]


def triples(entities: int = 30, relations: int = 5, edges: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(0, [entities, relations, entities], (edges, 3))


@pytest.mark.parametrize("rel_relu", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_a_compiled_network_is_the_one_put_together_from_operations(mode: str, rel_relu: bool) -> None:
    outcomes = []
    for backend in ("numba", "torch"):
        graph = Graph(triples(), 31, 6, backend=backend)  # an entity and a relation without triples
        model = KEGCN(31, 6, score_named(mode), 8, 2, rel_relu=rel_relu, seed=1).double()
        e, r = model(graph)
        weight = torch.randn(31, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        weight[::2] = 0  # most rows of a loss's gradient are zero, and the way back leaves them out
        loss = (e * weight).sum() + (r * weight[:6]).sum()
        outcomes.append([e, r, *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)])
        # Without a gradient in the relations, as in a loss of entities alone.
        alone = torch.autograd.grad(
            (model(graph)[0] * weight).sum(), list(model.parameters()), allow_unused=True
        )
        outcomes[-1] += alone
    for compiled, put_together in zip(*outcomes, strict=True):
        found, expected = (
            torch.zeros(1, dtype=torch.float64) if x is None else x for x in (compiled, put_together)
        )
        torch.testing.assert_close(found.expand_as(expected), expected.expand_as(found), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["TransE", "QuatE"])
def test_the_number_of_threads_changes_no_bit_of_a_step_or_its_gradient(mode: str) -> None:
    graph = Graph(triples(300, 7, 20_000))
    model = KEGCN(300, 7, score_named(mode), 8)
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        e, r = model(graph)
        back = torch.autograd.grad(e.square().sum() + r.square().sum(), list(model.parameters()))
        found.append([e, r, *back])
    for one, three in zip(*found, strict=True):
        assert torch.equal(one, three)


def test_rows_of_length_one_and_their_gradient() -> None:
    x = torch.randn(6, 5, dtype=torch.float64)
    x[1], x[2] = 0, x[2] * 1e-9  # too short to be scaled to length 1
    x.requires_grad_()
    weight = torch.randn(6, 5, dtype=torch.float64)
    expected = x * x.square().sum(1, keepdim=True).clamp_min(1e-12).rsqrt()
    torch.testing.assert_close(unit_rows(x), expected)
    ours, theirs = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (unit_rows(x), expected))
    torch.testing.assert_close(ours, theirs)


def test_a_step_without_activation_has_the_step_of_one_with_it_behind_a_relu(awkward) -> None:
    graph, score = awkward(), score_named("RotatE")
    e, r = torch.randn(9, 8, dtype=torch.float64), torch.randn(4, 8, dtype=torch.float64)
    cut, _ = KEGCNConv(score)(graph, e, r)
    whole, _ = KEGCNConv(score, act=None)(graph, e, r)
    torch.testing.assert_close(cut, whole.relu())
    assert (whole < 0).any()


def test_new_numbers_are_a_permutation_that_brings_neighbours_together() -> None:
    rng = np.random.default_rng(0)
    ring = np.arange(500)
    name = rng.permutation(500)
    edges = np.stack([name[ring[:-1]], ring[:-1] * 0, name[ring[1:]]], 1)  # a path with random numbers
    numbering = neighbours_together(edges, 502)  # two entities without neighbours
    assert sorted(numbering.place) == list(range(502))
    np.testing.assert_array_equal(numbering.place[numbering.order], np.arange(502))
    renumbered = numbering.triples(edges)
    assert (np.abs(renumbered[:, 0] - renumbered[:, 2]) == 1).all()


def test_a_block_is_counted_as_torch_counts_it() -> None:
    found = torch.randint(0, 5, (7, 20), generator=torch.Generator().manual_seed(0)).float()  # many ties
    partner = torch.randint(0, 5, (20,), generator=torch.Generator().manual_seed(1)).float()
    counted = []
    for compiled in (True, False):
        counts = [torch.zeros(2, 20, dtype=torch.int64) for _ in range(2)]
        places = [
            torch.zeros(20, dtype=torch.int64),
            torch.full((20,), 3.0),
            torch.zeros(20, dtype=torch.int64),
        ]
        if compiled:
            count_block(found, 4, partner, *counts, *places)
        else:
            ranking._count_block(found, slice(4, 11), partner, *counts, *places)
        counted.append([*counts, *places])
    for ours, theirs in zip(*counted, strict=True):
        assert torch.equal(ours, theirs)
