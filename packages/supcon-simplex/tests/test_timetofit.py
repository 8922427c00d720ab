"""Ensembles of runs, their fit times, and slopes with censored runs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from offprints.checkpoint import CheckpointError
from offprints.errors import InputError

from supcon_simplex import supcon_loss
from supcon_simplex.batched_mlp import LOSSES, Ensemble, EnsembleOptions, supcon_gradient
from supcon_simplex.datasets import load
from supcon_simplex.labelled import LabelledData, Standard
from supcon_simplex.slopes import bootstrap, curvature, slope
from supcon_simplex.timetofit import FitTimes, Grid, fit_times

FEW = EnsembleOptions(widths=[16, 8], batch_size=16, most_steps=40, look_every=10)


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(1, 5))
def test_the_written_out_gradient_is_autograds(seed: int, rows: int, classes: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(2, rows, 4, generator=draw, dtype=torch.float64, requires_grad=True)
    y = torch.randint(classes, (2, rows), generator=draw)
    losses, gradient = supcon_gradient(z.detach(), y, 0.2)
    expected = torch.stack([supcon_loss(z[run], y[run], 0.2) for run in range(2)])
    (theirs,) = torch.autograd.grad(expected.sum(), z)
    assert torch.allclose(losses, expected.detach(), atol=1e-10)
    assert torch.allclose(gradient, theirs, atol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_of_an_ensemble_is_the_run_of_a_plain_loop(loss: str) -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 6, generator=draw), torch.randint(4, (2, 50), generator=draw)
    ensemble = Ensemble(x, y, 4, loss, [3, 4], FEW)
    start = [parameter.clone() for parameter in ensemble.parameters]
    ensemble.advance()
    for run, seed in enumerate((3, 4)):
        weights = [torch.nn.Parameter(parameter[run]) for parameter in start]
        optimizer = torch.optim.SGD(weights, FEW.learning_rate, momentum=0.9, weight_decay=1e-4)
        drawn = torch.randint(50, (10, 16), generator=torch.Generator().manual_seed(seed))
        for batch in drawn:
            optimizer.zero_grad()
            hidden = functional.relu(x[batch] @ weights[0] + weights[1])
            z = hidden @ weights[2] + weights[3]
            if loss == "sc":
                value = supcon_loss(z, y[run, batch], 0.1)
            else:
                classifier = ensemble._simplex if loss == "ce_fixed" else weights[4]
                value = functional.cross_entropy(z @ classifier.T, y[run, batch])  # type: ignore[union-attr]
            value.backward()
            optimizer.step()
        for ours, theirs in zip(ensemble.parameters, weights, strict=True):
            assert torch.allclose(ours[run], theirs, atol=2e-5)


def blobs(rows: int = 40, classes: int = 4, seed: int = 0) -> LabelledData:
    """Clusters far apart, which any network tells apart."""
    draw = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    inputs = 6 * np.eye(classes)[labels] + draw.standard_normal((rows, classes))
    return LabelledData(inputs.astype(np.float32), labels, tuple(map(str, range(classes))))


def test_a_run_does_not_depend_on_those_beside_it() -> None:
    data = blobs()
    options = EnsembleOptions(widths=[64, 32], batch_size=16, most_steps=3000, look_every=20)
    few = fit_times(data, Grid(["ce", "sc"], "flip", [0.2, 0.6], seeds=1), options, seed=7)
    more = fit_times(data, Grid(["sc", "ce"], "flip", [0.6, 0.2, 0.4], seeds=3), options, seed=7)
    for loss in ("ce", "sc"):
        assert few.steps[loss][0, 0] == more.steps[loss][1, 0]
        assert few.steps[loss][1, 0] == more.steps[loss][0, 0]
        assert not few.censored[loss].any()
        assert (few.steps[loss][1] > few.steps[loss][0]).all()  # more wrong labels take longer


def test_a_run_at_the_most_steps_is_censored_and_not_fitted() -> None:
    data = load("digits").train.subset(20)
    options = EnsembleOptions(widths=[16, 8], batch_size=16, most_steps=20, look_every=10)
    times = fit_times(data, Grid(["ce", "sc"], "flip", [0.5, 0.9], seeds=2, draws=5), options)
    assert times.censored["sc"].all()
    assert (times.steps["sc"] == 20).all()
    assert np.isinf(times.medians("sc")).all()
    metrics = times.metrics()
    assert metrics["censored/sc"] == 4
    assert math.isnan(metrics["slope/sc"])
    assert times.table()["censored"].all()


def test_the_error_of_the_looks_is_that_of_the_rule_in_use() -> None:
    x, y = load("digits").train.subset(5).tensors(Standard.of(load("digits").train))
    ensemble = Ensemble(x, y[None], 10, "sc", [0], EnsembleOptions(widths=[16, 8]))
    z = functional.normalize(ensemble.features(x)[0])
    means = torch.stack([z[y == k].mean(0) for k in range(10)])
    assert float(ensemble.errors()[0]) == pytest.approx(float(((z @ means.T).argmax(1) != y).double().mean()))


def test_a_stopped_grid_goes_on_to_the_same_steps(tmp_path: Path) -> None:
    data, grid = blobs(), Grid(["ce", "sc"], "flip", [0.3, 0.7], seeds=2)
    options = EnsembleOptions(widths=[16, 8], batch_size=16, most_steps=400, look_every=20)
    whole = fit_times(data, grid, options)
    looks = 0

    def stop(loss: str, ensemble: Ensemble) -> None:
        nonlocal looks
        looks += loss == "sc"
        if looks == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_times(data, grid, options, directory=tmp_path, on_look=stop)
    resumed = fit_times(data, grid, options, directory=tmp_path)
    for loss in grid.losses:
        assert (resumed.steps[loss] == whole.steps[loss]).all()
        assert (resumed.censored[loss] == whole.censored[loss]).all()
    with pytest.raises(CheckpointError, match="other data"):
        fit_times(blobs(seed=1), grid, options, directory=tmp_path)


def test_supervised_contrastive_runs_take_longer_than_cross_entropy_at_much_noise() -> None:
    data = load("digits").train.subset(40)
    options = EnsembleOptions(widths=[64, 32], batch_size=64, most_steps=3000, look_every=50)
    times = fit_times(data, Grid(["ce", "sc"], "flip", [0.8], seeds=2), options, seed=11)
    assert not times.censored["ce"].any()
    assert (times.steps["sc"] > times.steps["ce"]).all()


LEVELS = np.repeat([0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 8)


@given(st.floats(0.3, 3), st.floats(10, 1000))
def test_a_power_law_has_its_exponent_as_slope(exponent: float, factor: float) -> None:
    steps = factor * LEVELS**exponent
    assert slope(LEVELS, steps, np.zeros(48, bool)) == pytest.approx(exponent, abs=1e-8)


def test_censored_runs_do_not_flatten_the_slope() -> None:
    draw = np.random.default_rng(0)
    whole, naive, kept = [], [], []
    for _ in range(40):
        steps = np.exp(6 + 2 * np.log(LEVELS) + 0.3 * draw.standard_normal(48))
        censored = steps > 200
        cut = np.minimum(steps, 200)
        whole.append(slope(LEVELS, cut, censored))
        naive.append(slope(LEVELS, cut, np.zeros(48, bool)))
        kept.append(slope(LEVELS[~censored], cut[~censored], np.zeros((~censored).sum(), bool)))
    assert abs(np.mean(whole) - 2) < 4 * np.std(whole) / np.sqrt(40)
    assert np.mean(naive) < 1.8  # as if they had fitted at the last step
    assert np.mean(kept) < 1.8  # as if they had not been


def test_curvature_is_that_of_a_parabola() -> None:
    for bend in (300.0, 0.0, -200.0):
        steps = 500 + 100 * LEVELS + bend * LEVELS**2
        assert curvature(LEVELS, steps, np.zeros(48, bool)) == pytest.approx(bend, abs=1e-6)


def test_too_little_gives_no_slope() -> None:
    level = np.full(4, 0.5)
    assert math.isnan(slope(level, np.arange(1.0, 5), np.zeros(4, bool)))
    assert math.isnan(slope(LEVELS, np.full(48, 9.0), np.ones(48, bool)))
    with pytest.raises(InputError, match="positive"):
        slope(level * 0, level, np.zeros(4, bool))


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    draw = np.random.default_rng(4)
    inside = 0
    for trial in range(200):
        sample = draw.standard_normal(20)
        low, high = bootstrap(lambda seeds, sample=sample: float(sample[seeds].mean()), 20, 200, 0.9, trial)  # type: ignore[misc]
        inside += low <= 0 <= high
    assert 0.80 < inside / 200 < 0.96
    assert all(map(math.isnan, bootstrap(lambda seeds: 1.0, 1)))


def test_metrics_have_slopes_intervals_and_the_difference() -> None:
    grid = Grid(["ce", "sc"], "flip", [0.2, 0.4, 0.6, 0.8, 0.9], seeds=6, draws=200)
    shares, draw = np.array(grid.shares)[:, None], np.random.default_rng(0)
    noise = np.exp(0.05 * draw.standard_normal((2, 5, 6)))
    steps = {
        "ce": np.round(1e5 * shares**0.5 * noise[0]).astype(np.int64),
        "sc": np.round(1e5 * shares**2 * noise[1]).astype(np.int64),
    }
    none = np.zeros((5, 6), bool)
    found = FitTimes(grid, 10**6, steps, {"ce": none, "sc": none}).metrics()
    assert found["slope/sc_low"] < found["slope/sc"] < found["slope/sc_high"]
    assert found["slope/sc"] == pytest.approx(2, abs=0.1)
    assert found["slope/ce"] == pytest.approx(0.5, abs=0.1)
    assert found["slope/sc_minus_ce"] == pytest.approx(found["slope/sc"] - found["slope/ce"])
    assert found["slope/sc_minus_ce_low"] > 1
    assert found["curvature/sc_low"] > 0
    assert found["ratio/sc_0.4"] == pytest.approx(
        np.median(steps["sc"][1]) / np.median(steps["ce"][1]), rel=0.1
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Grid(losses=["sc", "triplet"]), "losses"),
        (lambda: Grid(shares=[0.0]), "shares"),
        (lambda: Grid(shares=[0.1, 0.1]), "twice"),
        (lambda: Grid(noise="swap"), "noise"),
        (lambda: Grid(slope_from=0.9, slope_to=0.4), "slope_to"),
        (lambda: EnsembleOptions(batch_size=1), "batch_size"),
        (lambda: EnsembleOptions(widths=[]), "widths"),
        (lambda: fit_times(blobs(41), Grid()), "as many rows"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        make()
