"""Random placement problems, for tests, the experiment `placement` and benchmarks; prices and sizes have the range of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sky_broker.brute import AllPlans
from sky_broker.problem import Flow, Limits, Pair, Problem, States

Matrix = np.ndarray


def random_problem(
    seed: int,
    tasks: int = 5,
    states: int = 4,
    locations: int = 4,
    window: int = 6,
    parents: int = 2,
    usd_per_gb: Matrix | None = None,
    gbps: Matrix | None = None,
    places: Sequence[str] | None = None,
) -> Problem:
    """A problem on a random graph.

    Args:
        seed: of everything.
        tasks: how many.
        states: offers of each task.
        locations: places; two clouds and more share them.
        window: a task reads from some of so many tasks before it.
        parents: at most so many of them.
        usd_per_gb: (locations, locations); None draws them.
        gbps: (locations, locations); None draws them.
        places: their names; None makes them up.
    """
    rng = np.random.default_rng(seed)
    flows = []
    for task in range(1, tasks):
        near = np.arange(max(0, task - window), task)
        count = min(len(near), int(rng.integers(0 if task > 1 else 1, parents + 1)))
        for source in sorted(rng.choice(near, count, replace=False)):
            flows.append(Flow(int(source), task, float(rng.choice([0.0, 10.0, 100.0, 1000.0, 5000.0]))))
    if usd_per_gb is None:
        usd_per_gb = rng.choice([0.01, 0.02, 0.05, 0.08, 0.0875, 0.09, 0.12], (locations, locations))
    if gbps is None:
        gbps = rng.uniform(0.2, 16, (locations, locations))
    usd_per_gb = np.where(np.eye(locations, dtype=bool), 0.0, usd_per_gb)
    with np.errstate(divide="ignore"):
        late = np.where(np.eye(locations, dtype=bool), 0.0, 8 / (3600 * np.asarray(gbps)))
    kg = np.where(np.eye(locations, dtype=bool), 0.0, rng.uniform(0, 0.01, (locations, locations)))
    own = []
    for _ in range(tasks):
        place = rng.integers(0, locations, states)
        hours = rng.uniform(0.5, 40, states)
        ready = np.where(rng.random() < 0.3, late[0, place] * 500, 0.0)
        own.append(
            States(
                place,
                rng.lognormal(1, 1, states) * hours,
                hours,
                rng.lognormal(-2, 1, states) * hours,
                ready,
                np.arange(states),
            )
        )
    names = tuple(places) if places is not None else tuple(f"c{n % 3}:r{n}" for n in range(locations))
    nodes = tuple(int(n) for n in rng.integers(1, 4, tasks))
    return Problem(
        tuple(f"t{n}" for n in range(tasks)), tuple(own), nodes, tuple(flows), names, usd_per_gb, late, kg
    )


def limited(problem: Problem, plans: AllPlans, kind: str, seed: int) -> Problem:
    """The same problem with a limit or a rule that cuts some of its plans off, or now and then all of them.

    Args:
        problem: without limits.
        plans: all of it.
        kind: one of KINDS.
        seed: of where the limit lies.
    """
    rng = np.random.default_rng(seed)
    share = rng.choice([0.0, 0.02, 0.1, 0.4, 0.8])

    def cut(values: np.ndarray) -> float:
        low = float(values.min())
        # Now and then below the least: such a problem has no plan, and the solver has to say so.
        return low * 0.97 if rng.random() < 0.1 else float(np.quantile(values, share)) * (1 + 1e-4)

    n = len(problem)
    if kind == "budget":
        return problem.with_limits(Limits(budget=cut(plans.usd)))
    if kind == "deadline":
        return problem.with_limits(Limits(deadline=cut(plans.hours)))
    if kind == "carbon":
        return problem.with_limits(Limits(carbon=cut(plans.kg)))
    if kind == "both":
        return problem.with_limits(Limits(deadline=cut(plans.hours), carbon=cut(plans.kg)))
    if kind == "finish":
        task = int(rng.integers(n))
        return problem.with_limits(Limits(finish=((task, cut(plans.hours) * 0.7),)))
    if kind == "quota":
        quota = tuple((place, int(rng.integers(0, 4))) for place in range(len(problem.locations)))
        return problem.with_limits(Limits(quota=quota))
    one, other = sorted(rng.choice(n, 2, replace=False)) if n > 1 else (0, 0)
    same = np.eye(len(problem.locations), dtype=bool)
    clouds = np.array([name.partition(":")[0] for name in problem.locations])
    allowed = {"apart": ~same, "together": same, "apart_clouds": clouds[:, None] != clouds}[kind]
    return replace(problem, pairs=(Pair(int(one), int(other), allowed, kind),)) if n > 1 else problem


KINDS = ("budget", "deadline", "carbon", "both", "finish", "quota", "apart", "together", "apart_clouds")
