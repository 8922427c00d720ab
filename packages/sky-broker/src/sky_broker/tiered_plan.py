"""A job's plan of least cost where egress has the tiers of a month."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sky_broker.candidates import EmptySet
from sky_broker.egress import LISTED, EgressSchedule, monthly_bill
from sky_broker.job import Job
from sky_broker.model import Model, Sky, build
from sky_broker.network import cloud_of, region_of
from sky_broker.optimize import NoPlan, weights_of
from sky_broker.plan import Plan, plan_of
from sky_broker.solve import Infeasible
from sky_broker.tiered import Leaving, solve_tiered


def optimize_tiered(
    job: Job, sky: Sky, schedules: Mapping[str, EgressSchedule] = LISTED, time_limit: float = 60.0
) -> Plan:
    """The plan of least cost if all that a job moves leaves in one month, and nothing else does.

    Args:
        job: tasks, data and constraints; its budget is kept with tiers.
        sky: to choose from; the grid has the prices of the first tier.
        schedules: cloud -> its tiers; other clouds keep flat prices.
        time_limit: seconds for the solver.

    Returns:
        The plan. Its movements cost what they do after the discount of the cloud that they leave, which `Plan.discounts` has.

    Raises:
        NoPlan: no plan keeps all constraints, or a task has no offer.
        NoPlanInTime: the solver found none in time.
        AssertionError: the month's bill is not what the solver said.
    """
    try:
        model = build(job, sky)
        found = solve_tiered(model.problem, leaving_of(model, sky, schedules), time_limit)
    except EmptySet as error:
        raise NoPlan(str(error)) from None
    except Infeasible as error:
        raise NoPlan(f"{job.name}, with egress by tiers: {error}") from None
    flat = plan_of(model, found.solution, weights_of("cost")[0], sky, with_carbon=False)
    movements = tuple(
        replace(one, usd=one.usd * found.discounts.get(cloud_of(one.source), 1.0))
        if cloud_of(one.source) != cloud_of(one.target)
        else one
        for one in flat.movements
    )
    plan = replace(flat, movements=movements, discounts=found.discounts)
    bill = bill_of(flat, schedules)
    for what, ours in (("by its bill", plan.compute + bill), ("by its movements", plan.cost)):
        if not math.isclose(ours, found.solution.figures.usd, rel_tol=1e-6, abs_tol=1e-6):
            raise AssertionError(
                f"the plan comes to {ours} {what} and to {found.solution.figures.usd} by the solver"
            )
    return plan


def bill_of(plan: Plan, schedules: Mapping[str, EgressSchedule] = LISTED) -> float:
    """What the egress of a plan costs, in $, if all of it leaves in one month and nothing else does."""
    moved = [
        (one.source, one.target, one.gb)
        for one in plan.movements
        if one.gb and region_of(one.source) != region_of(one.target)
    ]
    return monthly_bill(plan.sky.grid, moved, schedules)


def leaving_of(model: Model, sky: Sky, schedules: Mapping[str, EgressSchedule]) -> Leaving:
    """What the states of a job read from clouds with tiers.

    Args:
        model: of the job.
        sky: that it is of.
        schedules: cloud -> its tiers.
    """
    problem, job = model.problem, model.job
    place = {name: number for number, name in enumerate(problem.locations)}
    clouds = np.array([cloud_of(name) for name in problem.locations])
    names = list(schedules)
    read_gb, read_usd = [], []
    for task, states in zip(problem.tasks, problem.states, strict=True):
        gb, usd = np.zeros((len(states), len(names))), np.zeros((len(states), len(names)))
        for item in job.datasets_of(job.by_name[task]):
            cloud = cloud_of(item.location)
            if item.gb == 0 or cloud not in schedules:
                continue
            abroad = clouds[states.location] != cloud
            prices = problem.usd_per_gb[place[region_of(item.location)], states.location]
            gb[abroad, names.index(cloud)] += item.gb
            usd[abroad, names.index(cloud)] += item.gb * prices[abroad]
        read_gb.append(gb)
        read_usd.append(usd)
    return Leaving(schedules, tuple(read_gb), tuple(read_usd))
