"""What a plan is compared with: simpler ways to choose, all priced by the same rules as the plan itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sky_broker.energy import energies
from sky_broker.milp import Weights
from sky_broker.problem import Problem, broken_limits, evaluate
from sky_broker.solve import Infeasible, solve


def greedy(problem: Problem) -> list[int]:
    """The cheapest offer of each task by itself, whatever the egress: what a price list suggests.

    Returns:
        Index of each task's state.
    """
    return [int(states.usd.argmin()) for states in problem.states]


def in_order(problem: Problem) -> list[int]:
    """Task by task, the cheapest with the egress from those before it; nothing is taken back."""
    chosen: list[int] = []
    for task, states in enumerate(problem.states):
        cost = states.usd.copy()
        for flow in problem.flows:
            if flow.target == task and flow.gb > 0:
                there = problem.states[flow.source].location[chosen[flow.source]]
                cost += flow.gb * problem.usd_per_gb[there, states.location]
        chosen.append(int(cost.argmin()))
    return chosen


def one_place(problem: Problem, by: str = "location") -> list[int] | None:
    """The cheapest plan with all tasks at one location, or in one cloud.

    Args:
        problem: to place.
        by: "location" or "cloud".

    Returns:
        Index of each task's state; None if no single place has an offer for all.

    Raises:
        ValueError: `by` is neither.
    """
    if by not in ("location", "cloud"):
        raise ValueError(f"by={by!r}; location or cloud was expected")
    groups = [name if by == "location" else name.partition(":")[0] for name in problem.locations]
    best: tuple[float, list[int]] | None = None
    for group in dict.fromkeys(groups):
        inside = np.array([one == group for one in groups])
        rows = [np.flatnonzero(inside[states.location]) for states in problem.states]
        if not all(map(len, rows)):
            continue
        part = problem.with_states(
            [states.take(own) for states, own in zip(problem.states, rows, strict=True)]
        )
        try:
            found = solve(part, Weights(usd=1))
        except Infeasible:
            continue
        if best is None or found.figures.usd < best[0]:
            best = found.figures.usd, [int(own[state]) for own, state in zip(rows, found.chosen, strict=True)]
    return None if best is None else best[1]


def local_search(problem: Problem, start: Sequence[int], rounds: int = 100) -> list[int]:
    """Change one task at a time for the better until no change helps.

    Args:
        problem: its limits are left out; only money counts.
        start: index of each task's state.
        rounds: over all tasks, at most.
    """
    table, chosen = energies(problem, 1.0, 0.0), list(start)
    for _ in range(rounds):
        changed = False
        for task, unary in enumerate(table.unary):
            cost = unary.copy()
            for (u, v), pair in table.pairs.items():
                if u == task:
                    cost += pair[:, chosen[v]]
                elif v == task:
                    cost += pair[chosen[u]]
            best = int(cost.argmin())
            if cost[best] < cost[chosen[task]]:
                chosen[task], changed = best, True
        if not changed:
            break
    return chosen


def per_cloud_egress(problem: Problem) -> list[int]:
    """As SkyPilot's optimizer sees it: the cheapest offer of each cloud, and egress between clouds only, at the cloud's mean price.

    Two regions of one cloud count as one place, so that what data between them cost is not seen when the plan is made.

    Raises:
        Infeasible: a rule for pairs leaves no such plan.
    """
    clouds = np.array([name.partition(":")[0] for name in problem.locations])
    priced = np.where(np.isfinite(problem.usd_per_gb), problem.usd_per_gb, np.nan)
    seen = np.zeros_like(priced)
    for one in np.unique(clouds):
        for other in np.unique(clouds):
            if one != other:
                block = priced[np.ix_(clouds == one, clouds == other)]
                mean = float(np.nanmean(block)) if np.isfinite(block).any() else np.inf
                seen[np.ix_(clouds == one, clouds == other)] = mean
    rows = []
    for states in problem.states:
        own = clouds[states.location]
        rows.append(
            np.array(
                [
                    int(np.flatnonzero(own == cloud)[states.usd[own == cloud].argmin()])
                    for cloud in np.unique(own)
                ]
            )
        )
    part = Problem(
        problem.tasks,
        tuple(states.take(own) for states, own in zip(problem.states, rows, strict=True)),
        problem.nodes,
        problem.flows,
        problem.locations,
        seen,
        problem.hours_per_gb,
        problem.kg_per_gb,
    )
    found = solve(part, Weights(usd=1))
    return [int(own[state]) for own, state in zip(rows, found.chosen, strict=True)]


def cost_of(problem: Problem, chosen: Sequence[int] | None) -> float:
    """$ of a plan by the problem's own prices; infinite where there is none or it breaks a limit."""
    if chosen is None or broken_limits(problem, chosen):
        return float("inf")
    return evaluate(problem, chosen).usd
