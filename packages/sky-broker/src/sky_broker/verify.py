"""Hold the solvers to every plan of a small random problem, under every objective and one kind of limit after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sky_broker.brute import AllPlans, all_plans
from sky_broker.instances import KINDS, limited, random_problem
from sky_broker.milp import Weights
from sky_broker.problem import Problem
from sky_broker.solve import Infeasible, solve

GOALS = {
    "cost": Weights(usd=1),
    "time": Weights(hours=1),
    "carbon": Weights(kg=1),
    "weighted": Weights(usd=1, hours=2, kg=3),
}
_NEAR = 1e-5  # a limit is kept to the solver's tolerance, and a plan that lies on it may count or not


@dataclass(frozen=True)
class Checked:
    """What came of one instance.

    Attributes:
        kind: of the limit.
        solved: problems that were solved, with and without the limit.
        failures: what was wrong, in words; empty if all was right.
        infeasible: problems that had no plan, and were found out.
        largest_gap: of the certificates, relative.
    """

    kind: str
    solved: int
    failures: tuple[str, ...]
    infeasible: int
    largest_gap: float


def check_instance(seed: int, most_tasks: int = 5, most_states: int = 4) -> Checked:
    """Solve one random problem under every objective, without a limit and with one, and compare with all of its plans.

    Args:
        seed: of the problem; it also chooses the kind of the limit.
        most_tasks: of the problem.
        most_states: of a task.
    """
    rng = np.random.default_rng([seed, 1])
    tasks = int(rng.integers(1, most_tasks + 1))
    problem = random_problem(
        seed,
        tasks,
        int(rng.integers(2, most_states + 1)),
        int(rng.integers(2, 5)),
        parents=int(rng.integers(1, 4)),
    )
    kind = KINDS[seed % len(KINDS)]
    plans = all_plans(problem)
    bounded = limited(problem, plans, kind, seed)
    failures, infeasible, gap, solved = [], 0, 0.0, 0
    for name, weights in GOALS.items():
        for version, all_of in ((problem, plans), (bounded, all_plans(bounded))):
            what = f"seed {seed}, {name}" + (f" with {kind}" if version is bounded else "")
            solved += 1
            failure, none, own_gap = _compare(what, version, weights, all_of)
            failures += failure
            infeasible += none
            gap = max(gap, own_gap)
    return Checked(kind, solved, tuple(failures), infeasible, gap)


def _compare(what: str, problem: Problem, weights: Weights, plans: AllPlans) -> tuple[list[str], int, float]:
    best = plans.best(weights.usd, weights.hours, weights.kg)
    try:
        found = solve(problem, weights)
    except Infeasible:
        return ([] if math.isinf(best) else [f"{what}: no plan was found, the best is {best}"]), 1, 0.0
    value, proof = found.certificate.value, found.certificate
    if math.isinf(best):
        return [f"{what}: there is no plan, and one of {value} was found"], 0, 0.0
    wrong = []
    if abs(value - best) > _NEAR * max(1.0, abs(best)):
        wrong.append(f"{what}: {value} was found, the best is {best}")
    if proof.bound > best + _NEAR * max(1.0, abs(best)):
        wrong.append(f"{what}: no plan is said to be below {proof.bound}, and one is {best}")
    return wrong, 0, proof.gap
