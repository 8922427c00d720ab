"""Jobs with a deadline on spot nodes: no availability makes a policy late, and figures are those that were recorded."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offprints.errors import InputError, MissingFile
from offprints.testing import data_folder

from sky_broker.clairvoyant import clairvoyant
from sky_broker.policies import (
    Greedy,
    Guarded,
    KnownSpells,
    LearntSpells,
    OnDemand,
    OnlySpot,
    UniformProgress,
)
from sky_broker.spells import AGES, SHAPE, EndRates, SpellCount, level_of, measured
from sky_broker.spot import NONE, ON_DEMAND, SPOT, Decide, SpotJob, Step, simulate
from sky_broker.traces import made_up_trace, read_trace, released_names, released_trace

HOUR = 3600
RECORDED = {
    "on_demand": OnDemand(),
    "greedy": Greedy(),
    "up_hysteresis": UniformProgress(),
    "up_no_hysteresis": UniformProgress(hysteresis=False),
}
SAFE = [Greedy(), UniformProgress(), UniformProgress(hysteresis=False), LearntSpells(), KnownSpells(SHAPE)]


def strings(ticks: int) -> np.ndarray:
    """Every availability string of a length, as (2^ticks, ticks)."""
    return (np.arange(2**ticks)[:, None] >> np.arange(ticks) & 1).astype(bool)


def job(ticks: int, work: float, overhead: float, extra: float = 0.0) -> SpotJob:
    """A job in ticks of an hour."""
    return SpotJob(work, ticks + extra, overhead, HOUR)


def replayed(schedule: np.ndarray, given_job: SpotJob, available: np.ndarray) -> tuple[float, float]:
    """Cost in $ and work in seconds of a schedule, one tick after the other in plain Python."""
    cost, work, overhead, before = 0.0, 0.0, 0.0, NONE
    for mode, there in zip(schedule, available, strict=False):
        assert mode != SPOT or there
        if mode != NONE:
            overhead = given_job.overhead if mode != before else overhead
            work += max(given_job.gap_seconds - overhead, 0.0)
            overhead = max(overhead - given_job.gap_seconds, 0.0)
            price = given_job.spot_usd if mode == SPOT else given_job.on_demand_usd
            cost += price * given_job.gap_seconds / 3600
        before = mode
    return cost, work


@pytest.mark.parametrize("policy", SAFE, ids=lambda policy: policy.name)
@pytest.mark.parametrize(
    "ticks, work, overhead", [(16, 11.0, 0.5), (12, 8.5, 1.0), (12, 9.2, 0.0), (11, 10.0, 0.7)]
)
def test_no_availability_makes_a_policy_late(policy, ticks: int, work: float, overhead: float) -> None:
    every = strings(ticks)
    for extra in (0.0, 0.4):  # the deadline need not be a whole number of ticks
        assert not simulate(policy, every, job(ticks, work, overhead, extra)).late.any()


@pytest.mark.parametrize("policy", [*SAFE, Guarded(OnlySpot())], ids=lambda policy: policy.name)
@pytest.mark.parametrize("overhead", [1.3, 2.0, 2.5])
def test_nor_do_restarts_longer_than_a_tick(policy, overhead: float) -> None:
    assert not simulate(policy, strings(13), job(13, 9.0, overhead)).late.any()


class Erratic:
    """Chooses at random, as nobody should."""

    name = "erratic"

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def begin(self, job: SpotJob, windows: int) -> Decide:
        def decide(step: Step) -> np.ndarray:
            drawn = self.random.integers(0, 3, windows)
            return np.where((drawn == SPOT) & ~step.available, NONE, drawn)

        return decide


@given(
    st.integers(0, 10**6),
    st.floats(0.0, 3.2),
    st.floats(3.0, 20.0),
    st.floats(0.0, 9.0),
    st.sampled_from([600, 3600]),
)
def test_the_net_holds_whatever_falls_into_it(
    seed: int, overhead: float, work: float, slack: float, gap: int
) -> None:
    generator = np.random.default_rng(seed)
    unit = gap / HOUR
    deadline = (np.ceil(work + overhead) + slack) * unit
    given_job = SpotJob(work * unit, deadline, overhead * unit, gap)
    available = generator.random((50, given_job.ticks)) < generator.random((50, 1))
    assert not simulate(Guarded(Erratic(seed)), available, given_job).late.any()


def test_without_the_net_the_same_choices_are_late() -> None:
    available = np.ones((50, 12), dtype=bool)
    assert simulate(Erratic(0), available, job(12, 10.0, 0.5)).late.any()


@pytest.mark.parametrize("policy", [*SAFE, OnDemand()], ids=lambda policy: policy.name)
def test_nothing_costs_less_than_the_optimum(policy) -> None:
    every = strings(12)
    given_job = job(12, 8.0, 0.5)
    optimum = clairvoyant(every, given_job).cost
    outcome = simulate(policy, every, given_job)
    assert (outcome.cost >= optimum - 1e-9).all()
    assert (optimum <= simulate(OnDemand(), every, given_job).cost + 1e-9).all()


@pytest.mark.parametrize("overhead, work", [(0.5, 4.0), (0.0, 5.0), (1.0, 4.0), (0.3, 5.1), (1.5, 3.0)])
def test_the_optimum_is_that_of_all_schedules(overhead: float, work: float) -> None:
    ticks = 7
    given_job = job(ticks, work, overhead)
    schedules = list(itertools.product((NONE, SPOT, ON_DEMAND), repeat=ticks))
    chosen = strings(ticks)[::5]
    optimum = clairvoyant(chosen, given_job, keep_schedule=True)
    assert optimum.schedule is not None
    for available, found, kept in zip(chosen, optimum.cost, optimum.schedule, strict=True):
        best = np.inf
        for schedule in schedules:
            if all(there or mode != SPOT for mode, there in zip(schedule, available, strict=True)):
                cost, done = replayed(np.array(schedule), given_job, available)
                best = min(best, cost if done >= given_job.work - 1e-6 else np.inf)
        assert found == pytest.approx(best, abs=1e-9)
        cost, done = replayed(kept, given_job, available)
        assert cost == pytest.approx(found, abs=1e-9) and done >= given_job.work - 1e-6


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(5, 30))
def test_the_simulation_is_what_a_plain_loop_gives(seed: int, overhead: float, work: int) -> None:
    given_job = job(work + 8, float(work), overhead)
    available = np.random.default_rng(seed).random((3, given_job.ticks)) < 0.6
    for policy in SAFE:
        outcome = simulate(policy, available, given_job, keep_schedule=True)
        assert outcome.schedule is not None
        for window in range(3):
            cost, done = replayed(outcome.schedule[window], given_job, available[window])
            assert cost == pytest.approx(outcome.cost[window])
            assert done >= given_job.work - 1e-6
            assert len(outcome.written(window)) == outcome.ticks[window]


def test_with_spot_all_the_time_nothing_else_is_paid() -> None:
    available = np.ones((1, 20), dtype=bool)
    for policy in SAFE:
        outcome = simulate(policy, available, job(20, 12.0, 0.5))
        assert outcome.cost[0] == pytest.approx(13 * 0.9731)
        assert (outcome.ticks[0], outcome.starts[0], outcome.on_demand_ticks[0]) == (13, 1, 0)


def test_only_spot_says_when_it_would_be_done() -> None:
    available = np.zeros((2, 20), dtype=bool)
    available[0, 10:] = True
    outcome = simulate(OnlySpot(), available, job(12, 5.0, 0.5))
    assert outcome.ticks.tolist() == [16, 21]
    assert outcome.late.all()


def test_a_policy_that_takes_what_is_not_there_is_a_bug() -> None:
    class Cheat(OnDemand):
        def begin(self, job: SpotJob, windows: int) -> Decide:
            return lambda step: np.full(windows, SPOT)

    with pytest.raises(ValueError, match="tick 0"):
        simulate(Cheat(), np.zeros((1, 12), dtype=bool), job(12, 8.0, 0.5))


def test_policies_do_not_know_the_future() -> None:
    """Two pasts that agree give the same choices until they part."""
    generator = np.random.default_rng(3)
    first = generator.random((40, 30)) < 0.6
    second = first.copy()
    second[:, 17:] = generator.random((40, 13)) < 0.3
    for policy in SAFE:
        one, other = (
            simulate(policy, each, job(30, 20.0, 0.5), keep_schedule=True) for each in (first, second)
        )
        assert one.schedule is not None and other.schedule is not None
        assert np.array_equal(one.schedule[:, :17], other.schedule[:, :17])


@pytest.mark.parity
@pytest.mark.parametrize("number", range(12))
def test_recorded_windows(number: int, recorded_json) -> None:
    case = recorded_json("spot.json")[number]
    available = np.array([[letter == "1" for letter in case["available"]]])
    given_job = SpotJob(
        case["task_hours"],
        case["deadline_hours"],
        case["overhead_hours"],
        case["gap_s"],
        case["od"],
        case["spot"],
    )
    for name, policy in RECORDED.items():
        known = case[name]
        outcome = simulate(policy, available, given_job, keep_schedule=True)
        assert outcome.written(0) == known["schedule"], name
        assert outcome.cost[0] == pytest.approx(known["cost"], abs=1e-9)
        assert outcome.ticks[0] == known["ticks"]
    if known := case.get("offline_optimum"):
        assert clairvoyant(available, given_job).cost[0] == pytest.approx(known["cost"], abs=1e-9)


@pytest.mark.parity
@pytest.mark.real_data
def test_recorded_windows_are_those_of_the_released_traces(recorded_json) -> None:
    data_folder("spot-traces")
    for case in recorded_json("spot.json"):
        trace = released_trace(case["file"].removesuffix(".json.gz"))
        window = trace.windows(np.array([case["start"]]), len(case["available"]))[0]
        assert "".join("1" if there else "0" for there in window) == case["available"]
        assert trace.gap_seconds == case["gap_s"]


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name, share",
    [
        ("us-west-2b_k80_1", 0.117),
        ("us-west-2a_k80_1", 0.89),
        ("us-west-2a_v100_1", 0.79),
        ("us-west-2a_v100_8", 0.48),
    ],
)
def test_ones_of_the_released_traces_are_nodes_that_could_be_had(name: str, share: float) -> None:
    data_folder("spot-traces")
    trace = released_trace(f"aws-10-26-2022/{name}")
    assert trace.available().mean() == pytest.approx(share, abs=0.005)
    assert len(trace.nodes) == 3895 and trace.gap_seconds == 600


@pytest.mark.real_data
def test_sixty_starts_on_one_v100_cost_what_was_recorded() -> None:
    data_folder("spot-traces")
    trace = released_trace("aws-10-26-2022/us-west-2a_v100_1")
    given_job = SpotJob(48, 52, 0.1, trace.gap_seconds)
    drawn = random.Random(7)
    starts = np.array([drawn.randrange(len(trace.nodes) - given_job.ticks) for _ in range(60)])
    windows = trace.windows(starts, given_job.ticks)
    costs = [
        simulate(policy, windows, given_job).cost.mean()
        for policy in (Greedy(), UniformProgress(), UniformProgress(hysteresis=False), LearntSpells())
    ]
    optimum = clairvoyant(windows, given_job).cost.mean()
    assert costs[:3] == pytest.approx([97.4, 74.8, 66.9], abs=0.05)
    assert optimum == pytest.approx(62.0, abs=0.05)
    assert optimum < costs[3] < min(costs[:3])


@pytest.mark.real_data
def test_our_policy_beats_uniform_progress_where_it_was_not_tuned() -> None:
    data_folder("spot-traces")
    for name in ("us-west-2a_v100_1", "us-east-1c_v100_1"):
        trace = released_trace(f"aws-02-15-2023/{name}")
        given_job = SpotJob(48, 52, 0.05, trace.gap_seconds)
        starts = np.linspace(0, len(trace.nodes) - given_job.ticks, 200).astype(np.int64)
        windows = trace.windows(starts, given_job.ticks)
        ours, published = (
            simulate(policy, windows, given_job) for policy in (LearntSpells(), UniformProgress())
        )
        assert ours.cost.mean() < published.cost.mean()
        assert not ours.late.any()


@pytest.mark.real_data
def test_counts_of_nodes_are_asked_for_as_many_as_are_needed() -> None:
    data_folder("spot-traces")
    trace = released_trace("aws-08-27-2023/us-east-2b_v100_1")
    shares = [trace.available(needed).mean() for needed in (1, 8, 16, 17)]
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[2] > 0 == shares[3]
    with pytest.raises(InputError, match="1 node or more"):
        trace.available(0)


def test_the_other_way_round_has_to_be_said(tmp_path: Path) -> None:
    content = json.dumps({"metadata": {"gap_seconds": 60}, "data": [1, 0, 0, 1]})
    (tmp_path / "plain.json").write_text(content)
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(content.encode()))
    assert read_trace(tmp_path / "plain.json", "available").nodes.tolist() == [1, 0, 0, 1]
    assert read_trace(tmp_path / "packed.json.gz", "preempted").nodes.tolist() == [0, 1, 1, 0]
    with pytest.raises(InputError, match="either 'available' or 'preempted'"):
        read_trace(tmp_path / "plain.json", "yes")
    with pytest.raises(MissingFile):
        read_trace(tmp_path / "none.json", "available")


@pytest.mark.parametrize(
    "content",
    ["[1, 0]", '{"metadata": {}, "data": [1]}', '{"metadata": {"gap_seconds": 60}, "data": [0.5]}', "{"],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "trace.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"trace\.json"):
        read_trace(path, "available")


def test_counts_cannot_be_turned_round(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text('{"metadata": {"gap_seconds": 60}, "data": [4, 0]}')
    with pytest.raises(InputError, match="counts up to 4"):
        read_trace(path, "preempted")


def test_unknown_traces_offer_the_nearest_name() -> None:
    assert len(released_names()) == 34
    with pytest.raises(InputError, match="did you mean aws-02-15-2023/us-west-2a_v100_1"):
        released_trace("aws-02-15-2023/us-west-2a_v100")


def test_made_up_traces_have_the_spells_that_were_asked_for() -> None:
    trace = made_up_trace(0, 20_000, up_hours=3.0, down_hours=1.0)
    assert trace.available().mean() == pytest.approx(0.75, abs=0.02)
    ends = np.sum(trace.available()[:-1] & ~trace.available()[1:])
    assert trace.available().sum() * trace.gap_seconds / HOUR / ends == pytest.approx(3.0, rel=0.1)
    assert np.array_equal(trace.nodes, made_up_trace(0, 20_000, up_hours=3.0, down_hours=1.0).nodes)


def test_jobs_that_cannot_be_done_are_refused() -> None:
    with pytest.raises(InputError, match="even on demand"):
        SpotJob(48, 48, 0.1, 600)
    with pytest.raises(InputError, match="overhead_hours=-1"):
        SpotJob(48, 52, -1, 600)
    with pytest.raises(InputError, match="no common unit"):
        clairvoyant(np.ones((1, 312), dtype=bool), SpotJob(48, 52, 0.123456789, 600))
    with pytest.raises(InputError, match="shape"):
        simulate(Greedy(), np.ones((1, 300), dtype=bool), SpotJob(48, 52, 0.1, 600))


def test_rates_of_made_up_spells_are_measured_as_they_were_made() -> None:
    trace = made_up_trace(1, 100_000, gap_seconds=60.0, up_hours=3.0, down_hours=1.0)
    found = measured([(trace.available(), trace.gap_seconds)])
    assert found.up == pytest.approx([1 / 3] * len(AGES), rel=0.12)
    assert found.down[:3] == pytest.approx([1.0] * 3, rel=0.12)


@pytest.mark.real_data
def test_the_shape_is_that_of_the_k80_traces() -> None:
    data_folder("spot-traces")
    traces = [released_trace(name) for name in released_names() if "k80" in name]
    found = measured([(trace.available(), trace.gap_seconds) for trace in traces])
    assert np.allclose(found.up, SHAPE.up, rtol=0.01) and np.allclose(found.down, SHAPE.down, rtol=0.01)


def test_what_is_learnt_of_spells_is_how_much_oftener_they_end() -> None:
    generator = np.random.default_rng(0)
    gap, windows = 120.0, 60
    count = SpellCount(windows, gap, SHAPE, 0.0, (1.0, 1.0), 0.5)
    rates = SHAPE.scaled(2.0, 0.5)
    now, age = np.ones(windows, dtype=bool), np.zeros(windows)
    for _ in range(15_000):
        count.see(now)
        assert np.array_equal(count.age, age)
        rate = np.where(now, np.array(rates.up)[level_of(age)], np.array(rates.down)[level_of(age)])
        change = generator.random(windows) < rate * gap / HOUR
        age = np.where(change, 0.0, age + gap / HOUR)
        now = now ^ change
    up, down = count.factors
    assert up.mean() == pytest.approx(2.0, rel=0.05) and down.mean() == pytest.approx(0.5, rel=0.05)


def test_where_spells_end_as_believed_no_other_belief_costs_less() -> None:
    trace = made_up_trace(2, 100_000, gap_seconds=HOUR / 4, up_hours=3.0, down_hours=1.0)
    given_job = SpotJob(20, 26, 0.2, HOUR / 4)
    windows = trace.windows(np.arange(0, 390_000, 130), given_job.ticks)
    right = EndRates((1 / 3,) * len(AGES), (1.0,) * len(AGES))
    believed = {
        (up, down): simulate(KnownSpells(right.scaled(up, down)), windows, given_job).cost.mean()
        for up in (0.1, 1.0, 10.0)
        for down in (0.1, 1.0, 10.0)
    }
    assert min(believed.values()) >= believed[1.0, 1.0] * 0.998  # 3,000 windows leave a little chance
    assert max(believed.values()) > believed[1.0, 1.0] * 1.05
    assert believed[1.0, 1.0] < simulate(UniformProgress(), windows, given_job).cost.mean()
