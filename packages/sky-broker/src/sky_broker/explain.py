"""Why a plan is what it is: what the next best place of each task would cost, and how far prices may move before it changes.

All of it is found by solving again, exactly, with a state forbidden or a price changed; nothing is estimated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sky_broker.milp import Weights
from sky_broker.plan import Plan
from sky_broker.problem import Problem, evaluate
from sky_broker.solve import Infeasible, Solution, solve


@dataclass(frozen=True)
class RunnerUp:
    """The best plan with one task somewhere else.

    Attributes:
        task: its name.
        chosen: location in the plan.
        other: location in the best plan without it; "" if there is no such plan.
        usd: how many $ more that costs; negative if money is not what was minimised and it is cheaper.
        egress: of these $, for moving data.
        hours: how many hours later that ends.
    """

    task: str
    chosen: str
    other: str
    usd: float
    egress: float
    hours: float

    def __str__(self) -> str:
        if not self.other:
            return f"{self.task} has to be at {self.chosen}: no other place keeps all constraints"
        if math.isclose(self.usd, 0.0, abs_tol=5e-3):
            return f"{self.task}: {self.other} costs the same as {self.chosen}"
        more, moved = abs(self.usd), self.egress if self.usd > 0 else -self.egress
        verb = "beats" if self.usd > 0 else "costs more than"
        later = (
            f", and ends {self.hours:+.1f} h" if abs(self.hours) >= 0.05 and math.isfinite(self.hours) else ""
        )
        return f"{self.task}: {self.chosen} {verb} {self.other} by ${more:,.2f}, of which egress {moved:,.2f}{later}"


@dataclass(frozen=True)
class Room:
    """How far a price may move while the plan stays the best.

    Attributes:
        what: whose price, such as "V100" or "egress".
        falls_to: factor below which another plan is cheaper; 0 if none ever is.
        rises_to: factor above which another plan is cheaper; infinite if none ever is.
    """

    what: str
    falls_to: float
    rises_to: float

    def __str__(self) -> str:
        down = f"falls by {1 - self.falls_to:.1%}" if self.falls_to > 0 else ""
        up = f"rises by {self.rises_to - 1:.1%}" if math.isfinite(self.rises_to) else ""
        if not down and not up:
            return f"stays the best whatever happens to the price of {self.what}"
        return f"stays the best until the price of {self.what} {' or '.join(part for part in (down, up) if part)}"


def explain(plan: Plan) -> str:
    """The plan in words: each task's place against the next best one, and what the certificate says."""
    lines = []
    for place, cloud in zip(runners_up(plan), runners_up(plan, "cloud"), strict=True):
        lines.append(str(place))
        if cloud.other and cloud.other != place.other:
            lines.append(f"{cloud}, the best place in another cloud")
    if plan.weights == Weights(usd=1) and not plan.model.problem.limits.any:
        lines += [f"The plan {room}." for room in sensitivity(plan)]
    return "\n".join([*lines, f"The plan is {plan.certificate}."])


def runners_up(plan: Plan, by: str = "location", time_limit: float = 20.0) -> list[RunnerUp]:
    """For each task, the best plan that puts it somewhere else.

    Args:
        plan: to explain.
        by: "location" for any other place, "cloud" for a place in another cloud.
        time_limit: seconds for the solver, for each task.

    Raises:
        ValueError: `by` is neither, or the plan has egress by tiers.
    """
    _flat(plan)
    if by not in ("location", "cloud"):
        raise ValueError(f"by={by!r}; location or cloud was expected")
    problem, chosen = plan.model.problem, plan.solution.chosen
    own_usd, own_egress = evaluate(problem, chosen).usd, plan.egress
    found = []
    for task, name in enumerate(problem.tasks):
        label = problem.locations[int(problem.states[task].location[chosen[task]])]
        groups = [place if by == "location" else place.partition(":")[0] for place in problem.locations]
        own = label if by == "location" else label.partition(":")[0]
        elsewhere = np.array([group != own for group in groups])[problem.states[task].location]
        if not elsewhere.any():
            found.append(RunnerUp(name, label, "", math.nan, math.nan, math.nan))
            continue
        states = list(problem.states)
        states[task] = states[task].take(elsewhere)
        try:
            other = solve(problem.with_states(states), plan.weights, time_limit=time_limit)
        except Infeasible:
            found.append(RunnerUp(name, label, "", math.nan, math.nan, math.nan))
            continue
        rows = [np.arange(len(one)) for one in problem.states]
        rows[task] = np.flatnonzero(elsewhere)
        back = [int(rows[t][state]) for t, state in enumerate(other.chosen)]
        there = problem.locations[int(problem.states[task].location[back[task]])]
        usd = other.figures.usd - own_usd
        egress = other.figures.usd - _compute(plan, back) - own_egress
        hours = other.figures.hours - plan.solution.figures.hours
        found.append(RunnerUp(name, label, there, usd, egress, hours))
    return found


def sensitivity(plan: Plan) -> list[Room]:
    """How far the price of egress, and of each accelerator and each cloud that the plan uses, may move.

    The cost of a plan is linear in a price, so that the plan is the best on an interval; its ends are where the cost of another plan meets it,
    found by solving at the end of the known interval until nothing better comes.

    Args:
        plan: of the least cost, without limits on the whole.

    Raises:
        ValueError: another objective was minimised, there are limits, or the plan has egress by tiers.
    """
    _flat(plan)
    problem = plan.model.problem
    if plan.weights != Weights(usd=1) or problem.limits.any:
        raise ValueError("sensitivity is of plans of the least cost without limits")
    kinds = sorted({one.offer.accelerator for one in plan.placements if one.offer.accelerator})
    rooms = [_room(plan, "egress", partial(_with_egress, plan))]
    rooms += [_room(plan, kind, partial(_scaled, plan, "accelerator", kind)) for kind in kinds]
    rooms += [
        _room(plan, f"machines of {cloud}", partial(_scaled, plan, "cloud", cloud)) for cloud in plan.clouds
    ]
    return rooms


def _compute(plan: Plan, chosen: list[int]) -> float:
    """$ of machines of a choice."""
    total = []
    model = plan.model
    for name, found, states, state in zip(
        model.problem.tasks, model.candidates, model.problem.states, chosen, strict=True
    ):
        offer = int(states.offer[state])
        total.append(
            model.job.by_name[name].nodes * float(found.offers.usd[offer]) * float(found.hours[offer])
        )
    return math.fsum(total)


Scaling = Callable[[Problem, float], Problem]


def _flat(plan: Plan) -> None:
    if plan.discounts:
        raise ValueError(
            "explanations solve again at flat prices; this plan has egress by the tiers of a month"
        )


def _with_egress(plan: Plan, problem: Problem, factor: float) -> Problem:
    """The price of egress times a factor, of data that lie somewhere as well."""
    usd = problem.usd_per_gb.copy()
    np.multiply(usd, factor, out=usd, where=np.isfinite(usd))  # no way stays no way: 0 times inf is NaN
    states = []
    for name, found, own in zip(problem.tasks, plan.model.candidates, problem.states, strict=True):
        machines = plan.job.by_name[name].nodes * found.offers.usd[own.offer] * own.hours
        states.append(replace(own, usd=machines + (own.usd - machines) * factor))
    return replace(problem.with_states(states), usd_per_gb=usd)


def _scaled(plan: Plan, what: str, chosen: str, problem: Problem, factor: float) -> Problem:
    """The price of some machines times a factor; what their tasks read stays as it is."""
    catalog = plan.sky.catalog
    clouds = [place.partition(":")[0] for place in catalog.locations]
    states = []
    for name, found, own in zip(problem.tasks, plan.model.candidates, problem.states, strict=True):
        offers = found.offers.take(own.offer)
        if what == "cloud":
            match = np.array([one == chosen for one in clouds])[offers.location]
        else:
            match = np.array([one == chosen for one in catalog.accelerators])[
                catalog.codes("accelerator")[offers.rows]
            ]
        machines = plan.job.by_name[name].nodes * offers.usd * own.hours
        states.append(replace(own, usd=own.usd + np.where(match, machines * (factor - 1), 0.0)))
    return problem.with_states(states)


def _room(plan: Plan, what: str, scale: Scaling) -> Room:
    return Room(what, _end(plan, scale, 0.0), _end(plan, scale, 1e6))


def _end(plan: Plan, scale: Scaling, far: float) -> float:
    """The factor between 1 and `far` up to which the plan stays the best."""
    problem, own = plan.model.problem, plan.solution.chosen

    def cost(chosen: tuple[int, ...], factor: float) -> float:
        return evaluate(scale(problem, factor), chosen).usd

    factor = far
    for _ in range(
        50
    ):  # each round finds a plan that is better at the end, and moves the end to where the two meet
        other: Solution = solve(scale(problem, factor), Weights(usd=1))
        mine, its = cost(own, factor), other.figures.usd
        if its >= mine - 1e-9 * max(1.0, abs(mine)):
            return factor if factor != far else (0.0 if far < 1 else math.inf)
        mine_now, its_now = cost(own, 1.0), cost(other.chosen, 1.0)
        slope = (mine - its) - (mine_now - its_now)
        factor = 1.0 + (factor - 1.0) * (its_now - mine_now) / slope
        if math.isclose(factor, 1.0, abs_tol=1e-12):
            return 1.0
    return factor
