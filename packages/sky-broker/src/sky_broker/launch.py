"""Launch a plan on real clouds through SkyPilot's Python API: a cluster for each task, pinned to what the plan chose.

    launch(plan)             # a dry run: SkyPilot looks at every task and rents nothing
    launch(plan, pay=80)     # rents, if the plan comes to $80 or less

SkyPilot has nothing left to choose: what it has understood of each task is compared with the plan before anything is sent. It moves no data between
tasks; commands have to bring what they read, or name buckets.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from offprints.errors import InputError

from sky_broker.plan import Placement, Plan
from sky_broker.skypilot import task_document

_LOG = logging.getLogger(__name__)
_LOOKS = 5  # that may fail in a row before a task is given up: a network that fails for a minute is no reason to lose its work


class LaunchFailed(InputError):
    """SkyPilot refused a task, or a task ended with an error of its own."""


@dataclass(frozen=True)
class Launched:
    """What became of one task.

    Attributes:
        task: its name.
        cluster: that SkyPilot runs it on.
        status: "checked" after a dry run, else "SUCCEEDED".
    """

    task: str
    cluster: str
    status: str


def dag_of(plan: Plan) -> Any:
    """A plan as a sky.Dag: a sky.Task for each task, with resources that leave nothing open, and an edge for each input.

    Args:
        plan: to write.

    Raises:
        InputError: SkyPilot is not installed.
        LaunchFailed: SkyPilot's own catalog does not have a machine of the plan, or it reads a task otherwise than it is planned.
    """
    sky = _library()
    dag = sky.Dag()
    dag.name = plan.job.name
    tasks = {}
    for one in plan.placements:
        try:
            task = sky.Task.from_yaml_config(task_document(plan.job.by_name[one.task], one))
            wrong = _differences(one, task)
        except ValueError as error:
            raise LaunchFailed(f"SkyPilot does not take task {one.task}: {error}") from error
        if wrong:
            raise LaunchFailed(
                f"SkyPilot reads task {one.task} otherwise than it is planned: {', '.join(wrong)}"
            )
        tasks[one.task] = task
        dag.add(task)
    for edge in plan.job.edges:
        dag.add_edge(tasks[edge.source], tasks[edge.target])
    return dag


def launch(
    plan: Plan,
    pay: float | None = None,
    idle_minutes: int = 10,
    wait_seconds: float = 20.0,
    tick: Callable[[list[Launched]], None] | None = None,
) -> list[Launched]:
    """Launch the tasks of a plan, each as soon as all that it reads from has succeeded, and take every cluster down again.

    Args:
        plan: to launch.
        pay: $ that you agree to spend; None is a dry run, which spends nothing. It is compared with what the plan comes to before
            the first machine is rented, and is no limit that a cloud knows of.
        idle_minutes: after so long without work a cluster takes itself down, in case that this process does not live to do it.
        wait_seconds: between two looks at what runs.
        tick: called with all tasks that have ended, whenever there is one more.

    Returns:
        The tasks, in the order in which they ended.

    Raises:
        InputError: SkyPilot is not installed, the plan comes to more than `pay`, or a number is not positive.
        LaunchFailed: SkyPilot refused a task or it failed; the clusters of this launch are taken down.
    """
    if pay is not None and not plan.cost <= pay:
        raise InputError(
            f"the plan comes to ${plan.cost:,.2f}, which is more than pay={pay:g}; nothing was launched"
        )
    if idle_minutes < 1 or not wait_seconds > 0:
        raise InputError(
            f"idle_minutes={idle_minutes} and wait_seconds={wait_seconds:g}; 1 or more, and above 0"
        )
    tasks = {task.name: task for task in dag_of(plan).tasks}
    clusters = _clusters(plan)
    tick = tick or (lambda ended: None)
    if pay is None:
        checked: list[Launched] = []
        for name, task in tasks.items():
            with _said(name) as sky:
                sky.get(sky.launch(task, clusters[name], dryrun=True))
            checked.append(Launched(name, clusters[name], "checked"))
            tick(checked)
        return checked
    return _Launch(plan, tasks, clusters, idle_minutes).run(wait_seconds, tick)


class _Launch:
    """The tasks of a plan on their clusters."""

    def __init__(
        self, plan: Plan, tasks: dict[str, Any], clusters: dict[str, str], idle_minutes: int
    ) -> None:
        self.tasks, self.clusters, self.idle_minutes = tasks, clusters, idle_minutes
        self.before = {
            name: {edge.source for edge in plan.job.edges if edge.target == name} for name in tasks
        }
        self.waiting = list(tasks)
        self.running: dict[str, int] = {}  # task -> SkyPilot's number of its job
        self.unanswered: Counter[str] = Counter()  # task -> looks in a row that got no answer
        self.ended: list[Launched] = []
        self.up: list[str] = []  # tasks whose cluster may exist

    def run(self, wait_seconds: float, tick: Callable[[list[Launched]], None]) -> list[Launched]:
        try:
            while self.waiting or self.running:
                self._start_ready()
                if not self._look_after(tick):
                    time.sleep(wait_seconds)
        except BaseException as error:  # machines that nobody looks after cost money, whatever has happened
            if left := [self.clusters[name] for name in self.up if not self._taken_down(name)]:
                raise LaunchFailed(
                    f"{error}; could not take down {', '.join(left)}: look at `sky status` and run `sky down {' '.join(left)}`"
                ) from error
            raise
        return self.ended

    def _start_ready(self) -> None:
        done = {one.task for one in self.ended}
        ready = [name for name in self.waiting if self.before[name] <= done]
        requests = {}
        for name in ready:  # all of them before the first one is waited for: machines take minutes to come
            self.waiting.remove(name)
            self.up.append(name)
            with _said(name) as sky:
                requests[name] = sky.launch(
                    self.tasks[name],
                    self.clusters[name],
                    idle_minutes_to_autostop=self.idle_minutes,
                    down=True,
                )
        for name, request in requests.items():
            with _said(name) as sky:
                self.running[name], _ = sky.get(request)

    def _look_after(self, tick: Callable[[list[Launched]], None]) -> bool:
        """Whether a task has ended since the last look."""
        before = len(self.ended)
        for name, number in list(self.running.items()):
            cluster = self.clusters[name]
            try:
                with _said(name) as sky:
                    status = sky.get(sky.job_status(cluster, [number]))[number]
            except LaunchFailed:
                self.unanswered[name] += 1
                if self.unanswered[name] >= _LOOKS:
                    raise
                continue
            del self.unanswered[name]
            if status is None or not status.is_terminal():
                continue
            if status.value != "SUCCEEDED":
                raise LaunchFailed(f"task {name} ended as {status.value} on {cluster}")
            del self.running[name]
            self.ended.append(Launched(name, cluster, status.value))
            tick(self.ended)
            if self._taken_down(name):
                self.up.remove(name)
        return len(self.ended) > before

    def _taken_down(self, name: str) -> bool:
        """Whether the cluster of a task is known to be gone."""
        try:
            with _said(name) as sky:
                sky.get(sky.down(self.clusters[name]))
        except LaunchFailed as error:
            if not isinstance(error.__cause__, sky.exceptions.ClusterDoesNotExist):
                _LOG.warning("%s could not be taken down: %s", self.clusters[name], error)
                return False
            # It was never made, or has taken itself down.
        return True


def _library() -> Any:
    try:
        return import_module("sky")
    except ImportError as error:
        raise InputError(
            "launching needs SkyPilot: python -m pip install 'offprints-sky-broker[skypilot]', and SkyPilot's own extra of each "
            "cloud, such as skypilot[aws,gcp]"
        ) from error


@contextmanager
def _said(task: str) -> Iterator[Any]:
    """SkyPilot, whose errors of any kind become one that names the task: they come from its server and from clouds."""
    sky = _library()
    try:
        yield sky
    except Exception as error:
        raise LaunchFailed(f"SkyPilot could not do task {task}: {type(error).__name__}: {error}") from error


def _differences(one: Placement, task: Any) -> list[str]:
    """What SkyPilot reads in a task that is not what was planned, in words."""
    read = list(task.resources)
    if len(read) != 1:
        return [f"{len(read)} kinds of resources instead of 1"]
    found, offer = read[0], one.offer
    cloud, _, region = offer.location.partition(":")
    pairs = {
        "cloud": (str(found.cloud).lower(), cloud),
        "region": (found.region, region),
        "zone": (found.zone, offer.zone or None),
        "instance type": (found.instance_type, offer.instance_type),
        "accelerators": (found.accelerators, {offer.accelerator: offer.count} if offer.accelerator else None),
        "spot": (found.use_spot, offer.spot),
        "nodes": (task.num_nodes, one.nodes),
    }
    return [
        f"{what} {read} instead of {planned}" for what, (read, planned) in pairs.items() if read != planned
    ]


def _clusters(plan: Plan) -> dict[str, str]:
    """Task -> a name for its cluster, as clouds allow them, that no other launch has."""
    tag = uuid.uuid4().hex[:6]
    return {
        one.task: re.sub(r"[^a-z0-9]+", "-", f"sky-{tag}-{number}-{one.task.lower()}")[:40].rstrip("-")
        for number, one in enumerate(plan.placements)
    }
