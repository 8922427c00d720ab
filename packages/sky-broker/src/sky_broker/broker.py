"""Carry a plan out: move data, run tasks, retry, and place what is left anew when a place fails.

    with Broker(job, sky, LocalEngine("regions"), "run.sqlite", "stores") as broker:
        broker.run()

Every step is written down before or after it is taken, so that a broker that is killed at any point can be started again on the same state and
comes to the same end: a task that has ended is never run again, one that runs is taken over, and copies go on where they stopped. A
task's outputs get their names and checksums, and the task its end, in one transaction.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from offprints.errors import InputError

from sky_broker.catalog import Offer
from sky_broker.engine import CapacityRefused, Engine, Report
from sky_broker.job import Job, Task
from sky_broker.model import Sky
from sky_broker.optimize import optimize
from sky_broker.plan import Plan
from sky_broker.replan import replan
from sky_broker.state import Attempt, RunState, StoredObject
from sky_broker.stores import Store

_TICK = 0.01


class TaskFailed(InputError):
    """A task ended with an error of its own, again and again."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How often and after how long to try again.

    Attributes:
        refusals: so many failures of a place bar it, and what is left is placed anew.
        errors: so many errors of a task's own end the run.
        first: seconds before the second try; twice as long before each one after.
        longest: seconds at most.
    """

    refusals: int = 2
    errors: int = 3
    first: float = 0.05
    longest: float = 5.0

    def wait(self, failures: int, rng: random.Random) -> float:
        """Seconds before the next try, a random share of them so that many do not come back at once."""
        return min(self.longest, self.first * 2.0 ** max(0, failures - 1)) * rng.uniform(0.5, 1.0)


class Broker:
    """One run of a job.

    Args:
        job: to run.
        sky: to choose from.
        engine: that runs tasks.
        state: SQLite file of the run; a run that is there goes on.
        stores: folder with a store for each location, or a function of the location.
        patience: with failures.
        stand_in: bytes that stand in for each dataset, as local runs do not have its gigabytes.
        seed: of the waits.

    Raises:
        StateLocked: another broker works on this state.
        InputError: the state is of another job.
    """

    def __init__(
        self,
        job: Job,
        sky: Sky,
        engine: Engine,
        state: str | Path,
        stores: str | Path | Callable[[str], Store],
        patience: Patience | None = None,
        stand_in: int = 4096,
        seed: int = 0,
    ) -> None:
        self.job, self.sky, self.engine = job, sky, engine
        self.patience = patience or Patience()
        self.state = RunState(state)
        self._make = stores if callable(stores) else _folders(Path(stores))
        self._stores: dict[str, Store] = {}
        self._stand_in, self._rng = stand_in, random.Random(seed)
        self._not_before: dict[str, float] = {}
        try:
            self._open()
        except BaseException:
            self.state.close()
            raise

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *error: object) -> None:
        self.state.close()

    @property
    def plan(self) -> Plan:
        """The plan as it stands, with what has run fixed."""
        return replan(self.job, self.sky, self._fixed(("done", "running")), self.state.blocked())

    def run(self, tick: Callable[[dict[str, str]], None] | None = None) -> dict[str, StoredObject]:
        """Run until all tasks are done.

        Args:
            tick: called now and then with the status of each task.

        Returns:
            Name -> the data that the stores hold.

        Raises:
            NoPlan: a place failed and what is left cannot be placed elsewhere.
            TaskFailed: a task ended with errors of its own.
            CorruptObject: data are not what was put there.
            Residency: data would have to go where they must not be.
        """
        while True:
            tasks = self.state.tasks()
            statuses = {name: status for name, (status, _, _) in tasks.items()}
            if tick is not None:
                tick(statuses)
            if all(status == "done" for status in statuses.values()):
                return self.state.objects()
            moved = False
            for name in self.job.order:
                if statuses[name] == "running":
                    moved |= self._look_after(name)
                elif statuses[name] == "waiting" and self._ready(name, statuses):
                    moved |= self._start(name)
            if not moved:
                time.sleep(_TICK)

    def _open(self) -> None:
        mark = _mark(self.job)
        known = self.state.get("job")
        if known is None:
            plan = optimize(self.job, self.sky)
            self._bring_datasets()
            with self.state.transaction():
                self.state.put("job", mark)
                self.state.place(_offers(plan))
                self.state.event("planned", "", f"${plan.cost:.2f}")
        elif known != mark:
            raise InputError(f"{self.state.path} is the state of another job than {self.job.name}")

    def _bring_datasets(self) -> None:
        for name, item in self.job.datasets.items():
            content = hashlib.sha256(name.encode()).digest() * (self._stand_in // 32)
            if self._store(item.location).size(name) is None:
                self._store(item.location).put(name, content)
            stored = StoredObject(name, item.location, hashlib.sha256(content).hexdigest(), len(content))
            self.state.add_object(stored)

    def _ready(self, name: str, statuses: dict[str, str]) -> bool:
        before = [edge.source for edge in self.job.edges if edge.target == name]
        waits = self._not_before.get(name, 0.0) > time.monotonic()
        return not waits and all(statuses[one] == "done" for one in before)

    def _start(self, name: str) -> bool:
        task, offer = self.job.by_name[name], self._offer(name)
        self._bring_inputs(task, offer.location)
        key = f"{name}-{len(self.state.attempts(name)) + 1}"
        with self.state.transaction():
            self.state.begin(Attempt(key, name, offer.location, "begun"))
            self.state.set_status(name, "running")
        folder = self.engine.folder(key)
        environment = {
            **task.envs,
            "SKY_LOCATION": offer.location,
            "SKY_TASK": name,
            "SKY_INPUTS": str(folder / "inputs"),
            "SKY_OUTPUTS": str(folder / "outputs"),
        }
        self._lay_out(task, offer.location, folder)
        try:
            self.engine.start(key, name, offer.location, _script(task), environment)
        except CapacityRefused as refusal:
            self._failed(name, key, "refused", str(refusal))
        return True

    def _bring_inputs(self, task: Task, location: str) -> None:
        objects, there = self.state.objects(), self._store(location)
        for text in dict.fromkeys(task.inputs):
            stored = objects[text]
            if stored.location == location:
                continue
            moved = there.copy_from(self._store(stored.location), text, stored.sha256, self._residency(text))
            if moved:
                with self.state.transaction():
                    self.state.event("moved", task.name, f"{text} {stored.location} {location} {moved}")

    def _lay_out(self, task: Task, location: str, folder: Path) -> None:
        """Inputs as files in the attempt's folder; each is checked once more."""
        for part in ("inputs", "outputs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        objects, here = self.state.objects(), self._store(location)
        target = Store(location, str(folder / "inputs"))
        for text in dict.fromkeys(task.inputs):
            target.copy_from(here, text, objects[text].sha256, self._residency(text))

    def _look_after(self, name: str) -> bool:
        attempt = self.state.attempts(name)[-1]
        report: Report = self.engine.report(attempt.key)
        if report.status == "running":
            return False
        if report.status == "unstarted":  # a broker was killed before it could start it: nobody's fault
            with self.state.transaction():
                self.state.end(attempt.key, "unstarted")
                self.state.set_status(name, "waiting")
        elif report.status == "lost":
            self._failed(name, attempt.key, "lost", "its machine is gone")
        elif report.code:
            self._failed(name, attempt.key, "failed", f"exit code {report.code}: {report.error}")
        else:
            self._finish(name, attempt)
        return True

    def _finish(self, name: str, attempt: Attempt) -> None:
        """Put the outputs into the store of the place, and end the task, once."""
        store, stored = self._store(attempt.location), []
        for output in self.job.by_name[name].outputs:
            path = self.engine.folder(attempt.key) / "outputs" / output
            if not path.is_file():
                self._failed(name, attempt.key, "failed", f"it did not write $SKY_OUTPUTS/{output}")
                return
            content = path.read_bytes()
            object_name = f"{name}.{output}"
            store.put(object_name, content)
            digest = hashlib.sha256(content).hexdigest()
            stored.append(StoredObject(object_name, attempt.location, digest, len(content)))
        with self.state.transaction():
            for one in stored:
                self.state.add_object(one)
            self.state.end(attempt.key, "done")
            self.state.set_status(name, "done")
            self.state.event("done", name, attempt.key)

    def _failed(self, name: str, key: str, how: str, why: str) -> None:
        """Note it, and wait, bar the place or give up."""
        location = self._offer(name).location
        with self.state.transaction():
            self.state.end(key, how, why)
            self.state.set_status(name, "waiting")
            self.state.event(how, name, f"{location}: {why}")
        attempts = self.state.attempts(name)
        if how == "failed":
            errors = sum(one.status == "failed" for one in attempts)
            if errors >= self.patience.errors:
                raise TaskFailed(f"task {name} failed {errors} times; the last time: {why}")
            self._not_before[name] = time.monotonic() + self.patience.wait(errors, self._rng)
            return
        refusals = sum(one.location == location and one.status in ("refused", "lost") for one in attempts)
        if refusals >= self.patience.refusals:
            self._fail_over(location, name, why)
        else:
            self._not_before[name] = time.monotonic() + self.patience.wait(refusals, self._rng)

    def _fail_over(self, location: str, name: str, why: str) -> None:
        """Bar a place and place anew what neither has run nor runs."""
        barred = [*self.state.blocked(), location]
        plan = replan(self.job, self.sky, self._fixed(("done", "running")), barred)
        moved = [
            f"{one.task} to {one.offer.location}"
            for one in plan.placements
            if one.offer.location != self._offer(one.task).location
        ]
        with self.state.transaction():
            self.state.block(location, why)
            self.state.place(_offers(plan))
            self.state.event("failed over", name, f"{location} barred; {', '.join(moved)}")

    def _fixed(self, settled: tuple[str, ...]) -> dict[str, Offer]:
        return {
            name: kept_offer(offer, self.state.path)
            for name, (status, offer, _) in self.state.tasks().items()
            if status in settled
        }

    def _offer(self, name: str) -> Offer:
        return kept_offer(self.state.tasks()[name][1], self.state.path)

    def _residency(self, text: str) -> frozenset[str] | None:
        if text in self.job.datasets:
            return self.job.datasets[text].residency
        name, _, output = text.partition(".")
        return self.job.by_name[name].outputs[output].residency

    def _store(self, location: str) -> Store:
        if location not in self._stores:
            self._stores[location] = self._make(location)
        return self._stores[location]


def _folders(root: Path) -> Callable[[str], Store]:
    return lambda location: Store(location, str(root / location.replace(":", "_").replace("/", "_")))


def _mark(job: Job) -> str:
    """What tells one job from another."""
    tasks = [
        [
            task.name,
            task.run,
            task.setup,
            task.nodes,
            list(task.inputs),
            sorted((k, o.gb) for k, o in task.outputs.items()),
        ]
        for task in job.tasks
    ]
    data = sorted((name, item.location, item.gb) for name, item in job.datasets.items())
    return hashlib.sha256(json.dumps([job.name, tasks, data]).encode()).hexdigest()


def kept_offer(kept: Mapping[str, Any], path: Path) -> Offer:
    """The offer that a state keeps.

    Args:
        kept: its fields.
        path: of the state, for messages.

    Raises:
        InputError: a field is missing or of another kind.
    """
    whole = kept.keys() == _OFFER.keys()
    if not whole or not all(isinstance(kept[name], kind) for name, kind in _OFFER.items()):
        raise InputError(f"{path} is damaged: {dict(kept)} is no offer")
    return Offer(**kept)


_OFFER: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("location", "zone", "instance_type", "accelerator"), str),
    **dict.fromkeys(("count", "vcpus", "memory_gib", "usd_per_hour"), (int, float)),
    "spot": bool,
}
"""The fields of an offer in JSON."""


def _offers(plan: Plan) -> dict[str, tuple[str, float]]:
    return {one.task: (json.dumps(_plain(one.offer)), one.hours) for one in plan.placements}


def _plain(offer: Offer) -> dict[str, Any]:
    return dataclasses.asdict(offer)


def _script(task: Task) -> str:
    """Setup and run; without either, each output is a file that says so."""
    lines = [part for part in (task.setup, task.run) if part]
    if not task.run:
        lines += [f'echo "{task.name} ran" > "$SKY_OUTPUTS/{output}"' for output in task.outputs]
    return "set -e\n" + "\n".join(lines) + "\n"
