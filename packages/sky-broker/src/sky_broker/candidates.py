"""Which offers each task can choose from, and what is left after each of its requirements.

The requirements are asked one after the other and counted, so that an empty set names the one that emptied it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from sky_broker import carbon
from sky_broker.catalog import Catalog, Offers
from sky_broker.compatibility import CompatibilitySet
from sky_broker.job import Job, Resources, Task
from sky_broker.network import NetworkGrid, region_of
from sky_broker.places import allows
from sky_broker.spot_risk import SpotRisk

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """The offers that one task can choose from.

    Attributes:
        offers: k of them.
        hours: (k,) on each.
        grams: (k,) CO2e per hour of one machine; NaN where unknown. Empty unless carbon was asked for.
        funnel: requirement -> offers left after it, in the order in which they were asked.
    """

    offers: Offers
    hours: Floats
    grams: Floats
    funnel: dict[str, int]


class EmptySet(InputError):
    """No offer meets a task's requirements.

    Attributes:
        task: its name.
        requirement: the one that emptied the set.
    """

    def __init__(self, message: str, task: str, requirement: str) -> None:
        super().__init__(message, task, requirement)
        self.message, self.task, self.requirement = message, task, requirement

    def __str__(self) -> str:
        return self.message


def candidates(
    job: Job,
    task: Task,
    catalog: Catalog,
    grid: NetworkGrid,
    services: CompatibilitySet,
    with_carbon: bool,
    spot_risk: SpotRisk | None = None,
) -> Candidates:
    """The offers for one task of a job.

    Args:
        job: that the task is of; its constraints and residencies count.
        task: of the job.
        catalog: to choose from.
        grid: a task with data has to be at a place that it knows.
        services: which cloud offers which interface.
        with_carbon: whether carbon counts; without, only the cheapest offer of each place and time is kept.
        spot_risk: gives offers on spot their expected hours; None counts them as if they were never taken away.

    Raises:
        EmptySet: none is left; says after which requirement, and how many there were before it.
        InputError: a name is unknown to the catalog or to the compatibility set.
    """
    funnel: dict[str, int] = {"offers of the catalog": len(catalog)}
    offers = _met(task, catalog, funnel)
    allowed = _places(job, task, catalog, grid, services)
    for requirement, mask in allowed.items():
        offers = _left(offers.take(mask[offers.location]), requirement, task, funnel)
    hours = _hours(task, offers)
    known = ~np.isnan(hours)
    if not known.all():
        offers, hours = offers.take(known), hours[known]
        _left(offers, f"a known time ({', '.join(task.time.hours)})", task, funnel)
    if spot_risk is not None and offers.spot.any():
        hours = _expected(task, offers, hours, spot_risk)
        kept = np.isfinite(hours)
        offers, hours = offers.take(kept), hours[kept]
        _left(offers, "an expected time on spot", task, funnel)
    if with_carbon:
        return Candidates(offers, hours, carbon.grams_per_hour(offers), funnel)
    cheapest = _cheapest(offers, hours)
    return Candidates(offers.take(cheapest), hours[cheapest], np.zeros(0), funnel)


def _met(task: Task, catalog: Catalog, funnel: dict[str, int]) -> Offers:
    """Offers that meet any of a task's alternatives, each once in each mode."""
    parts = [_alternative(task, one, catalog, funnel, len(task.resources)) for one in task.resources]
    found = [part for part in parts if len(part)]
    if not found:
        raise EmptySet(
            f"task {task.name}: none of its {len(parts)} alternatives is met by an offer: "
            + ", ".join(f"{what} leaves {count:,}" for what, count in funnel.items()),
            task.name,
            "resources",
        )
    if len(found) == 1:
        return found[0]
    rows = np.concatenate([part.rows for part in found])
    spot = np.concatenate([part.spot for part in found])
    usd = np.concatenate([part.usd for part in found])
    _, first = np.unique(rows * 2 + spot, return_index=True)
    return Offers(catalog, rows[first], spot[first], usd[first])


def _alternative(
    task: Task, need: Resources, catalog: Catalog, funnel: dict[str, int], alternatives: int
) -> Offers:
    rows = catalog.rows_of(need.any_accelerator)
    steps = []
    if need.accelerators is not None:
        steps.append((f"accelerators {need.accelerators}", rows))
    for what, name, asked in (("cpus", "vcpus", need.cpus), ("memory", "memory_gib", need.memory)):
        if asked is not None:
            rows = rows[catalog.at_least(name, asked)[rows]]
            steps.append((f"{what} {asked}", rows))
    if need.instance_type is not None:
        rows = np.intersect1d(rows, catalog.offers(instance_type=need.instance_type).rows)
        steps.append((f"instance type {need.instance_type}", rows))
    for what, places, listed in (
        ("clouds", (need.clouds, None), need.clouds),
        ("regions", (None, need.regions), need.regions),
    ):
        if listed is not None:
            rows = rows[catalog.where(*places)[catalog.codes("location")[rows]]]
            steps.append((f"{what} {', '.join(listed)}", rows))
    offers = catalog.priced(rows, need.spot)
    if need.spot == "required":
        steps.append(("spot required", offers.rows))
    for requirement, left in steps:
        funnel[requirement] = max(funnel.get(requirement, 0), len(left))
        if not len(left) and alternatives == 1:
            raise _empty(task, requirement, funnel)
    return offers


def _places(
    job: Job, task: Task, catalog: Catalog, grid: NetworkGrid, services: CompatibilitySet
) -> dict[str, NDArray[np.bool_]]:
    """Requirement -> (locations,) where the task may be."""
    rules, locations = job.constraints, catalog.locations
    clouds = [location.partition(":")[0] for location in locations]
    found: dict[str, NDArray[np.bool_]] = {}

    def ask(requirement: str, allowed: list[bool]) -> None:
        found[requirement] = np.array(allowed, bool)

    if task.interfaces:
        needs = services.require(task.interfaces)
        ask(f"interfaces {', '.join(sorted(needs))}", [services.fits(needs, one) for one in locations])
    if rules.clouds is not None:
        _known_clouds(rules.clouds, catalog)
        ask(f"constraint clouds {', '.join(rules.clouds)}", [cloud in rules.clouds for cloud in clouds])
    if rules.forbidden_clouds:
        _known_clouds(rules.forbidden_clouds, catalog)
        without = f"constraint forbidden_clouds {', '.join(rules.forbidden_clouds)}"
        ask(without, [cloud not in rules.forbidden_clouds for cloud in clouds])
    for what, residency in residencies(job, task):
        ask(f"{what} {', '.join(sorted(residency))}", [allows(residency, one) for one in locations])
    moved = bool(job.datasets_of(task)) or any(task.name in (edge.source, edge.target) for edge in job.edges)
    if moved:
        ask("a place that the network grid knows", [one in grid for one in locations])
    return found


def residencies(job: Job, task: Task) -> list[tuple[str, frozenset[str]]]:
    """What restricts where a task may run, with the name of each: its own residency, the job's, and that of the data it holds."""
    found = [("residency of the job", job.constraints.residency), ("residency of the task", task.residency)]
    for text in task.inputs:
        if text in job.datasets:
            found.append((f"residency of dataset {text}", job.datasets[text].residency))
        else:
            name, _, output = text.partition(".")
            found.append((f"residency of {text}", job.by_name[name].outputs[output].residency))
    found += [(f"residency of output {name}", output.residency) for name, output in task.outputs.items()]
    return [(what, residency) for what, residency in found if residency is not None]


def _known_clouds(names: tuple[str, ...], catalog: Catalog) -> None:
    catalog.where(clouds=names)


def _hours(task: Task, offers: Offers) -> Floats:
    """(k,) hours on each offer; NaN where the task does not know."""
    if task.time.of is not None:
        hours = np.array([float(task.time.of(offer)) for offer in offers])
        if wrong := [value for value in hours if not math.isnan(value) and not 0 < value < math.inf]:
            raise InputError(f"task {task.name}: its time is {wrong[0]} h; more than 0 was expected")
        return hours
    catalog, rows = offers.catalog, offers.rows
    kind = catalog.codes("accelerator")[rows]
    count = catalog.column("count")[rows]
    hours = np.full(len(rows), math.nan)
    accelerators = {name.lower(): code for code, name in enumerate(catalog.accelerators) if name}
    machines = {name.lower(): code for code, name in enumerate(catalog.names("instance_type"))}
    ranked = sorted(task.time.hours.items(), key=lambda pair: _precision(pair[0], machines))
    for name, value in ranked:  # the most precise class comes last and stands
        key, _, number = name.lower().partition(":")
        if name == "*":
            hours[:] = value
        elif name == "cpu":
            hours[kind == 0] = value
        elif name.lower() in machines:
            hours[catalog.codes("instance_type")[rows] == machines[name.lower()]] = value
        elif key in accelerators:
            fits = kind == accelerators[key]
            hours[fits & (np.abs(count - float(number)) < 1e-4) if number else fits] = value
        else:
            raise InputError(
                f"task {task.name}: time: {name!r} is no accelerator, instance type, cpu or * of the catalog"
            )
    return hours


def _expected(task: Task, offers: Offers, hours: Floats, risk: SpotRisk) -> Floats:
    """Hours, of offers on spot with the interruptions to be expected."""
    names = offers.catalog.locations
    keys = np.stack([offers.location[offers.spot].astype(np.float64), hours[offers.spot]])
    pairs, place = np.unique(keys, axis=1, return_inverse=True)
    found = [
        risk.hours(float(work), region_of(names[int(code)]), task.nodes, task.checkpoint)
        for code, work in pairs.T
    ]
    expected = hours.copy()
    expected[offers.spot] = np.array(found)[place.ravel()]
    return expected


def _precision(name: str, machines: dict[str, int]) -> int:
    if name in ("*", "cpu"):
        return ("*", "cpu").index(name)
    return 4 if name.lower() in machines else 3 if ":" in name else 2


def _cheapest(offers: Offers, hours: Floats) -> NDArray[np.int64]:
    """The cheapest offer of each place and time: with the same hours at the same place, nothing else can matter."""
    if (hours == hours[0]).all():  # as with most tasks without accelerators, which have the most offers
        times, code = hours[:1], np.zeros(len(hours), np.int64)
    else:
        times, code = np.unique(hours, return_inverse=True)
    key = offers.location * len(times) + code
    best = np.full(len(offers.catalog.locations) * len(times), math.inf)
    np.minimum.at(best, key, offers.usd)
    rows = np.flatnonzero(offers.usd == best[key])
    _, first = np.unique(key[rows], return_index=True)
    cheapest: NDArray[np.int64] = np.sort(rows[first])
    return cheapest


def _left(offers: Offers, requirement: str, task: Task, funnel: dict[str, int]) -> Offers:
    funnel[requirement] = len(offers)
    if not len(offers):
        raise _empty(task, requirement, funnel)
    return offers


def _empty(task: Task, requirement: str, funnel: dict[str, int]) -> EmptySet:
    steps = list(funnel.items())
    place = [name for name, _ in steps].index(requirement)
    before = steps[place - 1]
    return EmptySet(
        f"task {task.name}: no offer is left after {requirement!r}; before it, after {before[0]!r}, there were {before[1]:,}",
        task.name,
        requirement,
    )
