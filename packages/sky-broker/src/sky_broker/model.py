"""From a job, a catalog and a network grid to the arrays of a placement problem."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker import carbon
from sky_broker.candidates import Candidates, candidates
from sky_broker.catalog import Catalog
from sky_broker.compatibility import CompatibilitySet
from sky_broker.job import Job, Task
from sky_broker.network import NetworkGrid, region_of
from sky_broker.problem import Floats, Flow, Limits, Pair, Problem, States
from sky_broker.spot_risk import SpotRisk


@dataclass(frozen=True)
class Sky:
    """Everything that a plan is chosen from.

    Attributes:
        catalog: of offers.
        grid: what moving data costs and how long it takes.
        services: which cloud offers which interface.
        network_kwh_per_gb: electricity of moving a gigabyte between regions; 0 leaves it out of the carbon.
        spot_risk: how often spot machines are taken away; None counts them as if they never were.
    """

    catalog: Catalog
    grid: NetworkGrid
    services: CompatibilitySet
    network_kwh_per_gb: float = 0.0
    spot_risk: SpotRisk | None = None

    @classmethod
    def embedded(cls) -> Sky:
        """The dated offers, prices of egress and services that come with the package."""
        return cls(Catalog.load("embedded"), NetworkGrid.embedded(), CompatibilitySet.embedded())


@dataclass(frozen=True)
class Model:
    """A job as a problem, and what its states stand for.

    Attributes:
        job: that it is of.
        problem: the arrays.
        candidates: of each task, in the order of the problem; `States.offer` is an index into them.
    """

    job: Job
    problem: Problem
    candidates: tuple[Candidates, ...]


def build(job: Job, sky: Sky, with_carbon: bool = False) -> Model:
    """The placement problem of a job.

    Args:
        job: tasks, data, constraints.
        sky: to choose from.
        with_carbon: whether carbon counts; with a bound on it, it does anyhow.

    Raises:
        EmptySet: a task has no offer.
        InputError: a name is unknown.
    """
    with_carbon = with_carbon or job.constraints.carbon is not None
    tasks = [job.by_name[name] for name in job.order]
    found = tuple(
        candidates(job, task, sky.catalog, sky.grid, sky.services, with_carbon, sky.spot_risk)
        for task in tasks
    )
    names = sky.catalog.locations
    used = sorted({int(code) for one in found for code in np.unique(one.offers.location)})
    # A zone and its region are one place to the grid, and data inside it move free and at once.
    locations = list(dict.fromkeys(region_of(names[code]) for code in used))
    stored = [region_of(item.location) for task in tasks for item in job.datasets_of(task)]
    locations += [name for name in dict.fromkeys(stored) if name not in locations]
    place = {name: number for number, name in enumerate(locations)}
    usd, late = _matrices(locations, sky.grid, bool(stored or job.edges))
    kg = _network_carbon(locations, sky.network_kwh_per_gb, with_carbon)
    code_of = np.full(len(names), -1, np.int64)
    code_of[used] = [place[region_of(names[code])] for code in used]
    states = tuple(
        _states(job, task, one, code_of[one.offers.location], place, usd, late, kg, sky)
        for task, one in zip(tasks, found, strict=True)
    )
    index = {task.name: number for number, task in enumerate(tasks)}
    flows = tuple(Flow(index[edge.source], index[edge.target], edge.gb) for edge in job.edges)
    problem = Problem(
        job.order,
        states,
        tuple(task.nodes for task in tasks),
        flows,
        tuple(locations),
        usd,
        late,
        kg,
        _pairs(job, index, locations),
        _limits(job, index, place, sky.catalog),
    )
    return Model(job, problem, found)


def _matrices(locations: list[str], grid: NetworkGrid, data: bool) -> tuple[Floats, Floats]:
    """$/GB and hours per GB between places; infinity where the grid does not know, so that nothing goes there."""
    n = len(locations)
    usd = np.where(np.eye(n, dtype=bool), 0.0, math.inf)
    late = usd.copy()
    inside = [number for number, name in enumerate(locations) if name in grid]
    if data and inside:
        rows = [grid.index(locations[number]) for number in inside]
        price, rate = grid.usd_per_gb[np.ix_(rows, rows)], grid.gbps[np.ix_(rows, rows)]
        usd[np.ix_(inside, inside)] = np.where(np.isnan(price), math.inf, price)
        with np.errstate(divide="ignore"):
            hours = 8.0 / (3600.0 * rate)
        late[np.ix_(inside, inside)] = np.where(np.isnan(hours), math.inf, hours)
    return usd, late


def _network_carbon(locations: list[str], kwh_per_gb: float, with_carbon: bool) -> Floats:
    n = len(locations)
    if not kwh_per_gb or not with_carbon:
        return np.zeros((n, n))
    grams = np.array([carbon.intensity(name) for name in locations])
    kg = kwh_per_gb * (grams[:, None] + grams) / 2000
    np.fill_diagonal(kg, 0.0)
    return np.where(np.isnan(kg), math.inf, kg)


def _states(
    job: Job,
    task: Task,
    found: Candidates,
    location: np.ndarray,
    place: dict[str, int],
    usd_per_gb: Floats,
    hours_per_gb: Floats,
    kg_per_gb: Floats,
    sky: Sky,
) -> States:
    usd = task.nodes * found.offers.usd * found.hours
    kg = task.nodes * found.grams * found.hours / 1000 if len(found.grams) else np.zeros(len(found.hours))
    ready = np.zeros(len(found.hours))
    for item in job.datasets_of(task):
        if item.gb == 0:
            continue
        source = place[region_of(item.location)]
        if item.location not in sky.grid:
            sky.grid.index(item.location)  # says that the grid does not know it
        usd = usd + item.gb * usd_per_gb[source, location]
        kg = kg + item.gb * kg_per_gb[source, location]
        ready = np.maximum(ready, item.gb * hours_per_gb[source, location])
    return States(location, usd, found.hours, kg, ready, np.arange(len(location)))


def _pairs(job: Job, index: dict[str, int], locations: list[str]) -> tuple[Pair, ...]:
    same = np.eye(len(locations), dtype=bool)
    clouds = np.array([name.partition(":")[0] for name in locations])
    one_cloud = clouds[:, None] == clouds
    rules = job.constraints
    pairs = []
    for rule, listed, allowed in (
        ("apart", rules.apart, ~same),
        ("apart_clouds", rules.apart_clouds, ~one_cloud),
        ("together", rules.together, same),
    ):
        for names in listed:
            one, other = sorted(index[name] for name in names)
            pairs.append(Pair(one, other, allowed, rule))
    return tuple(pairs)


def _limits(job: Job, index: dict[str, int], place: dict[str, int], catalog: Catalog) -> Limits:
    rules = job.constraints
    for name in rules.quota:
        if name not in catalog.locations:
            raise InputError(f"quota: the catalog has no region {name!r}{closest(name, catalog.locations)}")
    return Limits(
        budget=math.inf if rules.budget is None else rules.budget,
        deadline=math.inf if rules.deadline is None else rules.deadline,
        carbon=math.inf if rules.carbon is None else rules.carbon,
        finish=tuple((index[task.name], task.deadline) for task in job.tasks if task.deadline is not None),
        quota=tuple(
            (place[region_of(name)], most) for name, most in rules.quota.items() if region_of(name) in place
        ),
    )
