"""The task `run`: carry a plan out on the local engine, with what goes wrong on purpose."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pandas as pd

from offprints.app import Results, Run
from offprints.tables import show

from sky_broker.broker import Broker, Patience
from sky_broker.config import Config, ExecutionConfig
from sky_broker.engine import Fault, LocalEngine
from sky_broker.job import Job
from sky_broker.model import Sky
from sky_broker.optimize import optimize
from sky_broker.options import job_of_options, sky_of_options
from sky_broker.page import page
from sky_broker.plan import Plan
from sky_broker.plan_files import write_plan
from sky_broker.state import Attempt


def run_task(config: Config, run: Run) -> Results:
    """Carry a plan out in a sandbox for each region, with faults; a run that was killed goes on."""
    sky, job = sky_of_options(config, run), job_of_options(config.job)
    job = replace(job, objective=config.solver.objective or job.objective)
    carried = carry_out(job, sky, config.execution, run)
    write_plan(carried.plan, run.directory, page(carried.plan, attempts=carried.attempts))
    return Results(carried.metrics, carried.details)


@dataclass(frozen=True)
class Carried:
    """A job that was carried out.

    Attributes:
        plan: as it stood in the end.
        attempts: at its tasks, in order.
        metrics: flat, for results.json.
        details: the events of the run.
    """

    plan: Plan
    attempts: list[Attempt]
    metrics: dict[str, float]
    details: dict[str, list[list[str]]]


def carry_out(job: Job, sky: Sky, options: ExecutionConfig, run: Run) -> Carried:
    """Carry the best plan of a job out on this machine; raises as `Broker.run` does.

    Args:
        job: to run; its objective says what is best.
        sky: to choose from.
        options: what goes wrong on purpose, and how patient the broker is.
        run: whose directory has the state, the stores and the attempts.
    """
    planned = optimize(job, sky)
    engine = LocalEngine(run.directory / "regions", _faults(options, planned))
    patience = Patience(options.patience, options.errors, options.first_wait)
    state, stores = run.directory / "run.sqlite", run.directory / "stores"
    with (
        Broker(job, sky, engine, state, stores, patience, seed=run.seed) as broker,
        run.progress(len(job.tasks), "tasks") as bar,
    ):
        seen = 0

        def tick(statuses: dict[str, str]) -> None:
            nonlocal seen
            done = sum(status == "done" for status in statuses.values())
            bar.advance(done - seen, {"running": float(sum(one == "running" for one in statuses.values()))})
            seen = done

        broker.run(tick)
        plan, events, attempts = broker.plan, broker.state.events(), broker.state.attempts()
        tasks = broker.state.tasks()
    show(pd.DataFrame(events, columns=["what", "task", "how"]), f"{job.name}: what happened")
    counts = Counter(kind for kind, _, _ in events)
    ended = Counter(one.task for one in attempts if one.status == "done")
    metrics = {
        "run/tasks_done": float(sum(status == "done" for status, _, _ in tasks.values())),
        "run/ended_once": float(all(count == 1 for count in ended.values()) and len(ended) == len(tasks)),
        "run/attempts": float(len(attempts)),
        "run/failed_over": float(counts["failed over"]),
        "run/moved": float(counts["moved"]),
        "run/cost": planned.cost,
        "run/cost_in_the_end": plan.cost,
    }
    return Carried(plan, attempts, metrics, {"events": [list(event) for event in events]})


def _faults(options: ExecutionConfig, planned: Plan) -> tuple[Fault, ...]:
    faults = []
    if options.outage is not None:
        last = planned.placements[-1]
        place = last.offer.location if options.outage == "last" else options.outage
        faults.append(Fault("outage", place, after=last.task))
    if options.refusals:
        faults.append(Fault("refused", times=options.refusals))
    if options.preemptions:
        faults.append(Fault("preempted", times=options.preemptions))
    return tuple(faults)
