"""The task `kills`: brokers that are killed at random points, started again on the same state, and held to having ended each task once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from offprints.app import Results, Run

from sky_broker.broker import Broker
from sky_broker.config import Config
from sky_broker.engine import LocalEngine
from sky_broker.job import DataItem, Job, Output, Resources, Task, TimeSpec
from sky_broker.model import Sky
from sky_broker.state import RunState

TASKS = ("split", "left", "right", "join", "report")
_WORK = 'cat "$SKY_INPUTS"/* | sha256sum > "$SKY_OUTPUTS/out"; sleep 0.0{pause}; echo {name} >> "{log}"'


def job_that_counts(log: Path) -> Job:
    """Five tasks, each of which reads what it is given, and writes a line to a file outside when it ends.

    Args:
        log: the file.
    """
    inputs = {
        "split": ("raw",),
        "left": ("split.out",),
        "right": ("split.out",),
        "join": ("left.out", "right.out"),
        "report": ("join.out",),
    }
    tasks = tuple(
        Task(
            name,
            (Resources(cpus="4+"),),
            TimeSpec.fixed(1.0),
            inputs=inputs[name],
            outputs={"out": Output(20.0)},
            run=_WORK.format(pause=number + 3, name=name, log=log),
        )
        for number, name in enumerate(TASKS)
    )
    return Job("counted", tasks, {"raw": DataItem("azure:eastus", 200.0)})


def carry(folder: str) -> None:
    """Run that job in a folder, from wherever an earlier broker left it."""
    root = Path(folder)
    with Broker(
        job_that_counts(root / "ended.log"),
        Sky.embedded(),
        LocalEngine(root / "regions"),
        root / "run.sqlite",
        root / "stores",
        stand_in=1 << 20,
    ) as broker:
        broker.run()


def kill_and_resume(folder: Path, rng: random.Random, longest: float, growth: float = 1.15) -> int:
    """Start brokers on one state and kill each after a random time, until one comes to the end.

    Args:
        folder: of the run.
        rng: that chooses the times.
        longest: seconds until the first kill, at most.
        growth: so many times as long after each, so that a run ends.

    Returns:
        How many were killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    folder.mkdir(parents=True, exist_ok=True)
    kills = 0
    while True:
        broker = context.Process(target=carry, args=(str(folder),))
        broker.start()
        broker.join(rng.uniform(0.0, longest * growth**kills))
        if broker.exitcode is None and broker.pid is not None:
            os.kill(broker.pid, signal.SIGKILL)
            broker.join()
        if broker.exitcode == 0:
            return kills
        if broker.exitcode != -signal.SIGKILL:
            raise RuntimeError(f"a broker ended with {broker.exitcode} by itself")
        kills += 1


def faults_of(folder: Path) -> list[str]:
    """What is wrong with a run that came to its end: tasks that did not end once, by the file outside and by the state."""
    counted = Counter((folder / "ended.log").read_text(encoding="utf-8").split())
    with RunState(folder / "run.sqlite") as state:
        done = Counter(one.task for one in state.attempts() if one.status == "done")
        objects = state.objects()
    wrong = [f"{name} ended {counted[name]} times" for name in TASKS if counted[name] != 1]
    wrong += [f"{name} is done {done[name]} times by the state" for name in TASKS if done[name] != 1]
    return wrong + [f"{name}.out is missing" for name in TASKS if f"{name}.out" not in objects]


def kills_task(config: Config, run: Run) -> Results:
    """Kill brokers at random points, start them again, and count how often each task ended."""
    options, rng = config.kills, random.Random(config.seed)
    kills, runs, wrong = 0, 0, []
    started = time.monotonic()
    with run.progress(options.kills, "kills") as bar:
        while kills < options.kills:
            folder = run.directory / f"run-{runs}"
            survived = kill_and_resume(folder, rng, options.longest)
            wrong += [f"run {runs}: {fault}" for fault in faults_of(folder)]
            kills, runs = kills + survived, runs + 1
            bar.advance(min(survived, options.kills), {"wrong": float(len(wrong))})
    for fault in wrong:
        run.log.error("%s", fault)
    return Results(
        {
            "test/kills_survived": float(kills if not wrong else 0),
            "test/kills": float(kills),
            "test/runs": float(runs),
            "test/tasks_not_once": float(len(wrong)),
            "run/seconds": time.monotonic() - started,
        },
        {"faults": wrong},
    )
