"""The theorems: nothing is below the bounds, and the simplex is at them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from supcon_simplex import (
    ce_bound,
    ce_l2_optimum,
    composition_share,
    compositions,
    cross_entropy_of,
    regular_simplex,
    sc_batch_value,
    sc_bound,
    sc_total_bound,
    supcon_loss,
    supcon_over_batches,
)
from supcon_simplex.optimum import enumerate_batches

DOUBLE = torch.float64
NOTHING = torch.empty(0, dtype=DOUBLE)


@given(st.integers(2, 12), st.floats(0.05, 2.0), st.floats(0.1, 20.0), st.integers(0, 10**6))
def test_cross_entropy_is_at_its_bound_at_the_simplex_and_never_below(
    classes: int, radius: float, weight: float, seed: int
) -> None:
    labels = torch.arange(classes).repeat_interleave(2)
    vertices = regular_simplex(classes, classes + 1, seed=seed)
    at = torch.nn.functional.cross_entropy(radius * vertices[labels] @ (weight * vertices).T, labels)
    bound = ce_bound(classes, radius, weight_norm=weight)
    assert float(at) == pytest.approx(bound, rel=1e-9)
    assert bound == pytest.approx(ce_bound(classes, radius, frobenius=weight * math.sqrt(classes)), rel=1e-12)
    generator = torch.Generator().manual_seed(seed)
    for size in (0.03, 0.3, 3.0):  # from close to the simplex to anywhere
        noise = torch.randn(3 * classes, classes + 1, dtype=DOUBLE, generator=generator)
        z = vertices[labels] + size * noise[: 2 * classes]
        w = vertices + size * noise[2 * classes :]
        z, w = (x / x.norm(dim=1, keepdim=True) for x in (z, w))
        assert torch.nn.functional.cross_entropy(radius * z @ (weight * w).T, labels) > bound - 1e-12
        free = w / w.norm() * weight * math.sqrt(classes)
        assert torch.nn.functional.cross_entropy(radius * z @ free.T, labels) > bound - 1e-12


@given(st.integers(2, 50), st.floats(0.1, 5.0), st.floats(1e-5, 10.0))
def test_the_penalised_optimum_is_a_minimum_over_the_norm(
    classes: int, radius: float, penalty: float
) -> None:
    norm, value = ce_l2_optimum(classes, radius, penalty)

    def at(r: float) -> float:
        return ce_bound(classes, radius, weight_norm=r) + penalty * classes * r**2

    assert value == pytest.approx(at(norm), rel=1e-12)
    assert norm > 0
    for factor in (0.9, 0.999, 1.001, 1.1):
        assert at(norm * factor) >= value * (1 - 1e-13)
    root = radius / (math.exp(min(700, classes * radius * norm / (classes - 1))) + classes - 1)
    assert 2 * penalty * norm == pytest.approx(root, rel=1e-6)


@pytest.mark.parametrize(
    ("classes", "radius", "frobenius", "value"),
    [(4, 1, 2, 0.58265765306), (5, 2, 3, 0.13082029000), (10, 1, 5, 0.93739999656)],
)
def test_recorded_bounds_of_cross_entropy(
    classes: int, radius: float, frobenius: float, value: float
) -> None:
    assert ce_bound(classes, radius, frobenius=frobenius) == pytest.approx(value, abs=1e-11)


@pytest.mark.parametrize("sampling", ["multiset", "subset"])
@pytest.mark.parametrize(("classes", "per_class", "batch"), [(3, 2, 4), (4, 2, 3), (2, 3, 5), (3, 3, 6)])
def test_the_sum_over_all_batches_is_the_formula(
    classes: int, per_class: int, batch: int, sampling: str
) -> None:
    """Every batch enumerated and its loss computed, against the binomials."""
    objective = supcon_over_batches(classes, per_class, batch, sampling)
    vertices = regular_simplex(classes).repeat_interleave(per_class, 0)
    total = sc_total_bound(classes, per_class, batch, sampling=sampling)
    assert float(objective(vertices, NOTHING)) == pytest.approx(total, rel=1e-11)
    batches = enumerate_batches(classes * per_class, batch, sampling)
    mean = sc_bound(classes, 1.0, batch, sampling, per_class)
    assert mean == pytest.approx(total / len(batches) / batch, rel=1e-11)
    one = vertices[batches[-1]]
    alone = supcon_loss(one, batches[-1] // per_class, 1.0, reduction="sum")
    assert float(alone) == pytest.approx(
        float(objective(vertices, NOTHING))
        - float(_without_last(classes, per_class, batch, sampling, vertices)),
        rel=1e-6,
        abs=1e-6,
    )
    generator = torch.Generator().manual_seed(0)
    for size in (0.0, 0.05, 1.0, 30.0):  # no configuration is below: from the simplex to anywhere
        for _ in range(25):
            z = vertices + size * torch.randn(vertices.shape, dtype=DOUBLE, generator=generator)
            z = z / z.norm(dim=1, keepdim=True)
            assert objective(z, NOTHING) >= total * (1 - 1e-12)


def _without_last(classes: int, per_class: int, batch: int, sampling: str, z: torch.Tensor) -> torch.Tensor:
    found = z.new_zeros(())
    for rows in enumerate_batches(classes * per_class, batch, sampling)[:-1]:
        if len(set((rows // per_class).tolist())) < len(rows):
            found = found + supcon_loss(z[rows], rows // per_class, 1.0, reduction="sum")
    return found


def test_ten_thousand_draws_stay_above_the_bound_of_balanced_batches() -> None:
    """For equal counts the simplex is the optimum of a single batch."""
    labels = torch.arange(4).repeat_interleave(3)
    value = sc_batch_value([3, 3, 3, 3], 0.3)
    generator = torch.Generator().manual_seed(0)
    vertices = regular_simplex(4)[labels]
    sizes = torch.logspace(-3, 1, 10_000, dtype=DOUBLE)
    lowest = math.inf
    for size in sizes.split(100):
        z = vertices + size[:, None, None] * torch.randn(len(size), 12, 3, dtype=DOUBLE, generator=generator)
        z = z / z.norm(dim=2, keepdim=True) / 0.3**0.5
        s = z @ z.transpose(1, 2)
        lse = s.masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf).logsumexp(2)
        positive = (labels[:, None] == labels) & ~torch.eye(12, dtype=torch.bool)
        loss = (lse - (s * positive).sum(2) / 2).mean(1)
        lowest = min(lowest, float(loss.min()))
    assert value < lowest < value + 1e-4


def test_an_unbalanced_batch_can_go_below_its_value_at_the_simplex() -> None:
    """Measured minima on the circle at temperature 1: the simplex is the optimum of the mean over batches only."""
    for counts, lower in (((6, 2, 1), 1.32005), ((5, 3, 1), 1.23348), ((4, 3, 2), 1.23543)):
        assert sc_batch_value(counts, 1.0) > lower + 1e-3
    assert sc_batch_value((8, 1), 1.0) > 0


@pytest.mark.parametrize("classes", [3, 10])
def test_the_mean_over_drawn_batches_is_the_bound_for_them(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(classes, (4000, 32), generator=generator)
    counts = torch.stack([(draws == k).sum(1) for k in range(classes)], 1)
    values = torch.tensor([sc_batch_value(c, 0.1) for c in counts])
    error = float(values.std() / math.sqrt(len(values)))
    assert abs(float(values.mean()) - sc_bound(classes, 0.1, 32)) < 4 * error
    by_composition = sum(
        composition_share(c) * sc_batch_value(c, 0.1, classes=classes)
        for c in compositions(8, classes)
        if len(c) == classes
    )
    assert by_composition == pytest.approx(sc_bound(classes, 0.1, 8), rel=1e-11)


def test_large_batches_neither_overflow_nor_vanish() -> None:
    assert sc_bound(10, 0.1, 256) == pytest.approx(3.220563813, abs=1e-9)
    assert sc_bound(100, 0.1, 256) == pytest.approx(0.806712687, abs=1e-9)
    large = sc_bound(10, 0.1, 65_536)
    assert math.log(65_536 / 10) < large < math.log(65_536 / 10) + 0.01
    many = sc_bound(10, 0.1, 4096, "subset", 6000)
    assert many == pytest.approx(sc_bound(10, 0.1, 4096), rel=1e-4)
    assert sc_bound(10, 0.1, 4096, "multiset", 10**7) == pytest.approx(sc_bound(10, 0.1, 4096), rel=1e-6)
    assert sc_bound(10, 0.1, 256, reduction="sum") == pytest.approx(256 * sc_bound(10, 0.1, 256))


def test_two_rows_of_one_class_cost_nothing() -> None:
    assert sc_bound(5, 0.1, 2) == 0


def test_features_that_cannot_be_negative_end_at_an_orthogonal_frame() -> None:
    for counts in ([3, 3, 2], [5, 1, 0]):
        labels = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
        value = sc_batch_value(counts, 0.5, nonnegative=True)
        assert float(supcon_loss(torch.eye(3, dtype=DOUBLE)[labels], labels, 0.5)) == pytest.approx(value)
        generator = torch.Generator().manual_seed(0)
        for _ in range(300):
            z = torch.eye(3, dtype=DOUBLE)[labels] + 0.3 * torch.rand(
                len(labels), 3, dtype=DOUBLE, generator=generator
            )
            assert float(supcon_loss(z, labels, 0.5)) > value
    assert sc_bound(10, 0.1, 256, nonnegative=True) > sc_bound(10, 0.1, 256)


def test_compositions_of_nine_rows_and_three_classes() -> None:
    found = ["".join(map(str, c)) for c in compositions(9, 3)]
    names = "900 810 720 711 630 621 540 531 522 441 432 333"
    assert found == names.split()
    for sampling, per_class in (("iid", None), ("multiset", 3), ("subset", 4)):
        assert sum(composition_share(c, sampling, per_class) for c in compositions(9, 3)) == pytest.approx(1)
    assert composition_share((3, 3, 3)) == pytest.approx(1680 / 3**9)
    assert composition_share((9, 0, 0), "multiset", 3) == pytest.approx(3 * math.comb(11, 9) / 24310)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ce_bound(1, frobenius=1.0), "classes must be 2 or more"),
        (lambda: ce_bound(3), "give one limit"),
        (lambda: ce_bound(3, frobenius=1.0, weight_norm=1.0), "give one limit"),
        (lambda: ce_bound(3, frobenius=-1.0), "frobenius must be 0 or more"),
        (lambda: ce_bound(3, -1.0, weight_norm=1.0), "radius must be 0 or more"),
        (lambda: ce_l2_optimum(3, 0.0, 1.0), "radius must be above 0"),
        (lambda: ce_l2_optimum(3, 1.0, 0.0), "penalty must be above 0"),
        (lambda: sc_bound(1, 0.1, 8), "classes must be 2 or more"),
        (lambda: sc_bound(3, 0.0, 8), "temperature must be above 0"),
        (lambda: sc_bound(3, 0.1, 1), "batch_size must be 2 or more"),
        (lambda: sc_bound(3, 0.1, 8, "bootstrap"), "sampling='bootstrap' is unknown"),
        (lambda: sc_bound(3, 0.1, 8, "subset"), "needs per_class"),
        (lambda: sc_bound(3, 0.1, 8, "subset", 2), "cannot be drawn from 6"),
        (lambda: sc_bound(3, 0.1, 8, "iid", 2), "per_class has no place"),
        (lambda: sc_batch_value([], 0.1), "with a row at all"),
        (lambda: sc_batch_value([3, -1], 0.1), "0 or more"),
        (lambda: sc_batch_value([1, 1, 1], 0.1, classes=2), "classes=2"),
        (lambda: composition_share((3, -1)), "0 or more"),
        (lambda: composition_share((3, 1), "subset"), "per_class belongs"),
        (lambda: composition_share((9, 9), "subset", 2), "cannot be drawn from 4"),
        (lambda: compositions(0, 2), "needs a row"),
        (lambda: supcon_over_batches(5, 50, 20), "too many batches"),
        (lambda: enumerate_batches(5, 3, "iid"), "is unknown"),
        (lambda: cross_entropy_of(torch.zeros(3), 3, 2), "give one limit"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_one_row_alone_costs_nothing() -> None:
    assert sc_batch_value([1], 0.1, classes=3) == 0
