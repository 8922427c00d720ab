"""The placement problem as arrays: for each task the states it can be in, and what data between two places cost.

A plan x chooses a state of each task:

    cost(x)     = sum_t usd_t(x_t)   + sum_(u,v) GB_uv * usd_per_gb(loc x_u, loc x_v)
    finish_t    = hours_t(x_t) + max(ready_t(x_t), max_u finish_u + GB_ut * hours_per_gb(loc x_u, loc x_t))
    makespan(x) = max_t finish_t
    carbon(x)   = sum_t kg_t(x_t)    + sum_(u,v) GB_uv * kg_per_gb(loc x_u, loc x_v)

What a task reads from data items that lie somewhere depends on its own place only and is part of its state. Transfers do not share bandwidth and
machines do not wait for each other; see the docs page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class States:
    """What one task can choose from; arrays of one length k.

    Attributes:
        location: (k,) index into `Problem.locations`.
        usd: (k,) machines of all nodes, and egress of the data items that it reads.
        hours: (k,) on that machine.
        kg: (k,) CO2e; NaN where unknown.
        ready: (k,) hours until its data items are there.
        offer: (k,) what the state is in the caller's list.
    """

    location: Ints
    usd: Floats
    hours: Floats
    kg: Floats
    ready: Floats
    offer: Ints

    def __len__(self) -> int:
        return len(self.location)

    def take(self, rows: Ints | Bools) -> States:
        """Some of them."""
        return States(
            self.location[rows],
            self.usd[rows],
            self.hours[rows],
            self.kg[rows],
            self.ready[rows],
            self.offer[rows],
        )


@dataclass(frozen=True)
class Flow:
    """Data from one task to a later one.

    Attributes:
        source: index of the task.
        target: index of the task; larger.
        gb: decimal gigabytes; 0 for what only waits.
    """

    source: int
    target: int
    gb: float


@dataclass(frozen=True)
class Pair:
    """Two tasks whose places depend on each other by rule: apart or together.

    Attributes:
        one: index of a task.
        other: index of a later one.
        allowed: (locations, locations) whether they may be at these two.
        rule: name of the constraint.
    """

    one: int
    other: int
    allowed: Bools
    rule: str = "apart"


@dataclass(frozen=True)
class Limits:
    """Bounds on the whole plan; infinite where there is none.

    Attributes:
        budget: $.
        deadline: hours.
        carbon: kg CO2e.
        finish: hours of each task, by index.
        quota: index of a location -> most nodes there.
    """

    budget: float = math.inf
    deadline: float = math.inf
    carbon: float = math.inf
    finish: tuple[tuple[int, float], ...] = ()
    quota: tuple[tuple[int, int], ...] = ()

    @property
    def any_time(self) -> bool:
        return self.deadline < math.inf or bool(self.finish)

    @property
    def any(self) -> bool:
        return self.any_time or min(self.budget, self.carbon) < math.inf or bool(self.quota)


@dataclass(frozen=True)
class Problem:
    """Tasks in an order in which each comes after those that it reads from.

    Attributes:
        tasks: names.
        states: of each task.
        nodes: machines of each task.
        flows: data between tasks.
        locations: names of the L places.
        usd_per_gb: (L, L) from row to column; 0 on the diagonal, infinity where data must not go.
        hours_per_gb: (L, L) the same way; infinity where the rate is unknown.
        kg_per_gb: (L, L) the same way.
        pairs: rules for two tasks.
        limits: bounds on the whole plan.
    """

    tasks: tuple[str, ...]
    states: tuple[States, ...]
    nodes: tuple[int, ...]
    flows: tuple[Flow, ...]
    locations: tuple[str, ...]
    usd_per_gb: Floats
    hours_per_gb: Floats
    kg_per_gb: Floats
    pairs: tuple[Pair, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __len__(self) -> int:
        return len(self.tasks)

    def with_states(self, states: Sequence[States]) -> Problem:
        """The same with other states."""
        return replace(self, states=tuple(states))

    def with_limits(self, limits: Limits) -> Problem:
        """The same with other bounds."""
        return replace(self, limits=limits)


@dataclass(frozen=True)
class Figures:
    """What a plan comes to.

    Attributes:
        usd: $ of machines and egress.
        hours: makespan.
        kg: CO2e; NaN where unknown.
        finish: (tasks,) hours at which each ends.
    """

    usd: float
    hours: float
    kg: float
    finish: tuple[float, ...]


def evaluate(problem: Problem, chosen: Sequence[int]) -> Figures:
    """Price a plan by the definition, task by task and edge by edge; no solver has a part in it.

    Args:
        problem: that it is a plan for.
        chosen: index of each task's state.
    """
    usd, kg, finish = [], [], [0.0] * len(problem)
    for task, state in enumerate(chosen):
        own = problem.states[task]
        usd.append(float(own.usd[state]))
        kg.append(float(own.kg[state]))
        start = float(own.ready[state])
        here = int(own.location[state])
        for flow in problem.flows:
            if flow.target == task:
                there = int(problem.states[flow.source].location[chosen[flow.source]])
                moves = flow.gb > 0 and there != here
                usd.append(flow.gb * float(problem.usd_per_gb[there, here]) if moves else 0.0)
                kg.append(flow.gb * float(problem.kg_per_gb[there, here]) if moves else 0.0)
                late = flow.gb * float(problem.hours_per_gb[there, here]) if moves else 0.0
                start = max(start, finish[flow.source] + late)
        finish[task] = start + float(own.hours[state])
    return Figures(math.fsum(usd), max(finish), math.fsum(kg), tuple(finish))


def broken_limits(
    problem: Problem, chosen: Sequence[int], figures: Figures | None = None, slack: float = 1e-6
) -> list[str]:
    """The names of the bounds and rules that a plan does not keep.

    Args:
        problem: that it is a plan for.
        chosen: index of each task's state.
        figures: of the plan, if they are known.
        slack: relative; solvers keep bounds to their own tolerance.
    """
    figures = evaluate(problem, chosen) if figures is None else figures
    limits, broken = problem.limits, []

    def over(value: float, most: float) -> bool:
        return not value <= most + slack * max(1.0, abs(most)) if most < math.inf else math.isinf(value)

    for name, value, most in (
        ("budget", figures.usd, limits.budget),
        ("deadline", figures.hours, limits.deadline),
        ("carbon", figures.kg, limits.carbon),
    ):
        if (most < math.inf or name == "budget") and over(value, most):
            broken.append(name)
    broken += ["task deadline" for task, most in limits.finish if over(figures.finish[task], most)][:1]
    places = [int(problem.states[task].location[state]) for task, state in enumerate(chosen)]
    for location, most in limits.quota:
        if sum(problem.nodes[task] for task, place in enumerate(places) if place == location) > most:
            broken.append("quota")
            break
    broken += [pair.rule for pair in problem.pairs if not pair.allowed[places[pair.one], places[pair.other]]]
    return broken


def undominated(states: States, usd: bool = True, hours: bool = False, kg: bool = False) -> Ints:
    """The states that a plan needs: of each location those that no other is at least as good as in all that counts.

    What a state costs its neighbours depends on its location only, so that no optimum is lost.

    Args:
        states: of one task.
        usd: whether money counts.
        hours: whether time counts.
        kg: whether carbon counts.

    Returns:
        Their indices, in order; of equal states the first.

    Source: for one criterion this is the cheapest offer of each location.
    """
    columns = [
        column for column, counts in ((states.usd, usd), (states.hours, hours), (states.kg, kg)) if counts
    ] or [states.usd]
    order = np.lexsort((*reversed(columns), states.location))
    place = states.location[order]
    first = np.flatnonzero(np.diff(place, prepend=-1))
    if len(columns) == 1:
        return np.sort(order[first])
    kept = []
    for start, end in zip(first, [*first[1:], len(order)], strict=True):
        rows = order[start:end]
        if len(columns) == 2:
            second = columns[1][rows]
            best = np.minimum.accumulate(second)
            new = np.ones(len(rows), bool)
            new[1:] = best[1:] < best[:-1]
            kept.append(rows[new])
            continue
        front: list[int] = []
        for row in rows:
            if not any(
                columns[1][other] <= columns[1][row] and columns[2][other] <= columns[2][row]
                for other in front
            ):
                front.append(int(row))
        kept.append(np.array(front))
    return np.sort(np.concatenate(kept))
