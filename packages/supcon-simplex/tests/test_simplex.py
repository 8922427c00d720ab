"""The regular simplex: what defines it, in any dimension."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from supcon_simplex import (
    SimplexHead,
    is_simplex,
    nearest_simplex,
    regular_simplex,
    simplex_distance,
    spherical_code,
)


@given(
    st.integers(2, 300), st.integers(0, 5), st.sampled_from([0.5, 1.0, 7.0]), st.sampled_from([None, 0, 3])
)
def test_vertices_have_what_defines_them(classes: int, more: int, radius: float, seed: int | None) -> None:
    vertices = regular_simplex(classes, classes - 1 + more, radius, seed)
    assert vertices.shape == (classes, classes - 1 + more)
    tolerance = 1e-12 * radius**2
    assert vertices.sum(0).abs().max() < tolerance * math.sqrt(classes) + 1e-13
    gram = vertices @ vertices.T
    wanted = torch.full_like(gram, -(radius**2) / (classes - 1)).fill_diagonal_(radius**2)
    assert (gram - wanted).abs().max() < tolerance
    assert torch.linalg.matrix_rank(vertices) == classes - 1
    assert is_simplex(vertices, radius, 1e-10)
    edge = (vertices[0] - vertices[1]).norm()
    assert float(edge) == pytest.approx(radius * math.sqrt(2 * classes / (classes - 1)))


def test_a_seed_is_a_rotation() -> None:
    first, again, other = (regular_simplex(5, 9, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.1
    assert (first[:, 4:] != 0).any() and (regular_simplex(5, 9)[:, 4:] == 0).all()
    assert regular_simplex(3, dtype=torch.float32).dtype == torch.float32


@pytest.mark.parametrize(
    ("classes", "features", "radius", "message"),
    [
        (1, 3, 1.0, "needs 2 or more"),
        (5, 3, 1.0, "5 classes need 4 or more features"),
        (3, 3, 0.0, "radius must be above 0"),
        (3, 3, math.inf, "radius must be above 0"),
    ],
)
def test_where_there_is_none_it_says_so(classes: int, features: int, radius: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        regular_simplex(classes, features, radius)
    with pytest.raises(InputError, match=message):
        SimplexHead(features, classes, radius)


def test_a_head_does_not_learn_and_is_kept() -> None:
    head = SimplexHead(8, 4, radius=3.0, seed=0)
    assert not list(head.parameters())
    z = torch.randn(5, 8, requires_grad=True)
    logits = head(z)
    torch.testing.assert_close(logits, z @ head.weight.T)
    logits.sum().backward()
    assert z.grad is not None and head.weight.grad is None
    other = SimplexHead(8, 4, radius=3.0, seed=1)
    assert not torch.equal(other.weight, head.weight)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.weight, head.weight)
    assert is_simplex(head.weight, 3.0)
    assert repr(head) == "SimplexHead(features=8, classes=4, radius=3)"


@given(st.integers(2, 12), st.integers(0, 10**6))
def test_the_distance_is_0_for_a_simplex_wherever_it_lies(classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    moved = regular_simplex(classes, classes + 2, 2.5, seed)[torch.randperm(classes, generator=generator)]
    moved = moved + torch.randn(classes + 2, dtype=torch.float64, generator=generator)
    fit = nearest_simplex(moved)
    assert fit.distance < 1e-12
    assert fit.radius == pytest.approx(2.5)
    torch.testing.assert_close(fit.vertices, moved)


@given(st.integers(3, 8), st.integers(0, 10**6))
def test_no_simplex_is_nearer_than_the_nearest(classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(classes, classes + 1, dtype=torch.float64, generator=generator)
    fit = nearest_simplex(points)
    apart = (points - fit.vertices).square().sum(1).mean().sqrt()
    assert float(apart) == pytest.approx(fit.distance * fit.radius)
    centred = fit.vertices - points.mean(0)
    assert is_simplex(centred, fit.radius)
    for factor in (0.99, 1.01):
        assert (points - points.mean(0) - factor * centred).norm() > (points - fit.vertices).norm()
    for other_seed in range(5):
        other = regular_simplex(classes, classes + 1, fit.radius, other_seed) + points.mean(0)
        assert (points - other).norm() >= (points - fit.vertices).norm()


def test_what_is_no_simplex_is_told_apart() -> None:
    vertices = regular_simplex(4, 5)
    assert not is_simplex(vertices, radius=1.1)
    assert not is_simplex(vertices + 0.01)
    assert not is_simplex(torch.eye(4))
    assert not is_simplex(torch.zeros(4, 5))
    assert not is_simplex(vertices * torch.tensor([[1.0], [1.0], [1.0], [1.01]]))
    assert simplex_distance(torch.eye(4)) == pytest.approx(
        0, abs=1e-12
    )  # but for its place, an orthogonal frame is one
    assert simplex_distance(regular_simplex(4) * torch.tensor([1.0, 1.0, 0.5])) > 0.1
    for wrong, message in (
        (torch.ones(4, 5), "all points are the same"),
        (torch.ones(4, 2), "4 classes need 3 or more features"),
        (torch.full((4, 5), math.nan), "not finite"),
        (torch.ones(5), "must be"),
    ):
        with pytest.raises(InputError, match=message):
            nearest_simplex(wrong)
    with pytest.raises(InputError, match="K at least 2"):
        is_simplex(torch.ones(1, 5))


def test_a_spherical_code_is_the_simplex_where_there_is_one_and_spread_where_not() -> None:
    assert is_simplex(spherical_code(4, 3, 2.0), 2.0, 1e-5)
    square = spherical_code(4, 2)
    cosines = (square @ square.T)[0].sort().values
    torch.testing.assert_close(
        cosines, torch.tensor([-1.0, 0.0, 0.0, 1.0], dtype=torch.float64), atol=1e-5, rtol=0
    )
    assert torch.equal(spherical_code(5, 3, seed=4), spherical_code(5, 3, seed=4))
    with pytest.raises(InputError, match="needs 2 points"):
        spherical_code(1, 3)
