"""Kill a training run with SIGKILL at random moments, resume it each time, and hold it to an unbroken run.

    python kill_resume.py --kills 20 -- conve experiment=umls
    python kill_resume.py --kills 20 -- python -m conve dataset=nations trainer.epochs=30

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

from offprints.metrics import read_metrics
from offprints.results import read_result

log = logging.getLogger("kill_resume")


class Broken(AssertionError):
    """A run directory, or a resumed run, is not as it has to be."""


@dataclass(frozen=True)
class Timing:
    """Seconds that the unbroken run took to begin (its first metric) and in all."""

    begin: float
    total: float


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    parser.add_argument("command", nargs="+", help="after --, the command line")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        try:
            kill_and_resume(options.command, folder, options.kills, random.Random(options.seed))
        except Broken as problem:
            log.error("BROKEN: %s", problem)
            return 1
    log.info(
        "%d kills: every directory readable, no saved work lost, the same numbers at the end", options.kills
    )
    return 0


def kill_and_resume(command: list[str], folder: Path, kills: int, moments: random.Random) -> None:
    """Do the whole trial in `folder`.

    Raises:
        Broken: at the first thing that is wrong.
    """
    unbroken = folder / "unbroken"
    timing = _unbroken(command, unbroken, folder / "unbroken.log")
    log.info("unbroken run: %.1f s, of which %.1f s before its first metric", timing.total, timing.begin)
    done, attempt = 0, 0
    while done < kills:
        attempt += 1
        directory = folder / f"killed-{attempt}"
        finished = False
        while not finished:
            kept = _kept(directory)
            delay = _moment(timing, moments) if done < kills else None
            finished = _run(command, directory, delay, folder / f"killed-{attempt}.log")
            check_readable(directory)
            _require_kept(directory, kept)
            if not finished:
                done += 1
                log.info(
                    "kill %d after %.2f s, last checkpoint at step %d",
                    done,
                    delay or 0,
                    _saved_step(directory),
                )
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


def _unbroken(command: list[str], directory: Path, output: Path) -> Timing:
    start = time.monotonic()
    begin = 0.0
    process = _start(command, directory, output)
    while process.poll() is None:
        if not begin and (directory / "metrics.csv").exists():
            begin = time.monotonic() - start
        time.sleep(0.01)
    if process.returncode != 0 or not begin:
        raise Broken(
            f"the unbroken run failed or logged no metrics (status {process.returncode}); see {output}:\n"
            f"{output.read_text()[-2000:]}"
        )
    return Timing(begin, time.monotonic() - start)


def _run(command: list[str], directory: Path, delay: float | None, output: Path) -> bool:
    """Start or resume, kill after `delay` seconds; returns whether it came to its end before."""
    process = _start(command, directory, output)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    if process.returncode != 0:
        raise Broken(
            f"a resumed run ended with status {process.returncode}; see {output}:\n{output.read_text()[-2000:]}"
        )
    return True


def _start(command: list[str], directory: Path, output: Path) -> subprocess.Popen[bytes]:
    # Killed before it stored its options, a directory holds no run yet, and the command is given again.
    begun = (directory / "overrides.yaml").exists()
    where = [*_program(command), f"resume={directory}"] if begun else [*command, f"hydra.run.dir={directory}"]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as file:
        return subprocess.Popen(where, stdout=file, stderr=file, start_new_session=True)


def _program(command: list[str]) -> list[str]:
    """The command without its options key=value: a resumed run has to know them itself."""
    return [word for word in command if "=" not in word]


def _moment(timing: Timing, moments: random.Random) -> float:
    """Mostly while it trains and saves, now and then while it starts up; a third of the training at most, to get on."""
    if moments.random() < 0.2:
        return moments.uniform(0, timing.begin)
    return timing.begin + moments.uniform(0, (timing.total - timing.begin) / 3)


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
