"""Placement with egress by the tiers of a month: exact, by branching on the volume that leaves each cloud.

What leaves a cloud costs its flat price times a discount that falls with the volume of all that leaves it (`egress.monthly_bill`). So the price of a
movement depends on all the others, and the cost is no sum over tasks and edges any more. But if at most so much leaves each cloud, no plan
is cheaper than with the discounts of these volumes, and with fixed discounts the cost is such a sum. The interval of volumes is split where the best plan of
that sum lies, which has its own discount, nearly, in the lower part; parts whose bound is above the best plan are dropped.

Source: branch and bound over intervals, as for any concave cost; Falk and Soland 1969.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sky_broker.egress import EgressSchedule
from sky_broker.milp import PlacementMilp, Weights
from sky_broker.problem import Floats, Problem, evaluate, undominated
from sky_broker.solve import Certificate, Infeasible, NoPlanInTime, Solution, finite, solve

CLOSE = 1e-5
"""A gap that ends the search: the solver keeps volumes to its own tolerance, and no finer can they be split."""
_SLIVER = 4e-6  # of the largest shipment: so much of an interval lies on both sides of where it is split
_COST = Weights(usd=1)


@dataclass(frozen=True)
class Leaving:
    """What leaves clouds for other ones, and what that costs at first.

    Attributes:
        schedules: of c clouds.
        read_gb: of each task, (k, c): data items that a state reads from each cloud.
        read_usd: the same, at flat prices; they are part of the state's own cost.
    """

    schedules: Mapping[str, EgressSchedule]
    read_gb: tuple[Floats, ...]
    read_usd: tuple[Floats, ...]

    def discounts(self, volume: Floats) -> Floats:
        """(c,) by the volume that leaves each cloud."""
        pairs = zip(self.schedules.values(), volume, strict=True)
        return np.array([schedule.discount(float(gigabytes)) for schedule, gigabytes in pairs])


@dataclass(frozen=True)
class TieredSolution:
    """The best plan with tiers.

    Attributes:
        solution: states, figures with tiers, certificate.
        discounts: cloud -> what its egress costs over its flat price.
    """

    solution: Solution
    discounts: dict[str, float]


def shipped(problem: Problem, leaving: Leaving, chosen: Sequence[int]) -> tuple[Floats, Floats]:
    """Of a plan, $ at flat prices and GB that leave each cloud for others: (c,) and (c,)."""
    clouds = list(leaving.schedules)
    usd = sum(
        (read[state] for read, state in zip(leaving.read_usd, chosen, strict=True)), np.zeros(len(clouds))
    )
    gb = sum(
        (read[state] for read, state in zip(leaving.read_gb, chosen, strict=True)), np.zeros(len(clouds))
    )
    for flow in problem.flows:
        u, v = (int(problem.states[task].location[chosen[task]]) for task in (flow.source, flow.target))
        cloud = _cloud(problem, u)
        if flow.gb and cloud != _cloud(problem, v) and cloud in clouds:
            usd[clouds.index(cloud)] += flow.gb * problem.usd_per_gb[u, v]
            gb[clouds.index(cloud)] += flow.gb
    return usd, gb


def tiered_cost(problem: Problem, leaving: Leaving, chosen: Sequence[int]) -> float:
    """What a plan costs, by the definition: at flat prices, less the discounts of what leaves each cloud."""
    usd, gb = shipped(problem, leaving, chosen)
    return evaluate(problem, chosen).usd - float(usd @ (1 - leaving.discounts(gb)))


def solve_tiered(problem: Problem, leaving: Leaving, time_limit: float = 60.0) -> TieredSolution:
    """The plan of least cost with tiers; the limits of the problem are kept, its budget with tiers too.

    Args:
        problem: at flat prices.
        leaving: what has tiers.
        time_limit: seconds for all of it.

    Raises:
        Infeasible: there is no plan.
        NoPlanInTime: none was found in time.
    """
    started = time.perf_counter()
    budget = problem.limits.budget
    problem = problem.with_limits(replace(problem.limits, budget=math.inf))
    times, carbon = problem.limits.any_time, problem.limits.carbon < math.inf
    whole, (problem, known) = problem, finite(problem, times, carbon)
    leaving = replace(
        leaving,
        read_gb=tuple(read[rows] for read, rows in zip(leaving.read_gb, known, strict=True)),
        read_usd=tuple(read[rows] for read, rows in zip(leaving.read_usd, known, strict=True)),
    )
    low, high = np.zeros(len(leaving.schedules)), _most(problem, leaving)
    sliver = _SLIVER * _largest(problem, leaving)
    first = solve(_discounted(problem, leaving, high), _COST, time_limit=time_limit)
    best, chosen = tiered_cost(problem, leaving, first.chosen), first.chosen
    order = itertools.count()
    queue = [(first.certificate.bound, next(order), first.chosen, low, high)]
    bound = math.inf  # of the parts that are too thin to be split
    while queue and queue[0][0] < best - CLOSE / 2 * max(1.0, abs(best)):
        value, _, plan, low, high = heapq.heappop(queue)
        usd, gb = shipped(problem, leaving, plan)
        lost = usd * (leaving.discounts(gb) - leaving.discounts(high))
        cloud = int(lost.argmax())
        split = high.copy()
        split[cloud] = gb[cloud] + sliver
        if high[cloud] - split[cloud] <= sliver:
            bound = min(bound, value)
            continue
        other = low.copy()
        other[cloud] = split[cloud]
        for part in ((low, split), (other, high)):
            left = time_limit - (time.perf_counter() - started)
            if left <= 0:
                raise NoPlanInTime(f"the best plan with tiers was not found in {time_limit:g} s")
            found = _within(problem, leaving, *part, times, carbon, left)
            if found is not None:
                heapq.heappush(queue, (found[0], next(order), found[1], *part))
                if (value := tiered_cost(problem, leaving, found[1])) < best:
                    best, chosen = value, found[1]
    if best > budget * (1 + 1e-9):
        raise Infeasible("no plan keeps all limits")
    bound = min(best, bound, queue[0][0] if queue else math.inf)
    original = tuple(int(known[task][state]) for task, state in enumerate(chosen))
    figures = replace(evaluate(whole, original), usd=best)
    states = sum(map(len, problem.states))
    proof = Certificate(
        "tiers", best, bound, first.certificate.bound, states, 0, time.perf_counter() - started
    )
    discounts = leaving.discounts(shipped(problem, leaving, chosen)[1])
    return TieredSolution(
        Solution(original, figures, proof), dict(zip(leaving.schedules, map(float, discounts), strict=True))
    )


def _within(
    problem: Problem,
    leaving: Leaving,
    low: Floats,
    high: Floats,
    times: bool,
    carbon: bool,
    time_limit: float,
) -> tuple[float, tuple[int, ...]] | None:
    """A bound and the plan of least cost with the discounts of `high`, if volumes lie between; None if there is none."""
    discounted = _discounted(problem, leaving, high)
    # Volumes depend on locations only, so that dominance among the states of a location loses nothing.
    kept = [undominated(states, True, times, carbon) for states in discounted.states]
    small = discounted.with_states(
        [states.take(rows) for states, rows in zip(discounted.states, kept, strict=True)]
    )
    program = PlacementMilp(small, times, carbon)
    volume: dict[tuple[int, int], float] = {}
    for flow in small.flows:
        volume[flow.source, flow.target] = volume.get((flow.source, flow.target), 0.0) + flow.gb
    clouds = np.array([_cloud(problem, place) for place in range(len(problem.locations))])
    for number, cloud in enumerate(leaving.schedules):
        columns = [np.arange(program.binaries)]
        gb = [np.concatenate([read[rows, number] for read, rows in zip(leaving.read_gb, kept, strict=True)])]
        for pair, (own, sources, targets) in program.joint.items():
            leaves = (clouds[sources] == cloud)[:, None] & (clouds[targets] != cloud)
            columns.append(own[leaves])
            gb.append(np.full(int(leaves.sum()), volume.get(pair, 0.0)))
        program.bound(np.concatenate(columns), np.concatenate(gb), float(low[number]), float(high[number]))
    answer = program.solve(_COST, time_limit=time_limit)
    if answer.infeasible:
        return None
    if answer.chosen is None:
        raise NoPlanInTime(f"the best plan with tiers was not found in {time_limit:g} s")
    return answer.bound, tuple(int(kept[task][state]) for task, state in enumerate(answer.chosen))


def _discounted(problem: Problem, leaving: Leaving, volume: Floats) -> Problem:
    """The problem with the discounts of fixed volumes."""
    discounts = leaving.discounts(volume)
    clouds = [_cloud(problem, place) for place in range(len(problem.locations))]
    of = dict(zip(leaving.schedules, discounts, strict=True))
    row = np.array([of.get(cloud, 1.0) for cloud in clouds])
    abroad = np.array(clouds)[:, None] != np.array(clouds)
    states = [
        replace(own, usd=own.usd - read @ (1 - discounts))
        for own, read in zip(problem.states, leaving.read_usd, strict=True)
    ]
    priced = np.where(abroad, row[:, None] * problem.usd_per_gb, problem.usd_per_gb)
    return replace(problem, states=tuple(states), usd_per_gb=priced)


def _most(problem: Problem, leaving: Leaving) -> Floats:
    """(c,) GB that no plan exceeds."""
    reads = sum((read.max(axis=0) for read in leaving.read_gb), np.zeros(len(leaving.schedules)))
    return np.asarray(reads + sum(flow.gb for flow in problem.flows))


def _largest(problem: Problem, leaving: Leaving) -> float:
    return max(
        [flow.gb for flow in problem.flows] + [float(read.max(initial=0.0)) for read in leaving.read_gb]
    )


def _cloud(problem: Problem, place: int) -> str:
    return problem.locations[place].partition(":")[0]
