"""Solve a placement problem exactly and say how that is known.

Money and carbon are sums over tasks and edges: such a problem goes to elimination; if its graph is too wide, messages give a bound and strike out
states until elimination can do it, and HiGHS takes what is still too wide. With time, or with bounds on the whole plan, the answer
without them is taken if it keeps them, and else HiGHS solves the whole.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sky_broker.dual import ascend
from sky_broker.elimination import MOST_ENTRIES, eliminate
from sky_broker.energy import energies
from sky_broker.milp import PlacementMilp, Weights
from sky_broker.problem import Figures, Ints, Problem, broken_limits, evaluate, undominated

METHODS = ("auto", "elimination", "messages", "milp")
PROVEN = 1e-6
"""A gap that counts as none: the solver's own tolerances are of this size."""


@dataclass(frozen=True)
class Certificate:
    """How good a plan is known to be.

    Attributes:
        method: elimination, messages, messages + elimination, messages + milp, or milp.
        value: of the plan, by the definition and not by the solver.
        bound: no plan comes to less. By elimination it is the value; from messages it is recomputed from the energies; of milp
            it is the solver's dual bound.
        relaxed_bound: a bound that needs no trust in the solver: the exact optimum without time and limits; NaN where there is none.
        states: that were left to choose from, over all tasks.
        dominated: that another state of the same location made superfluous.
        seconds: to find it.
    """

    method: str
    value: float
    bound: float
    relaxed_bound: float
    states: int
    dominated: int
    seconds: float

    @property
    def gap(self) -> float:
        """How far the value may be above the best, relative to it."""
        return max(0.0, self.value - self.bound) / max(abs(self.value), 1e-9)

    @property
    def proven(self) -> bool:
        """Whether the plan is known to be the best."""
        return self.gap <= PROVEN

    def __str__(self) -> str:
        known = "proven optimal" if self.proven else f"within {self.gap:.3%} of the optimum"
        return f"{known} by {self.method}: {self.value:.6g}, and no plan is below {self.bound:.6g}"


@dataclass(frozen=True)
class Solution:
    """The best plan of a problem.

    Attributes:
        chosen: index of each task's state, in the problem as it was given.
        figures: what it comes to.
        certificate: how that is known.
    """

    chosen: tuple[int, ...]
    figures: Figures
    certificate: Certificate


class Infeasible(Exception):
    """No plan keeps all limits and rules of a problem, which is proven."""


class NoPlanInTime(Exception):
    """The solver found no plan in its time, and did not prove that there is none."""


def solve(
    problem: Problem,
    weights: Weights,
    then: Weights | None = None,
    method: str = "auto",
    time_limit: float = 60.0,
    most_entries: int = MOST_ENTRIES,
) -> Solution:
    """The plan of the least weighted sum that keeps the limits.

    Args:
        problem: tasks, states, data, limits.
        weights: of money, time and carbon.
        then: of plans that are equal by `weights`, the least of this one.
        method: auto, elimination, messages or milp; the first two of these only for problems without time and limits.
        time_limit: seconds for HiGHS, for each objective.
        most_entries: of the largest table of elimination.

    Returns:
        A plan, its figures by the definition, and the certificate.

    Raises:
        Infeasible: there is no plan.
        NoPlanInTime: none was found in time.
        ValueError: the method cannot solve such a problem.
    """
    started = time.perf_counter()
    if method not in METHODS:
        raise ValueError(f"method={method!r}; one of {', '.join(METHODS)} was expected")
    times = bool(weights.hours or (then and then.hours) or problem.limits.any_time)
    carbon = bool(weights.kg or (then and then.kg) or problem.limits.carbon < math.inf)
    problem, known = finite(problem, times, carbon)
    separable = not times and not problem.limits.any and then is None
    if method in ("elimination", "messages") and not separable:
        raise ValueError(f"method={method}: time, limits and second objectives need milp")
    money = bool(weights.usd or (then and then.usd) or problem.limits.budget < math.inf)
    kept, small = _reduced(problem, weights, separable, money, times, carbon)
    dropped = sum(map(len, problem.states)) - sum(map(len, kept))
    if separable and method != "milp":
        chosen, bound, how = _separable(small, weights, method, time_limit, most_entries)
        relaxed = math.nan
    else:
        chosen, bound, how, relaxed = _limited(
            small, weights, then, times, carbon, method, time_limit, most_entries
        )
    original = tuple(int(known[task][kept[task][state]]) for task, state in enumerate(chosen))
    figures = evaluate(small, chosen)
    if broken := broken_limits(small, chosen, figures):
        raise AssertionError(f"{how} returned a plan that breaks {', '.join(broken)}")
    value = weights.of(figures.usd, figures.hours, figures.kg)
    if bound > value + 1e-5 * max(1.0, abs(value)):
        raise AssertionError(f"{how} claims that no plan is below {bound}, and its own comes to {value}")
    seconds = time.perf_counter() - started
    certificate = Certificate(how, value, min(bound, value), relaxed, sum(map(len, kept)), dropped, seconds)
    return Solution(original, figures, certificate)


def finite(problem: Problem, times: bool, carbon: bool) -> tuple[Problem, list[Ints]]:
    """A problem without the states whose price, carbon or waiting time is unknown, where these count, and which ones are left of each task."""
    known = []
    for name, states in zip(problem.tasks, problem.states, strict=True):
        good = np.isfinite(states.usd)
        if times:
            good &= np.isfinite(states.ready)
        if carbon:
            good &= np.isfinite(states.kg)
        if not good.any():
            raise Infeasible(
                f"task {name} has no offer whose price{', carbon' * carbon}{', time' * times} is known"
            )
        known.append(np.flatnonzero(good))
    return problem.with_states(
        [states.take(rows) for states, rows in zip(problem.states, known, strict=True)]
    ), known


def _reduced(
    problem: Problem, weights: Weights, separable: bool, money: bool, times: bool, carbon: bool
) -> tuple[list[Ints], Problem]:
    if separable:  # one number counts, so that one state of each location is left
        single = [
            replace(states, usd=weights.usd * states.usd + (weights.kg * states.kg if weights.kg else 0.0))
            for states in problem.states
        ]
        kept = [undominated(states) for states in single]
    else:
        kept = [undominated(states, money, times, carbon) for states in problem.states]
    return kept, problem.with_states(
        [states.take(rows) for states, rows in zip(problem.states, kept, strict=True)]
    )


def _separable(
    problem: Problem, weights: Weights, method: str, time_limit: float, most_entries: int
) -> tuple[Sequence[int], float, str]:
    """A plan, a bound and how they were found."""
    table = energies(problem, weights.usd, weights.kg)
    if method in ("auto", "elimination"):
        found = eliminate(table, most_entries)
        if found is not None:
            return *_feasible(found), "elimination"
        if method == "elimination":
            raise ValueError(f"a table would have more than {most_entries:,} entries")
    dual = ascend(table)
    gap = dual.value - dual.bound
    if gap <= 1e-9 * max(1.0, abs(dual.value)) or (method == "messages" and dual.value < math.inf):
        return dual.chosen, dual.bound, "messages"
    # Without a plan nothing was struck out, and the program that is left is the whole one.
    small = table.restricted(dual.kept)
    found = eliminate(small, most_entries)
    if found is not None:
        value, chosen = found
        if math.isinf(value):
            raise Infeasible("every plan breaks a rule")
        return (
            [int(dual.kept[task][state]) for task, state in enumerate(chosen)],
            value,
            "messages + elimination",
        )
    part = problem.with_states(
        [states.take(rows) for states, rows in zip(problem.states, dual.kept, strict=True)]
    )
    answer = PlacementMilp(part, False, bool(weights.kg)).solve(weights, time_limit=time_limit)
    if answer.infeasible:
        raise Infeasible("every plan breaks a rule")
    bound = max(dual.bound, answer.bound)
    if answer.chosen is not None:
        chosen = [int(dual.kept[task][state]) for task, state in enumerate(answer.chosen)]
        if table.of(chosen) <= dual.value:
            return chosen, bound, "messages + milp"
    if math.isinf(dual.value):
        raise NoPlanInTime(f"no plan was found in {time_limit:g} s")
    return dual.chosen, bound, "messages + milp"


def _feasible(found: tuple[float, list[int]]) -> tuple[list[int], float]:
    value, chosen = found
    if math.isinf(value):
        raise Infeasible("every plan breaks a rule")
    return chosen, value


def _limited(
    problem: Problem,
    weights: Weights,
    then: Weights | None,
    times: bool,
    carbon: bool,
    method: str,
    time_limit: float,
    most_entries: int,
) -> tuple[Sequence[int], float, str, float]:
    """A plan, a bound, how they were found, and the bound without time and limits."""
    relaxed = math.nan
    if method == "auto" and not weights.hours:
        table = energies(problem, weights.usd, weights.kg)
        found = eliminate(table, most_entries)
        if found is not None:
            chosen, relaxed = _feasible(found)
            if then is None and not broken_limits(problem, chosen):
                return chosen, relaxed, "elimination", relaxed
    program = PlacementMilp(problem, times, carbon)
    answer = program.solve(weights, time_limit=time_limit)
    if answer.infeasible:
        raise Infeasible("no plan keeps all limits")
    if answer.chosen is None:
        raise NoPlanInTime(f"no plan was found in {time_limit:g} s")
    chosen = answer.chosen
    if then is not None:
        first = evaluate(problem, chosen)
        value = weights.of(first.usd, first.hours, first.kg)
        second = program.solve(then, [(weights, value + 1e-7 * max(1.0, abs(value)))], time_limit)
        if second.chosen is not None and not broken_limits(problem, second.chosen):
            chosen = second.chosen
    return chosen, answer.bound, "milp", relaxed
