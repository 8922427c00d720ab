"""Placement with time and with bounds on the whole plan, as a mixed integer program for HiGHS.

    x_t,k  binary       task t is in state k;                      sum_k x_t,k = 1
    z_e    from 0 on    pair e = (u, v) is at places (a, b);       sum_b z_e(a, b) = sum of x_u,k at a, and the same for v
    F_t    from 0 on    task t ends;                               F_t >= sum_k (ready + hours)_t,k x_t,k
                                                                   F_v >= F_u + sum_k hours_v,k x_v,k + GB * sum hours_per_gb z_e
    T      from 0 on    makespan;                                  T >= F_t

z stays continuous: with x at whole numbers the marginals leave it no choice, and the solver has fewer numbers to branch on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sky_broker.problem import Floats, Ints, Problem

if TYPE_CHECKING:
    from scipy import sparse

_INFEASIBLE, _OPTIMAL, _OUT_OF_TIME = 2, 0, 1


@dataclass(frozen=True)
class Weights:
    """What is minimised: a weighted sum, in the units of the first weight that is not 0.

    Attributes:
        usd: of a dollar.
        hours: of an hour of makespan.
        kg: of a kilogram of CO2e.
    """

    usd: float = 0.0
    hours: float = 0.0
    kg: float = 0.0

    def of(self, usd: float, hours: float, kg: float) -> float:
        """The value of a plan; what has no weight may be unknown."""
        parts = ((self.usd, usd), (self.hours, hours), (self.kg, kg))
        return math.fsum(weight * value for weight, value in parts if weight)


@dataclass(frozen=True)
class MilpAnswer:
    """What the solver said.

    Attributes:
        chosen: index of each task's state; None if there is no plan, or none was found in time.
        bound: no plan comes to less; minus infinity if the solver proved nothing.
        infeasible: whether it proved that there is no plan.
    """

    chosen: list[int] | None
    bound: float
    infeasible: bool


class PlacementMilp:
    """The program of a problem; built once, solved for several objectives and bounds.

    Args:
        problem: its limits are part of the program.
        with_time: whether F and T are; a problem with a deadline has them anyhow.
        with_carbon: whether carbon counts; states of unknown carbon are then shut out.
    """

    def __init__(self, problem: Problem, with_time: bool, with_carbon: bool) -> None:
        self.problem = problem
        self.with_time = with_time or problem.limits.any_time
        self.with_carbon = with_carbon or problem.limits.carbon < math.inf
        self._rows: list[tuple[Ints, Floats, float, float]] = []  # columns, coefficients, lower, upper
        self.x: list[int] = []
        self.columns = 0
        for states in problem.states:
            self.x.append(self.columns)
            self.columns += len(states)
        self.upper = [np.ones(self.columns)]
        self.usd = [np.concatenate([states.usd for states in problem.states])]
        kg = np.concatenate([states.kg for states in problem.states])
        self.kg = [np.nan_to_num(kg, nan=0.0)]
        if self.with_carbon:
            self.upper[0] = np.where(np.isnan(kg), 0.0, 1.0)
        self.binaries = self.columns
        self.late: dict[int, tuple[Ints, Floats]] = {}  # flow -> columns of its z and their hours
        self.joint: dict[
            tuple[int, int], tuple[Ints, Ints, Ints]
        ] = {}  # pair -> columns of its z, and its places
        self._one_state_each()
        self._add_pairs()
        self.finish = self.columns
        if self.with_time:
            self._add_times()
        self._add_quota()

    def solve(
        self, weights: Weights, limits: Sequence[tuple[Weights, float]] = (), time_limit: float = 60.0
    ) -> MilpAnswer:
        """Minimise a weighted sum.

        Args:
            weights: of the objective.
            limits: further sums that must not exceed a bound, such as an objective that was minimised before.
            time_limit: seconds.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp  # most plans need no solver

        cost = self._sum(weights)
        rows = [*self._rows]
        bounds = self.problem.limits
        for usd, kg, most in ((1.0, 0.0, bounds.budget), (0.0, 1.0, bounds.carbon)):
            if most < math.inf:
                rows.append(self._row(Weights(usd=usd, kg=kg), most))
        rows += [self._row(weighted, most) for weighted, most in limits]
        matrix, low, high = _stacked(rows, self.columns)
        integral = np.zeros(self.columns)
        integral[: self.binaries] = 1
        scale = float(np.abs(cost).max()) or 1.0
        found = milp(
            cost / scale * 1e3,
            integrality=integral,
            bounds=Bounds(np.zeros(self.columns), np.concatenate(self.upper)),
            constraints=LinearConstraint(matrix, low, high),
            options={"mip_rel_gap": 1e-9, "time_limit": time_limit},
        )
        if found.status not in (_OPTIMAL, _OUT_OF_TIME, _INFEASIBLE):
            raise RuntimeError(f"HiGHS ended with status {found.status}: {found.message}")
        bound = -math.inf if found.mip_dual_bound is None else float(found.mip_dual_bound) * scale / 1e3
        return MilpAnswer(self._chosen(found.x), bound, found.status == _INFEASIBLE)

    def bound(self, columns: Ints, coefficients: Floats, low: float, high: float) -> None:
        """Keep a sum over some variables between two figures, in the solver's tolerance of the largest coefficient."""
        scale = float(np.abs(coefficients).max(initial=0.0)) or 1.0
        self._rows.append((columns, coefficients / scale, low / scale, high / scale))

    def _chosen(self, solution: Floats | None) -> list[int] | None:
        if solution is None:
            return None
        ends = [*self.x[1:], self.binaries]
        return [int(solution[start:end].argmax()) for start, end in zip(self.x, ends, strict=True)]

    def _sum(self, weights: Weights) -> Floats:
        cost = np.zeros(self.columns)
        if weights.usd:
            cost += weights.usd * np.concatenate(self.usd)
        if weights.kg:
            cost += weights.kg * np.concatenate(self.kg)
        if weights.hours:
            cost[self.columns - 1] += weights.hours
        return cost

    def _row(self, weights: Weights, most: float) -> tuple[Ints, Floats, float, float]:
        coefficients = self._sum(weights)
        used = np.flatnonzero(coefficients)
        scale = float(np.abs(coefficients).max()) if len(used) else 1.0
        return used, coefficients[used] / scale, -math.inf, most / scale

    def _grow(self, upper: Floats, usd: Floats | None = None, kg: Floats | None = None) -> int:
        start = self.columns
        self.columns += len(upper)
        self.upper.append(upper)
        self.usd.append(np.zeros(len(upper)) if usd is None else usd)
        self.kg.append(np.zeros(len(upper)) if kg is None else kg)
        return start

    def _one_state_each(self) -> None:
        for start, states in zip(self.x, self.problem.states, strict=True):
            self._rows.append((np.arange(start, start + len(states)), np.ones(len(states)), 1.0, 1.0))

    def _add_pairs(self) -> None:
        problem = self.problem
        joined: dict[tuple[int, int], list[int]] = {}
        for number, flow in enumerate(problem.flows):
            if flow.gb > 0:
                joined.setdefault((flow.source, flow.target), []).append(number)
        for pair in problem.pairs:
            joined.setdefault((pair.one, pair.other), [])
        for (u, v), flows in joined.items():
            places = [np.unique(problem.states[task].location) for task in (u, v)]
            grid = np.ix_(*places)
            gb = sum(problem.flows[number].gb for number in flows)
            usd, kg = (_times(gb, matrix[grid]) for matrix in (problem.usd_per_gb, problem.kg_per_gb))
            late = _times(gb, problem.hours_per_gb[grid])
            allowed = ~np.isinf(usd)
            if self.with_time:
                allowed &= ~np.isinf(late)
            for pair in problem.pairs:
                if (pair.one, pair.other) == (u, v):
                    allowed &= pair.allowed[grid]
            start = self._grow(
                np.where(allowed, 1.0, 0.0).ravel(),
                *(np.where(allowed, cost, 0.0).ravel() for cost in (usd, kg)),
            )
            columns = start + np.arange(allowed.size).reshape(allowed.shape)
            self.joint[u, v] = columns, places[0], places[1]
            for number in flows[:1]:
                self.late[number] = columns.ravel(), np.where(allowed, late, 0.0).ravel()
            self._marginals(u, places[0], columns)
            self._marginals(v, places[1], columns.T)

    def _marginals(self, task: int, places: Ints, columns: Ints) -> None:
        location = self.problem.states[task].location
        for place, row in zip(places, columns, strict=True):
            states = self.x[task] + np.flatnonzero(location == place)
            values = np.concatenate([np.ones(len(row)), -np.ones(len(states))])
            self._rows.append((np.concatenate([row, states]), values, 0.0, 0.0))

    def _add_times(self) -> None:
        problem, limits = self.problem, self.problem.limits
        latest = np.full(len(problem), limits.deadline)
        for task, most in limits.finish:
            latest[task] = min(latest[task], most)
        start = self._grow(latest)
        makespan = self._grow(np.array([limits.deadline]))
        for task, states in enumerate(problem.states):
            own = np.arange(self.x[task], self.x[task] + len(states))
            self._rows.append(
                (np.append(own, start + task), np.append(-(states.ready + states.hours), 1.0), 0.0, math.inf)
            )
            self._rows.append((np.array([makespan, start + task]), np.array([1.0, -1.0]), 0.0, math.inf))
        for number, flow in enumerate(problem.flows):
            states = problem.states[flow.target]
            own = np.arange(self.x[flow.target], self.x[flow.target] + len(states))
            columns, hours = self.late.get(number, (np.zeros(0, np.int64), np.zeros(0)))
            used = hours > 0
            ends = [start + flow.target, start + flow.source]
            self._rows.append(
                (
                    np.concatenate([ends, own, columns[used]]),
                    np.concatenate([[1.0, -1.0], -states.hours, -hours[used]]),
                    0.0,
                    math.inf,
                )
            )

    def _add_quota(self) -> None:
        for location, most in self.problem.limits.quota:
            columns, values = [], []
            for task, states in enumerate(self.problem.states):
                there = np.flatnonzero(states.location == location)
                columns.append(self.x[task] + there)
                values.append(np.full(len(there), float(self.problem.nodes[task])))
            self._rows.append((np.concatenate(columns), np.concatenate(values), -math.inf, float(most)))


def _times(gb: float, matrix: Floats) -> Floats:
    return np.where(np.isinf(matrix), np.inf, gb * np.where(np.isinf(matrix), 0.0, matrix))


def _stacked(
    rows: Sequence[tuple[Ints, Floats, float, float]], columns: int
) -> tuple[sparse.csr_array, Floats, Floats]:
    from scipy import sparse  # as above

    starts = np.cumsum([0, *(len(row[0]) for row in rows)])
    matrix = sparse.csr_array(
        (np.concatenate([row[1] for row in rows]), np.concatenate([row[0] for row in rows]), starts),
        shape=(len(rows), columns),
    )
    return matrix, np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
