"""Find the best plan of a job, and prove it.

plan = optimize(job, Sky.embedded())
plan.cost, plan.makespan, plan.certificate, plan.explain()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.candidates import EmptySet
from sky_broker.job import OBJECTIVES, Job
from sky_broker.milp import Weights
from sky_broker.model import Sky, build
from sky_broker.plan import Plan, plan_of
from sky_broker.solve import Infeasible, solve

_GOALS = {
    "cost": (Weights(usd=1), None),
    # Of the plans that are equally quick, or equally clean, the cheapest.
    "time": (Weights(hours=1), Weights(usd=1)),
    "carbon": (Weights(kg=1), Weights(usd=1)),
}


class NoPlan(InputError):
    """No plan keeps what the job asks for; the message names constraints that are in conflict."""


def optimize(
    job: Job,
    sky: Sky,
    objective: str | Mapping[str, float] | None = None,
    method: str = "auto",
    time_limit: float = 60.0,
) -> Plan:
    """The best plan.

    Args:
        job: tasks, data and constraints.
        sky: to choose from.
        objective: "cost", "time" (the quickest, and the cheapest of these), "carbon", or weights such as
            {"cost": 1, "time": 5, "carbon": 0.1}, of a dollar, an hour and a kilogram; None takes the job's own.
        method: auto, elimination, messages or milp.
        time_limit: seconds for the solver.

    Returns:
        The plan, with its certificate.

    Raises:
        NoPlan: there is none; names an irreducible set of constraints in conflict, or the requirement that left a task without an offer.
        NoPlanInTime: the solver found none in time.
        InputError: a name is unknown.
    """
    asked = job.objective if objective is None else objective
    try:
        return best_plan(job, sky, asked, method, time_limit)
    except (EmptySet, Infeasible) as error:
        from sky_broker.infeasible import reason  # it builds and solves again

        raise NoPlan(reason(job, sky, error)) from None


def best_plan(
    job: Job,
    sky: Sky,
    objective: str | Mapping[str, float] = "cost",
    method: str = "auto",
    time_limit: float = 60.0,
) -> Plan:
    """As `optimize`, without looking for a reason when there is no plan.

    Raises:
        EmptySet: a task has no offer.
        Infeasible: no plan keeps all constraints.
        NoPlanInTime: the solver found none in time.
        InputError: a name is unknown.
    """
    weights, then = weights_of(objective)
    with_carbon = bool(weights.kg) or job.constraints.carbon is not None
    model = build(job, sky, with_carbon)
    solution = solve(model.problem, weights, then, method, time_limit)
    return plan_of(model, solution, weights, sky, with_carbon)


def weights_of(objective: str | Mapping[str, float]) -> tuple[Weights, Weights | None]:
    """What to minimise first, and what among equals.

    Raises:
        InputError: there is no such objective, or a weight is negative or all are 0.
    """
    if isinstance(objective, str):
        if objective not in _GOALS:
            raise InputError(f"objective={objective}{closest(objective, _GOALS)}")
        return _GOALS[objective]
    for name, weight in objective.items():
        if name not in OBJECTIVES:
            raise InputError(f"objective: there is no {name!r}{closest(name, OBJECTIVES)}")
        if not 0 <= weight < float("inf"):
            raise InputError(f"objective: the weight of {name} is {weight}; 0 or more was expected")
    if not any(objective.values()):
        raise InputError("objective: every weight is 0")
    given = {
        ours: float(objective.get(name, 0))
        for name, ours in zip(OBJECTIVES, ("usd", "hours", "kg"), strict=True)
    }
    return Weights(**given), None


def within(job: Job, clouds: tuple[str, ...]) -> Job:
    """The same job, on these clouds only."""
    return replace(job, constraints=replace(job.constraints, clouds=clouds))
