"""A job: tasks that need machines, data that lie somewhere or pass between tasks, and what the plan has to keep to.

    job = Job.from_yaml("pipeline.yaml")

or, in Python,

    Job(
        "demo",
        (
            Task("prepare", (Resources(cpus="8+"),), TimeSpec.fixed(2), outputs={"clean": Output(500)}),
            Task("train", (Resources("V100:4"),), TimeSpec.fixed(10), inputs=("prepare.clean",)),
        ),
    )

Gigabytes are decimal, times are hours, money is US dollars, carbon is kilograms of CO2 equivalent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from offprints.content import read_text
from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.catalog import SPOT, parse_accelerators, parse_at_least
from sky_broker.places import check_residency

if TYPE_CHECKING:
    from sky_broker.catalog import Offer

OBJECTIVES = ("cost", "time", "carbon")


@dataclass(frozen=True)
class DataItem:
    """Data that lie somewhere before the job begins.

    Attributes:
        location: cloud:region.
        gb: decimal gigabytes.
        residency: the jurisdictions that they may be copied to or relayed through; None is any.
    """

    location: str
    gb: float
    residency: frozenset[str] | None = None

    def __post_init__(self) -> None:
        _check_gb(self.gb)
        if self.residency is not None:
            check_residency(self.residency)


@dataclass(frozen=True)
class Output:
    """Data that a task makes.

    Attributes:
        gb: decimal gigabytes.
        residency: the jurisdictions that they may be in; None is any. It is not taken over from what the task reads.
    """

    gb: float
    residency: frozenset[str] | None = None

    def __post_init__(self) -> None:
        _check_gb(self.gb)
        if self.residency is not None:
            check_residency(self.residency)


@dataclass(frozen=True)
class Resources:
    """One way to meet a task's need.

    Attributes:
        accelerators: "V100:4", several with a comma for any of them, or None for none.
        cpus: vCPUs of a machine, "8" exactly or "8+".
        memory: GiB of a machine, the same way.
        instance_type: the provider's name.
        clouds: only these; None is any.
        regions: only these locations, cloud:region; None is any.
        spot: never, allowed or required.
    """

    accelerators: str | None = None
    cpus: str | None = None
    memory: str | None = None
    instance_type: str | None = None
    clouds: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    spot: str = "never"

    def __post_init__(self) -> None:
        for amount in (self.cpus, self.memory):
            if amount is not None:
                parse_at_least(amount)
        self.any_accelerator  # noqa: B018 - reads it, so that a wrong one is refused here
        if self.spot not in SPOT:
            raise InputError(f"spot is {self.spot!r}; it must be one of {', '.join(SPOT)}")

    @property
    def any_accelerator(self) -> tuple[tuple[str, float], ...] | None:
        """Names and numbers of the accelerators of which any will do."""
        return None if self.accelerators is None else parse_accelerators(self.accelerators)


@dataclass(frozen=True)
class TimeSpec:
    """How long a task takes on a machine.

    Attributes:
        hours: class of offers -> hours. A class is an instance type, "V100:4", "V100", "cpu" for machines without an accelerator, or "*"
            for all; the first of them that is there counts.
        of: instead, a function of the offer.
    """

    hours: Mapping[str, float] = field(default_factory=dict)
    of: Callable[[Offer], float] | None = None

    def __post_init__(self) -> None:
        if self.of is None and not self.hours:
            raise InputError(
                "a task needs its time: hours, hours for each kind of machine, or work with rates"
            )
        for name, value in self.hours.items():
            if not 0 < value < math.inf:
                raise InputError(f"time: {name} takes {value} h; more than 0 was expected")

    @classmethod
    def fixed(cls, hours: float) -> TimeSpec:
        """The same on every machine."""
        return cls({"*": hours})

    @classmethod
    def from_work(cls, work: float, rates: Mapping[str, float]) -> TimeSpec:
        """Work divided by what a class of machines does in an hour.

        Raises:
            InputError: work or a rate is not positive.
        """
        if not 0 < work < math.inf:
            raise InputError(f"time: work is {work}; more than 0 was expected")
        for name, rate in rates.items():
            if not 0 < rate < math.inf:
                raise InputError(f"time: the rate of {name} is {rate}; more than 0 was expected")
        return cls({name: work / rate for name, rate in rates.items()})

    def lookup(self, instance_type: str, accelerator: str, count: float) -> float:
        """Hours on a machine; NaN where no class of it is known."""
        keys = (
            (instance_type, f"{accelerator}:{count:g}", accelerator, "*")
            if accelerator
            else (instance_type, "cpu", "*")
        )
        return next((self.hours[key] for key in keys if key in self.hours), math.nan)


@dataclass(frozen=True)
class Task:
    """One stage of a job.

    Attributes:
        name: of the task.
        resources: ways to meet its need, of which any will do.
        time: how long it takes.
        inputs: names of data items, and "task.output".
        outputs: name -> data that it makes.
        nodes: machines that it needs at once.
        interfaces: of the compatibility set, all at the location.
        run: shell command.
        setup: shell command before it.
        image: container image.
        envs: environment of the commands.
        residency: the jurisdictions that it may run in; None is any.
        deadline: hours from the start of the job to the end of the task; None is none.
        checkpoint: hours between checkpoints, for spot; None is none.
    """

    name: str
    resources: tuple[Resources, ...] = (Resources(),)
    time: TimeSpec = field(default_factory=lambda: TimeSpec.fixed(1.0))
    inputs: tuple[str, ...] = ()
    outputs: Mapping[str, Output] = field(default_factory=dict)
    nodes: int = 1
    interfaces: frozenset[str] = frozenset()
    run: str = ""
    setup: str = ""
    image: str = ""
    envs: Mapping[str, str] = field(default_factory=dict)
    residency: frozenset[str] | None = None
    deadline: float | None = None
    checkpoint: float | None = None

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            raise InputError(f"{self.name!r} is no name for a task: it is empty or has a point")
        if not self.resources:
            raise InputError(f"task {self.name}: no resources; one way to meet its need was expected")
        if self.nodes < 1:
            raise InputError(f"task {self.name}: {self.nodes} nodes; 1 or more were expected")
        if self.residency is not None:
            check_residency(self.residency)
        for name in ("deadline", "checkpoint"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"task {self.name}: {name} is {value} h; more than 0 was expected")


@dataclass(frozen=True)
class Constraints:
    """What a plan has to keep to.

    Attributes:
        budget: most $ for machines and egress.
        deadline: most hours from the start to the end of the last task.
        carbon: most kg CO2e.
        clouds: only these; None is any.
        forbidden_clouds: none of these.
        residency: jurisdictions that every task must run in; None is any.
        quota: location -> most nodes of the whole job there, counted as if all tasks ran at once.
        apart: pairs of tasks that must not share a location.
        apart_clouds: pairs of tasks that must not share a cloud.
        together: pairs of tasks that must share a location.
    """

    budget: float | None = None
    deadline: float | None = None
    carbon: float | None = None
    clouds: tuple[str, ...] | None = None
    forbidden_clouds: tuple[str, ...] = ()
    residency: frozenset[str] | None = None
    quota: Mapping[str, int] = field(default_factory=dict)
    apart: tuple[tuple[str, str], ...] = ()
    apart_clouds: tuple[tuple[str, str], ...] = ()
    together: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("budget", "deadline", "carbon"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"constraints: {name} is {value}; 0 or more was expected")
        if self.residency is not None:
            check_residency(self.residency)
        for location, most in self.quota.items():
            if most < 0:
                raise InputError(f"constraints: the quota of {location} is {most}; 0 or more was expected")

    @property
    def active(self) -> tuple[str, ...]:
        """The names of those that are set, in a fixed order."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) not in (None, (), {}))


@dataclass(frozen=True)
class Edge:
    """Data that pass from one task to another, all outputs of the one that the other reads.

    Attributes:
        source: name of the task that makes them.
        target: name of the task that reads them.
        gb: decimal gigabytes.
        residency: where they may be relayed, if anything restricts it.
    """

    source: str
    target: str
    gb: float
    residency: frozenset[str] | None = None


@dataclass(frozen=True)
class Job:
    """Tasks, data and constraints.

    Attributes:
        name: of the job.
        tasks: all of them; an order is not needed.
        datasets: name -> data that lie somewhere before.
        constraints: what a plan has to keep to.
        objective: cost, time or carbon.

    Raises:
        InputError: a name is there twice or unknown, or the tasks wait for each other in a circle; names it.
    """

    name: str
    tasks: tuple[Task, ...]
    datasets: Mapping[str, DataItem] = field(default_factory=dict)
    constraints: Constraints = field(default_factory=Constraints)
    objective: str = "cost"

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if not names:
            raise InputError(f"job {self.name}: no tasks; one or more were expected")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"job {self.name}: a task is there twice: {twice[0]}")
        if both := sorted(set(names) & set(self.datasets)):
            raise InputError(f"job {self.name}: {both[0]} is both a task and a dataset")
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective={self.objective}{closest(self.objective, OBJECTIVES)}")
        for task in self.tasks:
            for text in task.inputs:
                self._source(task, text)
        rules = self.constraints
        for one, other in (*rules.apart, *rules.apart_clouds, *rules.together):
            for name in (one, other):
                if name not in names:
                    raise InputError(f"constraints: there is no task {name!r}{closest(name, names)}")
            if one == other:
                raise InputError(f"constraints: {one} is paired with itself")
        self.order  # noqa: B018 - finds a circle

    @classmethod
    def from_yaml(cls, path: str | Path) -> Job:
        """Read a job file; the docs page of the package says what it may hold.

        Raises:
            InputError: it does not say what it should; names file, line and column, and the nearest valid key.
            FileNotFoundError: there is no such file.
        """
        from sky_broker.job_yaml import job_of  # the reader knows this module

        return job_of(read_text(Path(path)), str(path))

    @cached_property
    def by_name(self) -> dict[str, Task]:
        """Name -> task."""
        return {task.name: task for task in self.tasks}

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The data between each pair of tasks, once a pair."""
        found: dict[tuple[str, str], list[Output]] = {}
        for task in self.tasks:
            for text in dict.fromkeys(task.inputs):
                source, output = self._source(task, text)
                if source is not None and output is not None:
                    found.setdefault((source, task.name), []).append(output)
        return tuple(
            Edge(source, target, math.fsum(one.gb for one in outputs), _common(outputs))
            for (source, target), outputs in found.items()
        )

    def datasets_of(self, task: Task) -> tuple[DataItem, ...]:
        """The data items that a task reads."""
        return tuple(self.datasets[text] for text in dict.fromkeys(task.inputs) if text in self.datasets)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The tasks, each after those that it reads from.

        Raises:
            InputError: there is a circle.
        """
        waiting = {
            task.name: {edge.source for edge in self.edges if edge.target == task.name} for task in self.tasks
        }
        order: list[str] = []
        while waiting:
            ready = [name for name, before in waiting.items() if not before]
            if not ready:
                raise InputError(f"job {self.name}: the tasks wait for each other: {_circle(waiting)}")
            for name in ready:
                del waiting[name]
            order += ready
            for before in waiting.values():
                before.difference_update(ready)
        return tuple(order)

    def _source(self, task: Task, text: str) -> tuple[str | None, Output | None]:
        """The task and the output that an input names; None for a data item."""
        if text in self.datasets:
            return None, None
        name, point, output = text.partition(".")
        made = {f"{one.name}.{key}" for one in self.tasks for key in one.outputs}
        if not point or text not in made:
            raise InputError(
                f"task {task.name}: there is no input {text!r}, neither a dataset nor task.output"
                f"{closest(text, [*self.datasets, *made]) if self.datasets or made else ''}"
            )
        return name, next(one for one in self.tasks if one.name == name).outputs[output]


def _common(outputs: list[Output]) -> frozenset[str] | None:
    """Where data of several kinds may all be; an empty set, which allows nothing, where they have nothing in common."""
    found: frozenset[str] | None = None
    for output in outputs:
        if output.residency is not None:
            found = output.residency if found is None else found & output.residency
    return found


def _circle(waiting: Mapping[str, set[str]]) -> str:
    """One circle among tasks that all wait for another: go back until a name comes again."""
    path = [next(iter(waiting))]
    while True:
        before = next(name for name in sorted(waiting[path[-1]]))
        if before in path:
            return " -> ".join([before, *reversed(path[path.index(before) :])])
        path.append(before)


def _check_gb(gb: float) -> None:
    if not 0 <= gb < math.inf:
        raise InputError(f"a size of {gb} GB; 0 or more was expected")
