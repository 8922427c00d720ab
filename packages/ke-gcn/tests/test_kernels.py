"""The operations: adjointness, gradients, and backends that agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from ke_gcn import Graph, score_named, torch_kernels
from ke_gcn.algebra import interleaved, multiply, normalise, planar, squared_length
from ke_gcn.ops import aggregate, distances, pair_dot, relate, weighted_sum

NUMBERS = [1, 2, 4]


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("k", NUMBERS)
@given(seed=st.integers(0, 2**16))
def test_aggregating_is_its_own_adjoint_and_relating_its_gradient(awkward, k: int, seed: int) -> None:
    graph = awkward(seed)
    x, y = normal(9, 8, seed=seed), normal(9, 8, seed=seed + 1)
    r = normal(4, 8, seed=seed + 2)
    there = (aggregate(graph, x, r, k) * y).sum()
    torch.testing.assert_close(there, (x * aggregate(graph, y, r, k)).sum())
    torch.testing.assert_close(there, (r * (relate(graph, x, y, k) + relate(graph, y, x, k))).sum())
    forwards = (aggregate(graph, x, r, k, "in") * y).sum()
    torch.testing.assert_close(forwards, (x * aggregate(graph, y, r, k, "out")).sum())
    torch.testing.assert_close(forwards, (r * relate(graph, x, y, k)).sum())


@pytest.mark.parametrize("k", NUMBERS)
@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_gradients_of_aggregating_and_relating_to_the_second_order(awkward, k: int, direction: str) -> None:
    graph = awkward(1)
    x, y, r = (a.requires_grad_() for a in (normal(9, 4), normal(9, 4, seed=1), normal(4, 4, seed=2)))
    assert torch.autograd.gradcheck(lambda x, r: aggregate(graph, x, r, k, direction), (x, r))
    assert torch.autograd.gradgradcheck(lambda x, r: aggregate(graph, x, r, k, direction), (x, r))
    assert torch.autograd.gradcheck(lambda x, y: relate(graph, x, y, k), (x, y))
    assert torch.autograd.gradgradcheck(lambda x: relate(graph, x, x, k), (x,))


def test_gradients_of_sums_dot_products_and_distances(awkward) -> None:
    graph = awkward(2)
    pattern = graph.incidence.pattern
    weight = normal(len(pattern.row)).requires_grad_()
    x, y = normal(9, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, y: weighted_sum(graph, pattern, w, y), (weight, y))
    assert torch.autograd.gradcheck(lambda w, x: weighted_sum(graph, pattern, w, x, True), (weight, x))
    assert torch.autograd.gradcheck(lambda x, y: pair_dot(graph, pattern, x, y), (x, y))
    left, right = torch.tensor([0, 1, 1, 4]), torch.tensor([2, 3, 0, 5])
    assert torch.autograd.gradcheck(lambda x: distances(graph, x, left, right), (x,))
    torch.testing.assert_close(distances(graph, x, left, right), (x[left] - x[right]).abs().sum(1))


@pytest.mark.parametrize("backend", ["torch", "dgl"])
@pytest.mark.parametrize(
    "mode", ["None", "TransE", "TransH", "TransD", "DistMult", "ComplEx", "RotatE", "QuatE"]
)
def test_every_backend_gives_the_numbers_of_the_compiled_one(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, mode: str, backend: str
) -> None:
    monkeypatch.setattr(torch_kernels, "_CHUNK_ELEMENTS", {"cpu": 1 << 14})  # several chunks
    if backend == "dgl":
        request.getfixturevalue("dgl")
    score = score_named(mode)
    triples = np.random.default_rng(0).integers(0, [300, 7, 300], (20_000, 3))
    outcomes = []
    for name in ("numba", backend):
        graph = Graph(triples, backend=name)
        e = normal(300, 8 * score.entity_factor, dtype=torch.float32).requires_grad_()
        r = normal(7, 8 * score.relation_factor, seed=1, dtype=torch.float32).requires_grad_()
        to_e, to_r = score.gradient(graph, e, score.normalise(r))
        mean_e, mean_r = (
            to_e * graph.inverse_degree(e.dtype),
            (0 if to_r is None else to_r * graph.inverse_count(e.dtype)),
        )
        back = torch.autograd.grad(
            mean_e.square().sum() + torch.as_tensor(mean_r).square().sum(),
            (e, r),
            allow_unused=True,
            materialize_grads=True,
        )
        outcomes.append((mean_e, torch.as_tensor(mean_r), *back))
    for compiled, other in zip(*outcomes, strict=True):
        scale = max(1.0, float(compiled.detach().abs().max()))
        assert float((compiled - other).detach().abs().max()) / scale < 1e-5


@pytest.mark.parametrize("mode", ["TransE", "QuatE"])
def test_the_number_of_threads_changes_no_bit(mode: str) -> None:
    score = score_named(mode)
    graph = Graph(np.random.default_rng(0).integers(0, [300, 7, 300], (20_000, 3)))
    e, r = normal(300, 8, dtype=torch.float32), normal(7, 8, dtype=torch.float32)
    one = score.gradient(graph, e, r)
    torch.set_num_threads(3)
    three = score.gradient(graph, e, r)
    assert torch.equal(one[0], three[0])
    assert torch.equal(one[1], three[1])


@pytest.mark.parametrize("k", NUMBERS)
@given(seed=st.integers(0, 2**16))
def test_lengths_multiply(k: int, seed: int) -> None:
    x, y = normal(3, 8, seed=seed), normal(3, 8, seed=seed + 1)
    torch.testing.assert_close(
        squared_length(multiply(x, y, k), k), squared_length(x, k) * squared_length(y, k)
    )
    torch.testing.assert_close(squared_length(normalise(x, k), k), torch.ones_like(x))
    assert torch.equal(interleaved(planar(x, k), k), x)


def test_backends_are_checked() -> None:
    with pytest.raises(InputError, match="numba, torch, triton, dgl"):
        Graph(np.array([[0, 0, 1]]), backend="cupy")
    with pytest.raises(InputError, match="CPU only"):
        Graph(np.array([[0, 0, 1]]), backend="numba", device="meta")
    with pytest.raises(InputError, match="GPU only"):
        Graph(np.array([[0, 0, 1]]), backend="triton")
