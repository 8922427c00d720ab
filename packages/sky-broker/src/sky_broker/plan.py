"""A plan: which offer each task gets, which data move, and what it all comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sky_broker.catalog import Offer
from sky_broker.job import Job
from sky_broker.milp import Weights
from sky_broker.model import Model, Sky
from sky_broker.network import NetworkGrid, region_of
from sky_broker.problem import evaluate
from sky_broker.solve import Certificate, Solution


@dataclass(frozen=True)
class Placement:
    """Where one task runs.

    Attributes:
        task: its name.
        offer: that it gets.
        nodes: how many machines of it.
        hours: that it runs.
        start: hours after the start of the job.
        usd: of the machines.
        kg: CO2e; NaN where unknown or not asked for.
    """

    task: str
    offer: Offer
    nodes: int
    hours: float
    start: float
    usd: float
    kg: float

    @property
    def finish(self) -> float:
        """Hours after the start of the job."""
        return self.start + self.hours


@dataclass(frozen=True)
class Movement:
    """Data that go from one place to another, or stay where they are.

    Attributes:
        what: the dataset, or the task that made them.
        task: that reads them.
        source: location.
        target: location.
        gb: decimal gigabytes.
        usd: of egress; 0 inside a region.
        hours: on the way; 0 inside a region, infinite where the rate is unknown.
        residency: the jurisdictions that they may be relayed through; None is any.
    """

    what: str
    task: str
    source: str
    target: str
    gb: float
    usd: float
    hours: float
    residency: frozenset[str] | None = None


@dataclass(frozen=True)
class Plan:
    """A plan for a job.

    Attributes:
        job: that it is for.
        placements: of each task, in an order in which each comes after those that it reads from.
        movements: of data.
        makespan: hours from the start to the end of the last task; infinite where a rate is unknown.
        carbon: kg CO2e; NaN where it was not asked for.
        certificate: how good the plan is known to be.
        weights: what was minimised.
        model: the problem that it solves, for explanations.
        solution: the answer to it.
        sky: that it was chosen from.
        discounts: cloud -> what its egress to other clouds costs over its flat price; empty where prices are flat.
    """

    job: Job
    placements: tuple[Placement, ...]
    movements: tuple[Movement, ...]
    makespan: float
    carbon: float
    certificate: Certificate
    weights: Weights
    model: Model
    solution: Solution
    sky: Sky
    discounts: Mapping[str, float] = field(default_factory=dict)

    @property
    def compute(self) -> float:
        """$ of machines."""
        return math.fsum(one.usd for one in self.placements)

    @property
    def egress(self) -> float:
        """$ of moving data."""
        return math.fsum(one.usd for one in self.movements)

    @property
    def cost(self) -> float:
        """$ of all."""
        return self.compute + self.egress

    @property
    def clouds(self) -> list[str]:
        """All that it uses."""
        return sorted({one.offer.cloud for one in self.placements})

    def placement(self, task: str) -> Placement:
        """Where a task runs.

        Raises:
            KeyError: there is no such task.
        """
        return {one.task: one for one in self.placements}[task]

    def explain(self) -> str:
        """Why each task is where it is, in words and dollars; see `explain.explain`."""
        from sky_broker.explain import explain  # it solves again, and needs this module

        return explain(self)

    def to_skypilot(self) -> str:
        """The plan as SkyPilot task files; see `skypilot.to_skypilot`."""
        from sky_broker.skypilot import to_skypilot  # as above

        return to_skypilot(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "job": self.job.name,
            "cost": self.cost,
            "compute": self.compute,
            "egress": self.egress,
            "makespan": self.makespan if math.isfinite(self.makespan) else None,
            "carbon": None if math.isnan(self.carbon) else self.carbon,
            "certificate": str(self.certificate),
            "tasks": {
                one.task: {
                    "location": one.offer.location,
                    "zone": one.offer.zone,
                    "instance_type": one.offer.instance_type,
                    "accelerator": one.offer.accelerator,
                    "count": one.offer.count if one.offer.accelerator else 0,
                    "spot": one.offer.spot,
                    "nodes": one.nodes,
                    "usd_per_hour": one.offer.usd_per_hour,
                    "start": one.start if math.isfinite(one.start) else None,
                    "hours": one.hours,
                    "usd": one.usd,
                }
                for one in self.placements
            },
            "data": [
                {
                    "what": one.what,
                    "for": one.task,
                    "from": one.source,
                    "to": one.target,
                    "gb": one.gb,
                    "usd": one.usd,
                }
                for one in self.movements
            ],
        }


def plan_of(model: Model, solution: Solution, weights: Weights, sky: Sky, with_carbon: bool) -> Plan:
    """The plan that a solution stands for.

    Args:
        model: that was solved.
        solution: of it.
        weights: that were minimised.
        sky: that the model is of.
        with_carbon: whether carbon is known.

    Raises:
        AssertionError: priced from its offers the plan comes to something else than the model said.
    """
    job = model.job
    chosen = dict(zip(model.problem.tasks, solution.chosen, strict=True))
    offers, hours, grams = {}, {}, {}
    for name, found, states in zip(model.problem.tasks, model.candidates, model.problem.states, strict=True):
        state = int(states.offer[chosen[name]])
        offers[name] = found.offers[state]
        hours[name] = float(found.hours[state])
        grams[name] = float(found.grams[state]) if with_carbon else math.nan
    movements = _movements(job, {name: offer.location for name, offer in offers.items()}, sky.grid)
    placements = []
    finish: dict[str, float] = {}
    for name in job.order:
        ready = [
            (finish[one.what] if one.what in offers else 0.0) + one.hours
            for one in movements
            if one.task == name
        ]
        start = max(ready, default=0.0)
        finish[name] = start + hours[name]
        nodes = job.by_name[name].nodes
        usd = nodes * offers[name].usd_per_hour * hours[name]
        kg = nodes * grams[name] * hours[name] / 1000
        placements.append(Placement(name, offers[name], nodes, hours[name], start, usd, kg))
    figures = evaluate(model.problem, solution.chosen)
    plan = Plan(
        job,
        tuple(placements),
        movements,
        max(finish.values()),
        figures.kg if with_carbon else math.nan,
        solution.certificate,
        weights,
        model,
        solution,
        sky,
    )
    for what, ours, theirs in (("$", plan.cost, figures.usd), ("h", plan.makespan, figures.hours)):
        if ours != theirs and not abs(ours - theirs) <= 1e-6 * max(1.0, abs(ours)):
            raise AssertionError(
                f"the plan comes to {ours} {what} by its offers and to {theirs} {what} by the model"
            )
    return plan


def _movements(job: Job, place: Mapping[str, str], grid: NetworkGrid) -> tuple[Movement, ...]:
    """What each task reads, and from where it comes; priced by the grid, pair by pair."""
    found = []
    for name in job.order:
        task = job.by_name[name]
        for text in dict.fromkeys(task.inputs):
            if text in job.datasets:
                item = job.datasets[text]
                found.append(_moved(text, name, item.location, place[name], item.gb, grid, item.residency))
        for edge in job.edges:
            if edge.target == name:
                source = place[edge.source]
                found.append(_moved(edge.source, name, source, place[name], edge.gb, grid, edge.residency))
    return tuple(found)


def _moved(
    what: str,
    task: str,
    source: str,
    target: str,
    gb: float,
    grid: NetworkGrid,
    residency: frozenset[str] | None,
) -> Movement:
    if gb == 0 or region_of(source) == region_of(target):
        return Movement(what, task, source, target, gb, 0.0, 0.0, residency)
    here, there = grid.index(source), grid.index(target)
    rate = float(grid.gbps[here, there])
    hours = 8 * gb / (3600 * rate) if rate > 0 else math.inf
    return Movement(what, task, source, target, gb, gb * grid.price(source, target), hours, residency)
