"""Kill a training run with SIGKILL at random moments, resume it each time, and hold it to an unbroken run.

    python kill_resume.py --kills 20 -- conve experiment=umls
    python kill_resume.py --kills 20 -- python -m conve dataset=nations training.epochs=30

With --fork every process is a fork of this one, which has imported torch: the same trial without the seconds of each import.

The command line is one that trains, saves checkpoints and resumes with resume=<run directory>. After every kill the run
directory has to be readable, and what the last checkpoint held has to stay: the rows of metrics.csv up to its step are the same,
to the byte and to the millisecond, after the run was resumed, which they would not be if the work were done again. At the end
the metrics of results.json, and every row of metrics.csv but its time, are those of the unbroken run.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from processes import Fork

from offprints.metrics import read_metrics
from offprints.results import read_result

log = logging.getLogger("kill_resume")


class Broken(AssertionError):
    """A run directory, or a resumed run, is not as it has to be."""


@dataclass(frozen=True)
class Program:
    """A command line that trains, and whether it is started as a fork."""

    command: list[str]
    fork: bool = False

    def start(self, directory: Path, output: Path) -> subprocess.Popen[bytes] | Fork:
        """Begin a run in `directory`, or go on with the one that it holds."""
        # Killed before it stored its options, a directory holds no run yet, and the command is given again. A resumed run gets
        # no other option: it has to know them itself.
        if (directory / "overrides.yaml").exists():
            words = [*(word for word in self.command if "=" not in word), f"resume={directory}"]
        else:
            words = [*self.command, f"hydra.run.dir={directory}"]
        output.parent.mkdir(parents=True, exist_ok=True)
        if self.fork:
            return Fork(words, output)
        with output.open("ab") as file:
            return subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)


@dataclass(frozen=True)
class Timing:
    """What the unbroken run took: seconds until its first metric, seconds of a row of metrics.csv, and how many rows."""

    begin: float
    row: float
    rows: int


@dataclass(frozen=True)
class Moment:
    """When to kill: `delay` seconds after so many more rows of metrics.csv were written.

    Rows and not seconds alone: a machine that is slower or faster than it was in the unbroken run would else be killed before
    it trains, or after it ended.
    """

    rows: int
    delay: float


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    parser.add_argument("--fork", action="store_true", help="start it as a fork of this process")
    parser.add_argument("command", nargs="+", help="after --, the command line")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        try:
            program = Program(options.command, options.fork)
            kill_and_resume(program, folder, options.kills, random.Random(options.seed))
        except Broken as problem:
            log.error("BROKEN: %s", problem)
            return 1
    log.info(
        "%d kills: every directory readable, no saved work lost, the same numbers at the end", options.kills
    )
    return 0


def kill_and_resume(program: Program, folder: Path, kills: int, moments: random.Random) -> None:
    """Do the whole trial in `folder`.

    Raises:
        Broken: at the first thing that is wrong.
    """
    unbroken = folder / "unbroken"
    timing = _unbroken(program, unbroken, folder / "unbroken.log")
    log.info("unbroken run: %d rows, the first after %.1f s", timing.rows, timing.begin)
    done, attempt = 0, 0
    while done < kills:
        attempt += 1
        directory = folder / f"killed-{attempt}"
        finished = False
        while not finished:
            kept = _kept(directory)
            moment = _moment(timing, moments) if done < kills else None
            finished = _run(program, directory, moment, folder / f"killed-{attempt}.log")
            check_readable(directory)
            _require_kept(directory, kept)
            if not finished:
                done += 1
                log.info("kill %d, last checkpoint at step %d", done, _saved_step(directory))
        _require_same(directory, unbroken)


def check_readable(directory: Path) -> None:
    """Everything in a run directory is absent or whole.

    Raises:
        Broken: something is not; names it.
    """
    try:
        for name in ("config.yaml", "overrides.yaml"):
            if (directory / name).exists() and yaml.safe_load((directory / name).read_text()) is None:
                raise Broken(f"{directory / name} is empty")
        if (directory / "metrics.csv").exists():
            _, rows = read_metrics(directory / "metrics.csv")
            steps = [int(row["step"]) for row in rows]
            if steps != sorted(set(steps)):
                raise Broken(f"{directory / 'metrics.csv'} has a step twice or out of order: {steps}")
        for checkpoint in directory.glob("checkpoints/*.ckpt"):
            with zipfile.ZipFile(checkpoint) as archive:
                if archive.testzip() is not None:
                    raise Broken(f"{checkpoint} is damaged")
        if (directory / "results.json").exists():
            read_result(directory / "results.json")
    except (ValueError, KeyError, OSError, yaml.YAMLError, zipfile.BadZipFile) as error:
        raise Broken(f"{directory} is not readable: {error!r}") from error


def _unbroken(program: Program, directory: Path, output: Path) -> Timing:
    process = program.start(directory, output)
    start = time.monotonic()
    begin = 0.0
    while process.poll() is None:
        if not begin and _rows(directory):
            begin = time.monotonic() - start
        time.sleep(0.01)
    if process.returncode != 0 or not begin:
        raise Broken(
            f"the unbroken run failed or logged no metrics (status {process.returncode}); see {output}:\n"
            f"{output.read_text()[-2000:]}"
        )
    rows = _rows(directory)
    return Timing(begin, (time.monotonic() - start - begin) / rows, rows)


def _run(program: Program, directory: Path, moment: Moment | None, output: Path) -> bool:
    """Start or resume, and kill at the moment; returns whether it came to its end before."""
    until = len(_kept(directory)) + moment.rows if moment is not None else 0
    process = program.start(directory, output)
    if moment is not None:
        while process.poll() is None and _rows(directory) < until:
            time.sleep(0.01)
    try:
        process.wait(None if moment is None else moment.delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    if process.returncode != 0:
        raise Broken(
            f"a resumed run ended with status {process.returncode}; see {output}:\n{output.read_text()[-2000:]}"
        )
    return True


def _moment(timing: Timing, moments: random.Random) -> Moment:
    """Mostly while it trains and saves, now and then while it starts up; a third of the training at most, to get on."""
    if moments.random() < 0.2:
        return Moment(0, moments.uniform(0, timing.begin))
    return Moment(moments.randint(1, max(1, timing.rows // 3)), moments.uniform(0, timing.row))


def _rows(directory: Path) -> int:
    """Rows of metrics.csv."""
    path = directory / "metrics.csv"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def _saved_step(directory: Path) -> int:
    last = directory / "checkpoints" / "last.ckpt"
    return int(torch.load(last, weights_only=True)["step"]) if last.exists() else -1


def _kept(directory: Path) -> list[dict[str, str]]:
    """The rows that the last checkpoint stands for."""
    if not (directory / "metrics.csv").exists():
        return []
    saved = _saved_step(directory)
    return [row for row in read_metrics(directory / "metrics.csv")[1] if int(row["step"]) <= saved]


def _require_kept(directory: Path, kept: list[dict[str, str]]) -> None:
    rows = {row["step"]: row for row in read_metrics(directory / "metrics.csv")[1]} if kept else {}
    for row in kept:
        now = {name: text for name, text in rows.get(row["step"], {}).items() if text or name in row}
        if now != row:
            raise Broken(f"{directory}: step {row['step']} was saved and then done again: {row} became {now}")


def _require_same(directory: Path, unbroken: Path) -> None:
    ours, theirs = (
        json.loads((folder / "results.json").read_text())["metrics"] for folder in (directory, unbroken)
    )
    if ours != theirs:
        raise Broken(f"{directory}: the metrics at the end are {ours}, of the unbroken run {theirs}")
    for mine, right in zip(_timeless(directory), _timeless(unbroken), strict=True):
        if mine != right:
            raise Broken(f"{directory}: metrics.csv has {mine} where the unbroken run has {right}")


def _timeless(directory: Path) -> list[dict[str, str]]:
    """Rows without their time; metrics whose name speaks of time or speed are no result either."""
    rows = read_metrics(directory / "metrics.csv")[1]
    return [{name: text for name, text in row.items() if "second" not in name} for row in rows]


if __name__ == "__main__":
    sys.exit(main())
