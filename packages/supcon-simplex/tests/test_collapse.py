"""Metrics of collapse: exact where collapse is, and the same in one pass, in parts, and by numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from supcon_simplex import CollapseMetrics, CollapseReport, regular_simplex, simplex_distance
from supcon_simplex.reservoir import Reservoir

DOUBLE = torch.float64


def drawn(
    rows: int, classes: int = 4, features: int = 6, seed: int = 0, dtype: torch.dtype = DOUBLE
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (rows,), generator=generator)
    y[:classes] = torch.arange(classes)
    z = torch.randn(rows, features, generator=generator, dtype=DOUBLE)
    z = z + 2 * torch.randn(classes, features, generator=generator, dtype=DOUBLE)[y]
    return z.to(dtype), y


def by_numpy(z: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Two passes, and the covariance as a matrix."""
    classes = len(w)
    mu = np.stack([z[y == k].mean(0) for k in range(classes)])
    centre = mu.mean(0)
    within = sum(np.outer(r, r) for r in z - mu[y]) / len(z)
    between = sum(np.outer(m, m) for m in mu - centre) / classes
    v = [((z[y == k] - mu[k]) ** 2).sum(1).mean() for k in range(classes)]
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    m = mu - centre
    cosines = np.array([m[i] @ m[j] / np.linalg.norm(m[i]) / np.linalg.norm(m[j]) for i, j in pairs])
    nearest = ((z[:, None] - mu) ** 2).sum(2).argmin(1)
    return {
        "nc1_pinv": np.trace(within @ np.linalg.pinv(between)) / classes,
        "nc1_quotient": np.trace(within) / np.trace(between),
        "cdnv": np.mean([(v[i] + v[j]) / (2 * ((mu[i] - mu[j]) ** 2).sum()) for i, j in pairs]),
        "nc2_equinorm": np.linalg.norm(m, axis=1).std() / np.linalg.norm(m, axis=1).mean(),
        "nc2_equiangle": cosines.std(),
        "nc2_max_angle": np.abs(cosines + 1 / (classes - 1)).mean(),
        "nc3_alignment": np.linalg.norm(w / np.linalg.norm(w) - m / np.linalg.norm(m)),
        "bias_plane": np.linalg.norm(w @ z.mean(0) + b),
        "nc4_agreement": ((z @ w.T + b).argmax(1) == nearest).mean(),
        "norm_of_features": np.linalg.norm(z, axis=1).mean(),
        "simplex_distance": simplex_distance(torch.tensor(mu)),
    }


@given(st.integers(8, 60), st.integers(2, 5), st.integers(1, 7), st.integers(0, 10**6))
def test_one_pass_finds_what_numpy_finds_in_two(rows: int, classes: int, features: int, seed: int) -> None:
    z, y = drawn(rows, classes, features, seed)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, features, dtype=DOUBLE, generator=generator)
    bias = torch.randn(classes, dtype=DOUBLE, generator=generator)
    metrics = CollapseMetrics(classes, features)
    for part in torch.randperm(rows, generator=generator).split(7):
        metrics.update(z[part], y[part])
    found = metrics.compute(weight, bias)
    expected = by_numpy(z.numpy(), y.numpy(), weight.numpy(), bias.numpy()) if features >= classes - 1 else {}
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-8, abs=1e-10), name
    assert found.sampled == rows
    if features < classes - 1:
        assert math.isnan(found.simplex_distance)


@given(st.lists(st.integers(0, 20), min_size=2, max_size=5), st.integers(0, 10**6))
def test_merging_in_any_order_is_the_whole(sizes: list[int], seed: int) -> None:
    z, y = drawn(sum(sizes) + 4, seed=seed)
    whole = CollapseMetrics(4, 6, sample=8).update(z, y)
    parts = [
        CollapseMetrics(4, 6, sample=8, seed=number).update(*part)
        for number, part in enumerate(zip(z.split([*sizes, 4]), y.split([*sizes, 4]), strict=True))
    ]
    left = CollapseMetrics(4, 6, sample=8)
    for part in parts:
        left.merge(part)
    right = CollapseMetrics(4, 6, sample=8)
    for part in reversed(parts):
        right.merge(part)
    for merged in (left, right):
        torch.testing.assert_close(merged.count, whole.count)
        torch.testing.assert_close(merged.mean, whole.mean)
        torch.testing.assert_close(merged.spread, whole.spread)
        torch.testing.assert_close(merged.scatter, whole.scatter)
        assert merged.sample.seen == len(z)
    kept = [sorted(m.sample.rows()[0][:, 0].tolist()) for m in (left, right)]
    assert kept[0] == kept[1] and len(kept[0]) == min(8, len(z))


def test_complete_collapse_is_0_everywhere() -> None:
    vertices = regular_simplex(5, 7, 3.0, seed=0)
    y = torch.arange(50) % 5
    found = (
        CollapseMetrics(5, 7)
        .update(vertices[y], y)
        .compute(2 * vertices, torch.full((5,), 0.3, dtype=DOUBLE))
    )
    zeros = "nc1_pinv nc1_quotient cdnv nc2_equinorm nc2_equiangle nc2_max_angle nc2_etf simplex_distance"
    zeros += " weight_equinorm weight_etf weight_simplex_distance nc3_self_dual nc3_alignment"
    for name in zeros.split():
        assert getattr(found, name) == pytest.approx(0, abs=1e-7), name
    assert found.nc4_agreement == 1
    assert found.bias_plane == pytest.approx(0.3 * 5**0.5)
    assert found.norm_of_features == pytest.approx(3)
    torch.testing.assert_close(found.cosine_across_means, torch.full((10,), -0.25, dtype=DOUBLE))
    torch.testing.assert_close(found.cosine_to_mean, torch.ones(50, dtype=DOUBLE))
    assert found.metrics()["cosine_across_weights"] == pytest.approx(-0.25)


def test_a_large_offset_costs_no_digits_in_single_precision() -> None:
    z, y = drawn(4000, features=8)
    shifted = (z + 1e4).float()  # the shift rounds the rows; compare with what these rounded rows have
    exact = CollapseMetrics(4, 8).update(shifted.double(), y).compute()
    metrics = CollapseMetrics(4, 8)
    for part in torch.arange(4000).split(256):
        metrics.update(shifted[part], y[part])
    found = metrics.compute()
    for name in ("nc1_pinv", "nc1_quotient", "cdnv", "nc2_etf"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-5), name
    unshifted = CollapseMetrics(4, 8).update(z, y).compute()
    assert found.nc1_quotient == pytest.approx(unshifted.nc1_quotient, rel=1e-3)


def test_the_two_centres_differ_where_classes_are_of_unequal_size() -> None:
    z, y = drawn(60)
    metrics = CollapseMetrics(4, 6).update(z, y)
    assert metrics.compute().nc1_pinv != pytest.approx(metrics.compute(centre="sample").nc1_pinv, rel=1e-6)
    y = torch.arange(60) % 4
    metrics = CollapseMetrics(4, 6).update(z, y)
    assert metrics.compute().nc1_pinv == pytest.approx(metrics.compute(centre="sample").nc1_pinv, rel=1e-9)


def test_what_was_not_asked_for_is_not_there() -> None:
    z, y = drawn(20)
    found = CollapseMetrics(4, 6, covariance=False, sample=0).update(z, y).compute()
    assert math.isnan(found.nc1_pinv) and math.isnan(found.nc4_agreement) and math.isnan(found.nc3_alignment)
    assert not {"nc1_pinv", "nc4_agreement", "cosine_to_mean", "weight_etf"} & set(found.metrics())
    assert {"nc1_quotient", "cdnv", "cosine_across_means", "simplex_distance"} <= set(found.metrics())


def test_a_class_without_rows() -> None:
    z, y = drawn(20)
    metrics = CollapseMetrics(5, 6).update(z, y)
    with pytest.raises(InputError, match="no rows of class 4"):
        metrics.compute()
    found = metrics.compute(missing="nan")
    assert isinstance(found, CollapseReport) and found.metrics().keys() <= {"cosine_across_means"}
    assert found.cosine_across_means.isnan().all()


def test_a_sample_is_uniform() -> None:
    """Each of 40 rows is kept with chance 1 / 4, whenever it came."""
    kept = torch.zeros(40)
    for seed in range(2000):
        reservoir = Reservoir(10, seed)
        for part in torch.arange(40).split(3):
            reservoir.add(part[:, None].float(), part)
        rows, labels = reservoir.rows()
        assert len(rows) == 10 and torch.equal(rows[:, 0].long(), labels)
        kept[labels] += 1
    assert reservoir.seen == 40
    deviation = math.sqrt(2000 * 0.25 * 0.75)
    assert (kept - 500).abs().max() < 4.5 * deviation


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.update(torch.ones(3, 5), torch.zeros(3, dtype=torch.int64)), "rows must be"),
        (lambda m: m.update(torch.ones(3, 6), torch.zeros(2, dtype=torch.int64)), "rows must be"),
        (lambda m: m.update(torch.ones(3, 6), torch.zeros(3)), "labels must be integers"),
        (lambda m: m.update(torch.ones(2, 6), torch.tensor([0, 4])), "from 0 to 3, got 0 to 4"),
        (lambda m: m.update(torch.ones(2, 6), torch.tensor([-1, 2])), "from 0 to 3, got -1 to 2"),
        (lambda m: m.update(torch.full((1, 6), math.nan), torch.tensor([0])), "not finite"),
        (lambda m: m.compute(torch.ones(4, 5)), "weight must be"),
        (lambda m: m.compute(None, torch.ones(4)), "beside a weight"),
        (lambda m: m.compute(torch.ones(4, 6), torch.ones(3)), "bias must be"),
        (lambda m: m.compute(centre="middle"), "centre='middle' is unknown"),
        (lambda m: m.merge(CollapseMetrics(4, 6, covariance=False)), "can be merged if"),
        (lambda m: m.merge(CollapseMetrics(5, 6)), "can be merged if"),
        (lambda m: CollapseMetrics(1, 6), "needs 2 classes"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    metrics = CollapseMetrics(4, 6).update(*drawn(20))
    before = metrics.compute().metrics()
    with pytest.raises(InputError, match=message):
        call(metrics)
    assert metrics.compute().metrics() == before  # what was refused has left no trace


def test_no_rows_change_nothing() -> None:
    z, y = drawn(20)
    metrics = CollapseMetrics(4, 6).update(z, y).update(z[:0], y[:0])
    assert metrics.compute().metrics() == CollapseMetrics(4, 6).update(z, y).compute().metrics()
