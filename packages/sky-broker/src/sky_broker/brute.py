"""Every plan of a small problem, priced by the definition: the oracle that the solvers are held to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sky_broker.problem import Bools, Floats, Ints, Problem


@dataclass(frozen=True)
class AllPlans:
    """Every plan, one row each.

    Attributes:
        chosen: (plans, tasks) index of each task's state.
        usd: (plans,)
        hours: (plans,) makespan.
        kg: (plans,)
        allowed: (plans,) whether it keeps all limits and rules.
    """

    chosen: Ints
    usd: Floats
    hours: Floats
    kg: Floats
    allowed: Bools

    def best(self, usd: float = 0.0, hours: float = 0.0, kg: float = 0.0) -> float:
        """The least weighted sum of an allowed plan; infinite if there is none."""
        value = np.zeros(len(self.usd))
        for weight, column in ((usd, self.usd), (hours, self.hours), (kg, self.kg)):
            if weight:
                value = value + weight * column
        value = value[self.allowed & ~np.isnan(value)]
        return float(value.min()) if len(value) else math.inf

    def front(self) -> list[tuple[float, float]]:
        """(cost, makespan) of the allowed plans that no other dominates, from the cheapest on."""
        order = np.lexsort((self.hours, self.usd))
        order = order[self.allowed[order]]
        front: list[tuple[float, float]] = []
        for row in order:
            if not front or self.hours[row] < front[-1][1] * (1 - 1e-9):
                front.append((float(self.usd[row]), float(self.hours[row])))
        return front


def all_plans(problem: Problem, most: int = 1 << 20) -> AllPlans:
    """Price every plan.

    Args:
        problem: with at most so many plans.
        most: plans.

    Raises:
        ValueError: there are more.
    """
    sizes = [len(states) for states in problem.states]
    count = math.prod(sizes)
    if count > most:
        raise ValueError(f"{count:,} plans are more than {most:,}")
    chosen = np.stack(np.unravel_index(np.arange(count), sizes), 1)
    place = [states.location[chosen[:, task]] for task, states in enumerate(problem.states)]
    usd, kg, finish = np.zeros(count), np.zeros(count), np.zeros((count, len(problem)))
    for task, states in enumerate(problem.states):
        state = chosen[:, task]
        usd += states.usd[state]
        kg += states.kg[state]
        start = states.ready[state]
        for flow in problem.flows:
            if flow.target != task:
                continue
            pair = place[flow.source], place[task]
            moves = (pair[0] != pair[1]) & (flow.gb > 0)
            for total, matrix in ((usd, problem.usd_per_gb), (kg, problem.kg_per_gb)):
                total += np.where(moves, flow.gb * matrix[pair], 0.0)
            late = np.where(moves, flow.gb * problem.hours_per_gb[pair], 0.0)
            start = np.maximum(start, finish[:, flow.source] + late)
        finish[:, task] = start + states.hours[state]
    hours = finish.max(1)
    return AllPlans(chosen, usd, hours, kg, _allowed(problem, place, usd, hours, kg, finish))


def _allowed(
    problem: Problem, place: list[Ints], usd: Floats, hours: Floats, kg: Floats, finish: Floats
) -> Bools:
    limits = problem.limits
    allowed: Bools = np.isfinite(usd)
    for value, most in ((usd, limits.budget), (hours, limits.deadline), (kg, limits.carbon)):
        if most < math.inf:
            allowed &= value <= most
    for task, most in limits.finish:
        allowed &= finish[:, task] <= most
    for location, most in limits.quota:
        used = sum((place[task] == location) * nodes for task, nodes in enumerate(problem.nodes))
        allowed &= used <= most
    for pair in problem.pairs:
        allowed &= pair.allowed[place[pair.one], place[pair.other]]
    return allowed
