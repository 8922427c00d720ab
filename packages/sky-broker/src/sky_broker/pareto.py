"""All plans that no other is better than in every objective: the front to choose from.

Each point is the best in one objective among plans that are better in the other than the point before: with bounds, and not with weights, points
that no weighted sum has as its optimum come out too.

Source: the epsilon-constraint method, Haimes et al. 1971, each step lexicographic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offprints.errors import InputError

from sky_broker.candidates import EmptySet
from sky_broker.job import OBJECTIVES, Job
from sky_broker.milp import Weights
from sky_broker.model import Sky, build
from sky_broker.optimize import NoPlan
from sky_broker.plan import Plan, plan_of
from sky_broker.problem import Figures, Limits, Problem
from sky_broker.solve import Infeasible, Solution, solve

_STEP = 1e-6  # two points that differ by less, relative to the value, count as one
_WEIGHTS = dict(zip(OBJECTIVES, (Weights(usd=1), Weights(hours=1), Weights(kg=1)), strict=True))


@dataclass(frozen=True)
class Front:
    """Plans that no other plan dominates, in the order of the first objective.

    Attributes:
        objectives: that count.
        plans: of the front.
        complete: whether every point is there; not with a grid over the third objective, or beyond `most` points.
    """

    objectives: tuple[str, ...]
    plans: tuple[Plan, ...]
    complete: bool

    def __len__(self) -> int:
        return len(self.plans)

    @property
    def points(self) -> list[tuple[float, ...]]:
        """The values of the objectives, plan by plan."""
        return [
            tuple(_figure(plan.solution.figures, name) for name in self.objectives) for plan in self.plans
        ]

    def knee(self) -> Plan:
        """The plan that is farthest below the line between the ends; of three objectives, nearest to the best of each."""
        points = np.array(self.points)
        low, high = points.min(0), points.max(0)
        unit = (points - low) / np.where(high > low, high - low, 1.0)
        away = unit.sum(1) if unit.shape[1] == 2 else np.linalg.norm(unit, axis=1)
        return self.plans[int(away.argmin())]


def pareto(
    job: Job,
    sky: Sky,
    objectives: Sequence[str] = ("cost", "time"),
    most: int = 50,
    time_limit: float = 60.0,
) -> Front:
    """The front of a job.

    Args:
        job: tasks, data and constraints, which every point keeps.
        sky: to choose from.
        objectives: two or three of cost, time and carbon. The third gets a grid of ten bounds.
        most: points for each two objectives; if there are more, bounds at equal distances choose among them.
        time_limit: seconds for the solver, for each step.

    Raises:
        NoPlan: the job has no plan.
        InputError: an objective is unknown or there twice.
    """
    names = tuple(objectives)
    if len(set(names)) != len(names) or not set(names) <= set(OBJECTIVES) or len(names) not in (2, 3):
        raise InputError(
            f"objectives {', '.join(names)}: two or three of {', '.join(OBJECTIVES)} were expected"
        )
    with_carbon = "carbon" in names or job.constraints.carbon is not None
    try:
        model = build(job, sky, with_carbon)
        found, complete = front_of(model.problem, names, most, time_limit)
    except (EmptySet, Infeasible) as error:
        from sky_broker.infeasible import reason  # it builds and solves again

        raise NoPlan(reason(job, sky, error)) from None
    plans = tuple(plan_of(model, one, _WEIGHTS[names[0]], sky, with_carbon) for one in found)
    return Front(names, plans, complete)


def front_of(
    problem: Problem, objectives: tuple[str, ...], most: int = 50, time_limit: float = 60.0
) -> tuple[list[Solution], bool]:
    """The front of a problem, and whether it is complete; raises Infeasible if there is no plan."""
    if len(objectives) == 2:
        return _two(problem, *objectives, most, time_limit)
    first, second, third = objectives
    ends = [
        solve(problem, _WEIGHTS[name], _rest(objectives, name), time_limit=time_limit) for name in objectives
    ]
    values = [_figure(one.figures, third) for one in ends]
    found: list[Solution] = []
    for bound in np.linspace(min(values), max(values), 10):
        part, _ = _two(_bounded(problem, third, float(bound) * (1 + 1e-9)), first, second, most, time_limit)
        found += part
    return _undominated(found, objectives), False


def _two(
    problem: Problem, first: str, second: str, most: int, time_limit: float
) -> tuple[list[Solution], bool]:
    steps = _sweep(problem, first, second, time_limit)
    found = []
    for point in steps:
        found.append(point)
        if len(found) > most:
            break
    else:
        return found, True
    last = solve(problem, _WEIGHTS[second], _WEIGHTS[first], time_limit=time_limit)
    start, end = _figure(found[0].figures, second), _figure(last.figures, second)
    chosen = [found[0]]
    for bound in np.linspace(start, end, most)[1:-1]:
        limited = _bounded(problem, second, float(bound))
        chosen.append(solve(limited, _WEIGHTS[first], _WEIGHTS[second], time_limit=time_limit))
    return _undominated([*chosen, last], (first, second)), False


def _sweep(problem: Problem, first: str, second: str, time_limit: float) -> Iterator[Solution]:
    """The points from the best of the first objective to the best of the second."""
    bounded = problem
    while True:
        try:
            point = solve(bounded, _WEIGHTS[first], _WEIGHTS[second], time_limit=time_limit)
        except Infeasible:
            if bounded is problem:
                raise
            return
        yield point
        value = _figure(point.figures, second)
        if not math.isfinite(value):
            raise InputError(
                f"the {second} of the best plan is unknown, so that no front over it can be made"
            )
        bounded = _bounded(problem, second, value - _STEP * max(1.0, abs(value)) * 4)


def _bounded(problem: Problem, name: str, most: float) -> Problem:
    key = {"cost": "budget", "time": "deadline", "carbon": "carbon"}[name]
    limits: Limits = replace(problem.limits, **{key: min(most, getattr(problem.limits, key))})
    return problem.with_limits(limits)


def _rest(objectives: tuple[str, ...], name: str) -> Weights:
    """The other objectives, to break ties with."""
    others = [_WEIGHTS[other] for other in objectives if other != name]
    return Weights(
        sum(one.usd for one in others), sum(one.hours for one in others), sum(one.kg for one in others)
    )


def _figure(figures: Figures, name: str) -> float:
    return {"cost": figures.usd, "time": figures.hours, "carbon": figures.kg}[name]


def _undominated(found: Sequence[Solution], objectives: tuple[str, ...]) -> list[Solution]:
    kept: list[Solution] = []
    values = [np.array([_figure(one.figures, name) for name in objectives]) for one in found]
    for number, (one, own) in enumerate(zip(found, values, strict=True)):
        slack = _STEP * np.maximum(1.0, np.abs(own))
        better = any(
            (other <= own + slack).all() and ((other < own - slack).any() or place < number)
            for place, other in enumerate(values)
            if place != number
        )
        if not better:
            kept.append(one)
    return sorted(kept, key=lambda one: _figure(one.figures, objectives[0]))
