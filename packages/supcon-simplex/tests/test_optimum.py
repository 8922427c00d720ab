"""Free points reach the bounds: they are the optimum and not only below everything."""

from __future__ import annotations

import pytest
import torch

from offprints.errors import InputError

from supcon_simplex import (
    ce_bound,
    ce_l2_optimum,
    cross_entropy_of,
    is_simplex,
    optimize_embeddings,
    pairwise_cosines,
    regular_simplex,
    sc_batch_value,
    sc_total_bound,
    simplex_distance,
    supcon_of,
    supcon_over_batches,
)

CIRCLE_MINIMA = {
    (6, 2, 1): 1.32005,
    (5, 3, 1): 1.23348,
    (4, 4, 1): 1.20583,
    (4, 3, 2): 1.23543,
    (5, 2, 2): 1.29051,
    (7, 1, 1): 1.42791,
    (8, 1): sc_batch_value((8, 1), 1.0),
    (3, 3, 3): sc_batch_value((3, 3, 3), 1.0),
}


@pytest.mark.parametrize(
    ("classes", "per_class", "batch", "features", "sampling"),
    [(3, 2, 4, 2, "multiset"), (4, 2, 3, 3, "multiset"), (4, 2, 3, 5, "multiset"), (3, 3, 4, 2, "subset")],
)
def test_supervised_contrast_over_all_batches_ends_at_the_simplex(
    classes: int, per_class: int, batch: int, features: int, sampling: str
) -> None:
    objective = supcon_over_batches(classes, per_class, batch, sampling)
    found = optimize_embeddings(objective, classes * per_class, features)
    bound = sc_total_bound(classes, per_class, batch, sampling=sampling)
    assert found.value == pytest.approx(bound, rel=1e-8)
    assert found.value >= bound * (1 - 1e-12)
    assert is_simplex(found.points[::per_class], 1.0, 1e-3)
    assert found.values == sorted(found.values)


def test_with_too_few_dimensions_the_bound_is_not_reached() -> None:
    objective = supcon_over_batches(4, 2, 3)
    found = optimize_embeddings(objective, 8, 2, restarts=6)
    assert found.value == pytest.approx(69.4367, abs=1e-3)
    assert found.value > sc_total_bound(4, 2, 3) + 1
    cosines = pairwise_cosines(found.points[::2]).sort().values
    torch.testing.assert_close(
        cosines, torch.tensor([-1, -1, 0, 0, 0, 0], dtype=torch.float64), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("counts", list(CIRCLE_MINIMA))
def test_minima_of_a_single_batch_on_the_circle(counts: tuple[int, ...]) -> None:
    found = optimize_embeddings(supcon_of(counts), 9, 2, restarts=6)
    assert found.value == pytest.approx(CIRCLE_MINIMA[counts], abs=1e-5)
    assert found.value <= sc_batch_value(counts, 1.0) + 1e-9


@pytest.mark.parametrize("name", ["c444", "c621"])
def test_recorded_minima_are_reached(parity, name: str) -> None:
    given = parity("sphere.npz")
    counts = given[f"{name}_counts"].tolist()
    objective = supcon_of(counts, float(given[f"{name}_tau"]))
    found = optimize_embeddings(objective, sum(counts), int(given[f"{name}_h"]))
    assert found.value <= float(given[f"{name}_best_loss"]) + 1e-6
    at = objective(torch.tensor(given[f"{name}_z"]), torch.empty(0))
    assert float(at) == pytest.approx(float(given[f"{name}_best_loss"]), rel=1e-9)


@pytest.mark.parametrize(
    ("classes", "per_class", "radius", "features", "temperature"), [(3, 4, 1.0, 2, 0.3), (5, 2, 1.0, 6, 0.1)]
)
def test_a_balanced_batch_ends_at_the_simplex(
    classes: int, per_class: int, radius: float, features: int, temperature: float
) -> None:
    counts = [per_class] * classes
    found = optimize_embeddings(supcon_of(counts, temperature), sum(counts), features, restarts=6)
    assert found.value == pytest.approx(sc_batch_value(counts, temperature), abs=1e-6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("classes", "per_class", "radius", "features", "limit", "bound"),
    [
        (4, 3, 1.0, 3, {"frobenius": 2.0}, ce_bound(4, 1.0, frobenius=2.0)),
        (5, 2, 2.0, 4, {"weight_norm": 1.5}, ce_bound(5, 2.0, weight_norm=1.5)),
        (4, 2, 1.0, 5, {"penalty": 1e-2}, ce_l2_optimum(4, 1.0, 1e-2).value),
    ],
)
def test_cross_entropy_in_a_ball_ends_at_the_simplex(
    classes: int, per_class: int, radius: float, features: int, limit: dict, bound: float, bias: bool
) -> None:
    labels = torch.arange(classes).repeat_interleave(per_class)
    objective, free = cross_entropy_of(labels, classes, features, bias=bias, **limit)
    found = optimize_embeddings(
        objective, len(labels), features, manifold="ball", radius=radius, parameters=free
    )
    assert found.value == pytest.approx(bound, abs=1e-6)
    assert found.value >= bound - 1e-12
    assert float(found.points.norm(dim=1).max()) <= radius * (1 + 1e-12)
    weight = found.parameters[: classes * features].view(classes, features)
    if "weight_norm" in limit:  # the objective shortens what is longer
        weight = weight / weight.norm(dim=1, keepdim=True)
    assert simplex_distance(weight) < 1e-2 and simplex_distance(found.points[::per_class]) < 1e-2
    if "penalty" in limit:
        norm = ce_l2_optimum(classes, radius, limit["penalty"]).weight_norm
        torch.testing.assert_close(
            weight.norm(dim=1), torch.full((classes,), norm, dtype=weight.dtype), atol=1e-2, rtol=0
        )


def test_a_start_at_the_optimum_stays_there() -> None:
    start = regular_simplex(3).repeat_interleave(2, 0)
    found = optimize_embeddings(supcon_of([2, 2, 2]), 6, 2, start=start, restarts=1)
    torch.testing.assert_close(found.points, start, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 0}, "must be 1 or more"),
        ({"radius": 0.0}, "above 0"),
        ({"manifold": "torus"}, "manifold='torus' is unknown"),
        ({"start": torch.ones(6, 3)}, r"start must be \(6, 2\)"),
        ({"objective": lambda z, free: z.sum() * torch.nan}, "not finite at a start"),
    ],
)
def test_bad_input_is_named(options: dict, message: str) -> None:
    given = {"objective": supcon_of([2, 2, 2]), "points": 6, "features": 2, **options}
    with pytest.raises(InputError, match=message):
        optimize_embeddings(**given)
