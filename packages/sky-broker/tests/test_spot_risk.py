"""Expected times on spot machines, against chance itself and in plans."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from sky_broker import Job, Resources, Sky, SpotRisk, Task, TimeSpec, optimize


def drawn(
    work: float, rate: float, restart: float, checkpoint: float | None, runs: int = 20_000
) -> tuple[float, float]:
    """Mean hours of as many runs with interruptions that are drawn, one after the other, and the error of that mean."""
    random = np.random.default_rng(0)
    took = np.zeros(runs)
    saved = np.zeros(runs)
    while (going := saved < work - 1e-9).any():
        held = random.exponential(1 / rate, runs)
        done = saved + np.maximum(held - restart, 0.0)
        kept = (
            np.floor(done / checkpoint + 1e-9) * checkpoint
            if checkpoint
            else np.where(done >= work, done, 0.0)
        )
        ends = going & (done >= work)
        took += np.where(ends, restart + work - saved, np.where(going, held, 0.0))
        saved = np.where(going, np.where(ends, work, np.maximum(saved, kept)), saved)
    return float(took.mean()), float(took.std() / math.sqrt(runs))


@pytest.mark.parametrize(
    "work, rate, restart, checkpoint",
    [(4.0, 0.3, 0.2, None), (4.0, 0.3, 0.2, 1.0), (5.0, 0.5, 0.0, 2.0), (3.0, 1.0, 0.5, 0.7), (1.0, 0.2, 0.1, 9.0)],
)  # fmt: skip
def test_the_formula_is_the_mean_of_runs_that_are_drawn(
    work: float, rate: float, restart: float, checkpoint: float | None
) -> None:
    mean, error = drawn(work, rate, restart, checkpoint)
    found = SpotRisk(rate, restart).hours(work, "aws:us-east-1", checkpoint=checkpoint)
    assert error < 0.02 * mean and abs(found - mean) < 4 * error


@given(st.floats(0.1, 50), st.floats(1e-6, 0.5), st.floats(0, 1), st.floats(0.1, 10))
def test_checkpoints_help_and_interruptions_never_do(
    work: float, rate: float, restart: float, piece: float
) -> None:
    risk = SpotRisk(rate, restart)
    with_it, without = (risk.hours(work, "x:y", checkpoint=each) for each in (piece, None))
    assert restart + work <= with_it * (1 + 1e-9) and with_it <= without * (1 + 1e-9)
    assert risk.hours(work, "x:y", nodes=2, checkpoint=piece) >= with_it * (1 - 1e-9)
    assert SpotRisk(0.0, restart).hours(work, "x:y", checkpoint=piece) == pytest.approx(restart + work)
    assert SpotRisk(1e-9, restart).hours(work, "x:y", checkpoint=piece) == pytest.approx(
        restart + work, rel=1e-5
    )


def test_spot_is_taken_where_it_is_cheaper_with_its_interruptions() -> None:
    sky = Sky.embedded()
    task = Task("train", (Resources("V100:1", spot="allowed"),), TimeSpec.fixed(10.0), nodes=2)
    job = Job("j", (task,))
    calm, wild = (replace(sky, spot_risk=SpotRisk(rate, 0.1)) for rate in (0.01, 0.4))
    for each in (sky, calm):
        assert optimize(job, each).placements[0].offer.spot
    one = optimize(job, calm).placements[0]
    expected = SpotRisk(0.01, 0.1).hours(10.0, one.offer.location, nodes=2)
    assert one.hours == pytest.approx(expected) and one.usd == pytest.approx(
        2 * expected * one.offer.usd_per_hour
    )
    assert not optimize(job, wild).placements[0].offer.spot
    saved = replace(job, tasks=(replace(task, checkpoint=0.25),))
    assert optimize(saved, wild).placements[0].offer.spot
    # A place where machines stay is sought out, and on demand nothing changes.
    calmest = replace(sky, spot_risk=SpotRisk(0.4, 0.1, {"azure:eastus": 0.001}))
    assert optimize(job, calmest).placements[0].offer.location == "azure:eastus"
    never = replace(job, tasks=(replace(task, resources=(Resources("V100:1"),)),))
    assert optimize(never, wild).cost == pytest.approx(optimize(never, sky).cost)


def test_more_hours_than_a_number_holds_leave_spot_out() -> None:
    assert SpotRisk(1.0).hours(5000.0, "x:y") == math.inf
    task = Task("train", (Resources("V100:1", spot="allowed"),), TimeSpec.fixed(5000.0))
    plan = optimize(Job("j", (task,)), replace(Sky.embedded(), spot_risk=SpotRisk(1.0)))
    assert not plan.placements[0].offer.spot


def test_risks_that_are_none_are_refused() -> None:
    for wrong in ((-1.0, 0.0), (math.nan, 0.0), (0.1, math.inf), (0.1, 0.0, {"aws:us-east-1": -0.1})):
        with pytest.raises(InputError, match="0 or more was expected"):
            SpotRisk(*wrong)
