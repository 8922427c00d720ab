"""Why a job has no plan: the requirement that leaves a task without an offer, or constraints that cannot all be kept.

A set of constraints in conflict is made irreducible by leaving out one after the other: without any single one of those that are named, there is a
plan. Where one of them bounds money, time or carbon, the least that the others allow is said.

Source: the deletion filter for irreducible inconsistent subsystems, Chinneck and Dravnieks 1991.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from offprints.errors import InputError

from sky_broker.candidates import EmptySet, candidates
from sky_broker.job import Constraints, Job
from sky_broker.milp import Weights
from sky_broker.model import Sky, build
from sky_broker.solve import Infeasible, solve

_BOUNDS = {
    "budget": ("usd", "$", Weights(usd=1)),
    "deadline": ("hours", "h", Weights(hours=1)),
    "carbon": ("kg", "kg", Weights(kg=1)),
}


def reason(job: Job, sky: Sky, error: Exception) -> str:
    """The message for a job that has no plan.

    Args:
        job: that has none.
        sky: that it was to be placed in.
        error: what the attempt ended with.
    """
    rules = constraints_of(job)
    if isinstance(error, EmptySet) and _hopeless(job, sky, error.task):
        return str(error)
    conflict = conflicting(job, sky, rules)
    if not conflict:
        return f"job {job.name}: no plan: {error}"
    said = " and ".join(_named(job, rule) for rule in conflict)
    if len(conflict) == 1:
        start = f"job {job.name}: {said} cannot be kept"
    else:
        start = f"job {job.name}: {said} cannot all be kept; without any one of them there is a plan"
    least = _least(job, sky, conflict)
    detail = f" ({error})" if isinstance(error, EmptySet) else ""
    return f"{start}{least}{detail}"


def conflicting(job: Job, sky: Sky, rules: Sequence[str] | None = None) -> list[str]:
    """Constraints that cannot all be kept while without any one of them there is a plan.

    Args:
        job: with constraints.
        sky: that it is to be placed in.
        rules: names of `constraints_of`; None takes all of them.

    Returns:
        Their names; empty if the job has a plan, or none even without constraints.
    """
    rules = list(constraints_of(job) if rules is None else rules)
    if _has_plan(job, sky) or not _has_plan(_without(job, rules), sky):
        return []
    needed = list(rules)
    for rule in rules:
        rest = [one for one in needed if one != rule]
        if not _has_plan(_without(job, [one for one in rules if one not in rest]), sky):
            needed = rest
    return needed


def constraints_of(job: Job) -> list[str]:
    """The names of all that a job asks of a plan, such as "budget" or "deadline of train"."""
    rules = list(job.constraints.active)
    for task in job.tasks:
        for name in ("deadline", "residency", "interfaces"):
            if getattr(task, name):
                rules.append(f"{name} of {task.name}")
        rules += [
            f"residency of {task.name}.{key}"
            for key, out in task.outputs.items()
            if out.residency is not None
        ]
    return rules + [
        f"residency of dataset {name}" for name, item in job.datasets.items() if item.residency is not None
    ]


def _without(job: Job, rules: Sequence[str]) -> Job:
    """The job without some of its constraints."""
    dropped = set(rules)
    empty = Constraints()
    kept = {name: getattr(empty, name) for name in job.constraints.active if name in dropped}
    tasks = []
    for task in job.tasks:
        outputs = {
            key: replace(out, residency=None) if f"residency of {task.name}.{key}" in dropped else out
            for key, out in task.outputs.items()
        }
        task = replace(task, outputs=outputs)
        if f"deadline of {task.name}" in dropped:
            task = replace(task, deadline=None)
        if f"residency of {task.name}" in dropped:
            task = replace(task, residency=None)
        if f"interfaces of {task.name}" in dropped:
            task = replace(task, interfaces=frozenset())
        tasks.append(task)
    datasets = {
        name: replace(item, residency=None) if f"residency of dataset {name}" in dropped else item
        for name, item in job.datasets.items()
    }
    return replace(job, tasks=tuple(tasks), datasets=datasets, constraints=replace(job.constraints, **kept))


def _has_plan(job: Job, sky: Sky) -> bool:
    try:
        model = build(job, sky)
        weights = Weights(hours=1) if model.problem.limits.any_time else Weights(usd=1)
        solve(model.problem, weights)
    except (EmptySet, Infeasible):
        return False
    return True


def _hopeless(job: Job, sky: Sky, task: str) -> bool:
    """Whether a task has no offer even without constraints: then what it asks of a machine is at fault."""
    free = _without(job, constraints_of(job))
    try:
        candidates(free, free.by_name[task], sky.catalog, sky.grid, sky.services, False, sky.spot_risk)
    except EmptySet:
        return True
    return False


def _named(job: Job, rule: str) -> str:
    rules = job.constraints
    written: dict[str, Callable[[], str]] = {
        "budget": lambda: f"budget ${rules.budget:,.2f}",
        "deadline": lambda: f"deadline {rules.deadline:g} h",
        "carbon": lambda: f"carbon {rules.carbon:g} kg",
        "clouds": lambda: f"clouds {', '.join(rules.clouds or ())}",
        "forbidden_clouds": lambda: f"forbidden_clouds {', '.join(rules.forbidden_clouds)}",
        "residency": lambda: f"residency {', '.join(sorted(rules.residency or ()))}",
    }
    return written[rule]() if rule in written else rule


def _least(job: Job, sky: Sky, conflict: Sequence[str]) -> str:
    """The least money, time or carbon that the other constraints in conflict allow."""
    for name, (field, unit, weights) in _BOUNDS.items():
        if name not in conflict:
            continue
        others = [rule for rule in constraints_of(job) if rule == name or rule not in conflict]
        try:
            model = build(_without(job, others), sky, with_carbon=name == "carbon")
            found = solve(model.problem, weights)
        except (EmptySet, Infeasible, InputError):
            continue
        value = getattr(found.figures, field)
        kept = [rule for rule in conflict if rule != name]
        under = f" under {' and '.join(_named(job, rule) for rule in kept)}" if kept else ""
        return f": the least {name}{under} is {value:,.2f} {unit}"
    return ""
