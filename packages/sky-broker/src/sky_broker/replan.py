"""Place what is left of a job when places are barred: what has run or runs stays where it is, and all constraints hold for the whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sky_broker.catalog import Catalog, Offer
from sky_broker.job import Job, Resources, Task
from sky_broker.model import Sky
from sky_broker.optimize import optimize
from sky_broker.plan import Plan


def replan(job: Job, sky: Sky, fixed: Mapping[str, Offer], barred: Collection[str]) -> Plan:
    """The best plan of a job of which a part is settled.

    Args:
        job: the whole of it.
        sky: to choose from.
        fixed: task -> the offer that it has run on or runs on.
        barred: locations where nothing else may be placed.

    Returns:
        A plan of all tasks; the fixed ones have their offers.

    Raises:
        NoPlan: what is left cannot be placed.
    """
    tasks = tuple(
        _settled(task, fixed[task.name]) if task.name in fixed else _without(task, barred, sky.catalog)
        for task in job.tasks
    )
    return optimize(replace(job, tasks=tasks), sky)


def _settled(task: Task, offer: Offer) -> Task:
    need = Resources(
        accelerators=f"{offer.accelerator}:{offer.count:g}" if offer.accelerator else None,
        instance_type=offer.instance_type,
        regions=(offer.location,),
        spot="required" if offer.spot else "never",
    )
    return replace(task, resources=(need,))


def _without(task: Task, barred: Collection[str], catalog: Catalog) -> Task:
    if not barred:
        return task
    resources = []
    for need in task.resources:
        open_places = [
            name
            for name in (need.regions if need.regions is not None else catalog.locations)
            if name and name not in barred
        ]
        resources.append(replace(need, regions=tuple(open_places)))
    return replace(task, resources=tuple(resources))
