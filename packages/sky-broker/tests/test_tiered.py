"""Plans whose egress has the tiers of a month: against all plans, and against the bill of the month."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from sky_broker import (
    DataItem,
    EgressSchedule,
    Job,
    NoPlan,
    Output,
    Resources,
    Sky,
    Task,
    TimeSpec,
    optimize,
    optimize_tiered,
)
from sky_broker.egress import LISTED
from sky_broker.explain import runners_up, sensitivity
from sky_broker.instances import random_problem
from sky_broker.milp import Weights
from sky_broker.problem import Limits, Problem, broken_limits, evaluate
from sky_broker.solve import Infeasible, solve
from sky_broker.tiered import Leaving, shipped, solve_tiered, tiered_cost

NEAR = 1e-5  # what is promised
STEEP = {  # of the clouds of random problems; the last one keeps its flat prices
    "c0": EgressSchedule((0.0, 200.0, 3000.0), (0.1, 0.04, 0.005)),
    "c1": EgressSchedule((0.0, 1000.0), (0.12, 0.01)),
}


def instance(seed: int, tasks: int = 4) -> tuple[Problem, Leaving]:
    """A random problem whose tasks read data items too, some of them in clouds with tiers."""
    rng = np.random.default_rng([seed, 7])
    problem = random_problem(seed, tasks, 4, 4, parents=3)
    clouds = [name.partition(":")[0] for name in problem.locations]
    states, read_gb, read_usd = [], [], []
    for own in problem.states:
        place, size = int(rng.integers(4)), float(rng.choice([0.0, 50.0, 700.0, 4000.0]))
        gb, usd = np.zeros((len(own), len(STEEP))), np.zeros((len(own), len(STEEP)))
        price = problem.usd_per_gb[place, own.location] * (own.location != place)
        abroad = np.array([clouds[at] != clouds[place] for at in own.location])
        if clouds[place] in STEEP:
            column = list(STEEP).index(clouds[place])
            gb[:, column] = size * abroad
            usd[:, column] = size * price * abroad
        states.append(replace(own, usd=own.usd + size * price))
        read_gb.append(gb)
        read_usd.append(usd)
    return problem.with_states(states), Leaving(STEEP, tuple(read_gb), tuple(read_usd))


def all_costs(problem: Problem, leaving: Leaving) -> dict[tuple[int, ...], float]:
    """Every plan that keeps the limits other than the budget; priced apart from the module."""
    clouds = [name.partition(":")[0] for name in problem.locations]
    found = {}
    for chosen in itertools.product(*(range(len(states)) for states in problem.states)):
        if set(broken_limits(problem, chosen)) - {"budget"}:
            continue
        cost = evaluate(problem, chosen).usd
        for number, (cloud, schedule) in enumerate(leaving.schedules.items()):
            usd = math.fsum(read[state, number] for read, state in zip(leaving.read_usd, chosen, strict=True))
            gb = math.fsum(read[state, number] for read, state in zip(leaving.read_gb, chosen, strict=True))
            for flow in problem.flows:
                u, v = (problem.states[t].location[chosen[t]] for t in (flow.source, flow.target))
                if clouds[u] == cloud != clouds[v]:
                    usd, gb = usd + flow.gb * problem.usd_per_gb[u, v], gb + flow.gb
            if gb:
                cost += usd * (schedule.cost(gb) / (gb * schedule.usd_per_gb[0]) - 1)
        found[chosen] = cost
    return found


@pytest.mark.parametrize("seed", range(60))
def test_the_plan_with_tiers_is_the_best_of_all(seed: int) -> None:
    problem, leaving = instance(seed)
    if seed % 3 == 1:
        hours = [evaluate(problem, chosen).hours for chosen in all_costs(problem, leaving)]
        problem = problem.with_limits(Limits(deadline=float(np.quantile(hours, 0.2)) * (1 + 1e-4)))
    costs = all_costs(problem, leaving)
    least = min(costs.values())
    found = solve_tiered(problem, leaving)
    solution, proof = found.solution, found.solution.certificate
    assert costs[solution.chosen] == pytest.approx(proof.value) == solution.figures.usd
    assert proof.value <= least + NEAR * max(1.0, least)
    assert proof.bound <= least * (1 + 1e-9) and proof.gap <= NEAR
    assert found.discounts == pytest.approx(
        dict(zip(STEEP, leaving.discounts(shipped(problem, leaving, solution.chosen)[1]), strict=True))
    )


def test_tiers_change_plans_and_a_flat_plan_would_be_dearer() -> None:
    saved = []
    for seed in range(40):
        problem, leaving = instance(seed)
        flat = tiered_cost(problem, leaving, solve(problem, Weights(usd=1)).chosen)
        saved.append(flat / solve_tiered(problem, leaving).solution.figures.usd - 1)
    assert min(saved) > -NEAR and sum(one > 0.01 for one in saved) >= 3


def test_without_tiers_and_without_a_schedule_the_plan_is_the_flat_one() -> None:
    for seed in range(10):
        problem, leaving = instance(seed)
        least = solve(problem, Weights(usd=1)).figures.usd
        flat = {cloud: EgressSchedule((0.0,), (0.1,)) for cloud in STEEP}
        assert solve_tiered(problem, replace(leaving, schedules=flat)).solution.figures.usd == pytest.approx(
            least
        )


def test_a_budget_is_kept_with_tiers_and_not_at_flat_prices() -> None:
    problem, leaving = instance(2)
    least = min(all_costs(problem, leaving).values())
    flat = solve(problem, Weights(usd=1)).figures.usd
    assert least < flat * 0.999
    limited = problem.with_limits(Limits(budget=(least + flat) / 2))
    with pytest.raises(Infeasible):
        solve(limited, Weights(usd=1))
    assert solve_tiered(limited, leaving).solution.figures.usd == pytest.approx(least, rel=NEAR)
    with pytest.raises(Infeasible):
        solve_tiered(problem.with_limits(Limits(budget=least * 0.999)), leaving)


def heavy(gigabytes: float, hours: float = 100.0, budget: float | None = None) -> Job:
    """Data at AWS for a task that is cheaper elsewhere."""
    need = (Resources("V100:4", clouds=("aws", "gcp", "azure")),)
    first = Task(
        "first", need, TimeSpec.fixed(hours), inputs=("raw",), outputs={"out": Output(gigabytes / 100)}
    )
    last = Task("last", (Resources(cpus="4", clouds=("aws",)),), TimeSpec.fixed(1.0), inputs=("first.out",))
    data = {"raw": DataItem("aws:us-east-1", gigabytes)}
    return replace(
        Job("heavy", (first, last), data),
        constraints=replace(Job("x", (first,), data).constraints, budget=budget),
    )


def test_a_job_leaves_its_cloud_for_what_tiers_make_of_the_price() -> None:
    sky = Sky.embedded()
    job = heavy(20_000.0, 845.0)
    flat, tiered = optimize(job, sky, "cost"), optimize_tiered(job, sky)
    assert (
        flat.placement("first").offer.cloud == "aws"
    )  # 1,800 $ of egress are more than another machine saves
    assert tiered.placement("first").offer.cloud != "aws"  # and 1,751.6 $ are not
    assert tiered.discounts["aws"] == pytest.approx(LISTED["aws"].cost(20_000) / 1800)
    assert tiered.movements[0].usd == pytest.approx(LISTED["aws"].cost(20_000))
    assert tiered.cost == pytest.approx(tiered.compute + tiered.egress) and tiered.cost < flat.cost
    assert tiered.certificate.value == pytest.approx(tiered.cost)
    for explanation in (runners_up, sensitivity):
        with pytest.raises(ValueError, match="by the tiers of a month"):
            explanation(tiered)


def test_a_job_whose_data_stay_in_the_first_tier_has_its_flat_plan() -> None:
    sky = Sky.embedded()
    flat, tiered = (plan(heavy(100.0), sky) for plan in (optimize, optimize_tiered))
    assert [one.offer for one in flat.placements] == [one.offer for one in tiered.placements]
    assert tiered.cost == pytest.approx(flat.cost)


def test_a_budget_below_the_cost_with_tiers_has_no_plan() -> None:
    sky = Sky.embedded()
    least = optimize_tiered(heavy(20_000.0), sky).cost
    assert optimize_tiered(heavy(20_000.0, budget=least * 1.001), sky).cost == pytest.approx(least)
    with pytest.raises(NoPlan, match="with egress by tiers"):
        optimize_tiered(heavy(20_000.0, budget=least * 0.999), sky)
