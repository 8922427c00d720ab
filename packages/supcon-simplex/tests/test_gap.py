"""The gap to the optimum, from losses of batches."""

from __future__ import annotations

import pytest
import torch

from offprints.errors import InputError

from supcon_simplex import GapMeter, regular_simplex, sc_bound, supcon_loss


def test_at_the_simplex_the_gap_closes() -> None:
    vertices = regular_simplex(5)
    meter = GapMeter(5, 0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        y = torch.randint(5, (32,), generator=generator)
        meter.update(supcon_loss(vertices[y], y), y)
    found = meter.compute()
    assert found.matched == pytest.approx(0, abs=1e-12)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert abs(found.gap) < 0.02  # what the drawn labels leave
    assert found.bound == pytest.approx(sc_bound(5, 0.1, 32))
    assert found.gap == pytest.approx(found.loss - found.bound)
    assert found.batches == 200


def test_both_gaps_estimate_the_same_and_matching_is_surer() -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(4, 3, generator=generator)
    meter = GapMeter(4, 0.5)
    for number in range(1500):
        y = torch.randint(4, (24,), generator=generator)
        meter.update(supcon_loss(points[y], y, 0.5), y)
        if number == 9:
            early = meter.compute()
    found = meter.compute()
    assert found.gap > 0.05
    assert found.matched == pytest.approx(found.gap, abs=0.01)
    assert found.error < early.error
    meter.reset()
    with pytest.raises(InputError, match="no batch"):
        meter.compute()


def test_batches_of_unequal_size_have_bounds_of_their_own() -> None:
    meter = GapMeter(2, 0.5, nonnegative=True)
    for rows in (4, 4, 7):
        y = torch.arange(rows) % 2
        meter.update(supcon_loss(torch.eye(2)[y], y, 0.5), y)
    bounds = [sc_bound(2, 0.5, rows, nonnegative=True) for rows in (4, 4, 7)]
    assert meter.compute().bound == pytest.approx(sum(bounds) / 3)
    assert meter.compute().matched == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "labels", "message"),
    [
        (torch.ones(3), torch.tensor([0, 1, 1]), "mean over a batch"),
        (torch.ones(()), torch.tensor([0, 3]), "from 0 to 2, got 0 to 3"),
        (torch.ones(()), torch.tensor([-1, 1]), "from 0 to 2, got -1 to 1"),
        (torch.ones(()), torch.tensor([0.0, 1.0]), "integers"),
        (torch.ones(()), torch.tensor([0]), "at least 2"),
    ],
)
def test_bad_input_is_named(loss: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GapMeter(3, 0.1).update(loss, labels)
