"""The task `launch`: a plan on real clouds through SkyPilot; a dry run unless an amount to pay is given."""

from __future__ import annotations

import pandas as pd

from offprints.app import Results, Run
from offprints.tables import show

from sky_broker.config import Config
from sky_broker.launch import Launched, launch
from sky_broker.optimize import optimize
from sky_broker.options import job_of_options, sky_of_options
from sky_broker.plan_files import write_plan


def launch_task(config: Config, run: Run) -> Results:
    """Plan a job and launch it."""
    sky, job = sky_of_options(config, run), job_of_options(config.job)
    solver, options = config.solver, config.launch
    plan = optimize(job, sky, solver.objective, solver.method, solver.time_limit)
    write_plan(plan, run.directory)
    with run.progress(len(plan.placements), "tasks") as bar:
        seen = 0

        def tick(ended: list[Launched]) -> None:
            nonlocal seen
            bar.advance(len(ended) - seen)
            seen = len(ended)

        ended = launch(plan, options.pay, options.idle_minutes, options.wait_seconds, tick)
    show(pd.DataFrame([vars(one) for one in ended]), f"{job.name}: ${plan.cost:,.2f} by the plan")
    if options.pay is None:
        run.log.info("A dry run: nothing was rented. launch.pay=%.2f rents it.", plan.cost)
    metrics = {
        "plan/cost": plan.cost,
        "launch/tasks": float(len(ended)),
        "launch/rented": float(options.pay is not None),
    }
    return Results(metrics, {"plan": plan.to_dict(), "launched": [vars(one) for one in ended]})
