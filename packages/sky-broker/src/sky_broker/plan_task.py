"""The tasks `optimize`, `pareto` and `peering`: plans of a job, and what holds it in its own cloud."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from offprints.app import Results, Run
from offprints.errors import InputError
from offprints.tables import show

from sky_broker import plots_plan
from sky_broker.baselines import cost_of, greedy, in_order, one_place, per_cloud_egress
from sky_broker.candidates import EmptySet
from sky_broker.config import Config
from sky_broker.job import Job
from sky_broker.jobs import embedded_jobs, scaled
from sky_broker.model import Sky
from sky_broker.optimize import NoPlan, best_plan, optimize, within
from sky_broker.options import job_of_options, sky_of_options
from sky_broker.page import page
from sky_broker.pareto import Front, pareto
from sky_broker.plan import Plan
from sky_broker.plan_files import write_plan
from sky_broker.run_task import carry_out
from sky_broker.solve import Infeasible, NoPlanInTime
from sky_broker.tiered_plan import bill_of, optimize_tiered

_NO_HOME = "no cloud alone has an offer for every task, so that there is no bill at home"


def optimize_task(config: Config, run: Run) -> Results:
    """Place a job, prove the plan, and set it beside one cloud, simpler ways to choose and peering."""
    sky, job = sky_of_options(config, run), job_of_options(config.job)
    solver = config.solver
    if config.network.egress == "tiered":
        return _with_tiers(config, job, sky, run)
    plan = optimize(job, sky, solver.objective, solver.method, solver.time_limit)
    show(_tasks(plan), f"{job.name}: ${plan.cost:,.2f}, of which egress ${plan.egress:,.2f}")
    run.log.info("The plan is %s.", plan.certificate)
    others = alternatives(job, sky, plan)
    show(
        pd.DataFrame({"way to choose": list(others), "$": list(others.values())}),
        "the same job, chosen otherwise",
    )
    why = plan.explain()
    for line in why.splitlines():
        run.log.info("%s", line)
    front = _front(config, job, sky, run)
    write_plan(plan, run.directory, page(plan, why, others, front))
    run.figure(
        "plan",
        plots_plan.dag(plan),
        "The tasks of the job at their places, and what it costs to move data between them",
    )
    metrics = {
        **_figures(plan),
        **{f"{name.replace(' ', '_')}/cost": usd for name, usd in others.items()},
    }
    if any(item.gb for item in job.datasets.values()):
        metrics |= _sweep(config, job, sky, run)[0]
    details: dict[str, Any] = {"plan": plan.to_dict(), "why": why.splitlines()}
    # Jobs of users have commands of their own, which task=run is for.
    if config.execution.demonstrate and config.job.file in embedded_jobs():
        try:
            carried = carry_out(
                replace(job, objective=solver.objective or job.objective), sky, config.execution, run
            )
            metrics, details = metrics | carried.metrics, details | carried.details
            write_plan(plan, run.directory, page(plan, why, others, front, carried.attempts))
        except NoPlan as error:
            run.log.warning("The outage could not be survived: %s", error)
            metrics["run/failed_over"] = 0.0
    return Results(metrics, details)


def _with_tiers(config: Config, job: Job, sky: Sky, run: Run) -> Results:
    """Place a job with the tiers of a month, beside the plan that flat prices would choose."""
    asked = config.solver.objective or job.objective
    if asked != "cost":
        raise InputError(f"network.egress=tiered is for the least cost; the objective is {asked}")
    plan = optimize_tiered(job, sky, time_limit=config.solver.time_limit)
    flat = optimize(
        replace(job, constraints=replace(job.constraints, budget=None)),
        sky,
        "cost",
        time_limit=config.solver.time_limit,
    )
    costs = {
        "with tiers": plan.cost,
        "chosen at flat prices, paid with tiers": flat.compute + bill_of(flat),
        "chosen and paid at flat prices": flat.cost,
    }
    show(_tasks(plan), f"{job.name}: ${plan.cost:,.2f}, of which egress ${plan.egress:,.2f} by tiers")
    show(pd.DataFrame({"plan": list(costs), "$": list(costs.values())}), "the same job")
    run.log.info("The plan is %s.", plan.certificate)
    write_plan(plan, run.directory)
    run.figure(
        "plan",
        plots_plan.dag(plan),
        "The tasks of the job at their places, and what it costs to move data between them",
    )
    metrics = {
        **_figures(plan),
        "flat_plan/cost": costs["chosen at flat prices, paid with tiers"],
        "flat_plan/flat_cost": flat.cost,
        **{f"discount/{cloud}": discount for cloud, discount in plan.discounts.items()},
    }
    return Results(metrics, {"plan": plan.to_dict()})


def _front(config: Config, job: Job, sky: Sky, run: Run) -> Front | None:
    """The front for the page of a plan; None where it is not wanted, or times are unknown."""
    if not config.solver.front:
        return None
    try:
        return pareto(job, sky, config.solver.objectives, config.solver.front, config.solver.time_limit)
    except (NoPlan, NoPlanInTime) as error:
        run.log.warning("The page has no front: %s", error)
        return None


def pareto_task(config: Config, run: Run) -> Results:
    """The plans of a job that no other is better than in all objectives."""
    sky, job = sky_of_options(config, run), job_of_options(config.job)
    front = pareto(job, sky, config.solver.objectives, config.solver.most, config.solver.time_limit)
    table = pd.DataFrame(front.points, columns=list(front.objectives))
    table["places"] = [
        ", ".join(dict.fromkeys(one.offer.location for one in plan.placements)) for plan in front.plans
    ]
    show(table, f"{job.name}: {len(front)} plans{'' if front.complete else ', a choice of them'}")
    chosen = front.knee()
    run.figure(
        "front",
        plots_plan.front(front, chosen),
        "Plans that no other is better than, and the one that was chosen",
    )
    write_plan(chosen, run.directory, page(chosen, front=front))
    ends = {
        f"front/{name}_{end}": float(value)
        for name in front.objectives
        for end, value in zip(("min", "max"), (table[name].min(), table[name].max()), strict=True)
    }
    return Results(
        {"front/points": len(front), "front/complete": float(front.complete), **ends}, {"front": front.points}
    )


def peering_task(config: Config, run: Run) -> Results:
    """One job with more and more data: what a broker saves against each home cloud, without and with peering."""
    sky, job = sky_of_options(config, run), job_of_options(config.job)
    metrics, rows = _sweep(config, job, sky, run)
    if not rows:
        raise InputError(f"job {job.name}: {_NO_HOME}, which task=peering compares with")
    return Results(metrics, {"sweep": rows})


def alternatives(job: Job, sky: Sky, plan: Plan) -> dict[str, float]:
    """$ of the same job by other ways to choose, all priced by the same rules; infinite where there is no such plan.

    Args:
        job: to place.
        sky: to choose from.
        plan: the best one, whose problem the simpler ways choose in.
    """
    found = {}
    clouds = job.constraints.clouds or tuple(
        cloud for cloud in sky.grid.clouds if cloud in sky.catalog.clouds
    )
    for cloud in dict.fromkeys(clouds):
        found[f"only {cloud}"] = _least_cost(within(job, (cloud,)), sky)
    problem = plan.model.problem
    for name, chosen in (
        ("one place", one_place(problem)),
        ("cheapest offers", greedy(problem)),
        ("task by task", in_order(problem)),
        ("egress by cloud", per_cloud_egress(problem)),
    ):
        found[name] = cost_of(problem, chosen)
    return found


def _sweep(config: Config, job: Job, sky: Sky, run: Run) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The job at each size from each home cloud: at home only, brokered, and brokered with peering; nothing if no cloud is a home."""
    peers = config.sweep.peers or sorted(set(sky.grid.clouds))
    peered = replace(sky, grid=sky.grid.with_peering(peers))
    # What a bill at home comes to is asked, and what more data add to it: neither has to keep the budget of the plan.
    job = replace(job, constraints=replace(job.constraints, budget=None))
    homes = _homes(job, sky)
    if not homes or not config.sweep.gigabytes:
        run.log.info("No peering sweep: %s.", _NO_HOME if not homes else "sweep.gigabytes is empty")
        return {}, []
    rows: list[dict[str, Any]] = []
    with run.progress(len(config.sweep.gigabytes) * len(homes), "peering") as bar:
        for gb in config.sweep.gigabytes:
            for cloud, location in homes.items():
                own = _at_home(scaled(job, gb), location)
                row: dict[str, Any] = {
                    "GB": gb,
                    "home": cloud,
                    "at home": _cost_or_nan(within(own, (cloud,)), sky),
                    "brokered": _cost_or_nan(own, sky),
                    "peered": _cost_or_nan(own, peered),
                }
                rows.append(row)
                bar.advance(1, {"saved": 1 - row["brokered"] / row["at home"]})
    table = pd.DataFrame(rows)
    for way in ("brokered", "peered"):
        table[f"{way} saves"] = 1 - table[way] / table["at home"]
    show(table, "what a broker saves, by the data of the job")
    curves = {
        f"{cloud} {way}": list(table[table["home"] == cloud][f"{way} saves"])
        for cloud in homes
        for way in ("brokered", "peered")
    }
    run.figure(
        "peering",
        plots_plan.peering(config.sweep.gigabytes, curves),
        "What a broker saves of a job's bill at home, by the size of its data, with and without peering",
    )
    metrics: dict[str, float] = {}
    for row in table.to_dict("records"):
        key = f"sweep/{row['home']}_{row['GB']:g}gb"
        metrics |= {f"{key}_saved": row["brokered saves"], f"{key}_saved_peered": row["peered saves"]}
    return metrics, rows


def _homes(job: Job, sky: Sky) -> dict[str, str]:
    """Cloud -> where its users' data lie: for each that the job may use, the place that is cheapest with its data there."""
    homes = {}
    allowed = job.constraints.clouds or sky.catalog.clouds
    for cloud in sorted(set(sky.grid.clouds) & set(sky.catalog.clouds) & set(allowed)):
        places = [name for name in sky.grid.locations if name.startswith(f"{cloud}:")]
        costs = {place: _least_cost(within(_at_home(job, place), (cloud,)), sky) for place in places}
        best = min(costs, key=costs.__getitem__)
        if math.isfinite(costs[best]):
            homes[cloud] = best
    return homes


def _least_cost(job: Job, sky: Sky) -> float:
    """$ of the cheapest plan; infinite if there is none."""
    try:
        return best_plan(job, sky).cost
    except (EmptySet, Infeasible):
        return math.inf


def _cost_or_nan(job: Job, sky: Sky) -> float:
    """The same; NaN if there is none, as with data too large for a deadline."""
    usd = _least_cost(job, sky)
    return usd if math.isfinite(usd) else math.nan


def _at_home(job: Job, location: str) -> Job:
    """The job with all its data at one place."""
    return replace(
        job, datasets={name: replace(item, location=location) for name, item in job.datasets.items()}
    )


def _tasks(plan: Plan) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "task": one.task,
                "place": one.offer.location,
                "machine": one.offer.instance_type,
                "accelerators": f"{one.offer.accelerator}:{one.offer.count:g}"
                if one.offer.accelerator
                else "-",
                "$/h": one.offer.usd_per_hour,
                "hours": one.hours,
                "$": one.usd,
                "egress $": sum(move.usd for move in plan.movements if move.task == one.task),
            }
            for one in plan.placements
        ]
    )


def _figures(plan: Plan) -> dict[str, float]:
    return {
        "plan/cost": plan.cost,
        "plan/egress": plan.egress,
        "plan/makespan": plan.makespan,
        "plan/gap": plan.certificate.gap,
        "plan/seconds": plan.certificate.seconds,
    }
