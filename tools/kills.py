"""Kill a package's main job with SIGKILL again and again, resume it each time, and hold it to an unbroken run.

    python tools/kills.py conve -- experiment=smoke training.save_every=0
    python tools/kills.py conve --kills 100 --by-script 10 --seed 0 --record docs/kills.json -- experiment=smoke
    python tools/kills.py demo_app -- steps=15 pause=0.05      a package with a __main__, without a console script

A run is killed at a random moment: anywhere in its length, soon after it was started, or within some milliseconds of a change in
its run directory, which is where writes are. After every kill each file of the directory has to be whole. The run is then resumed,
and killed again, until it ends before its moment comes or has been killed `CHAIN` times and is let go. Its metrics and details,
every row of metrics.csv, and the files that it leaves then have to be those of the unbroken run, times apart; what its last
checkpoint held must not have been done again; and no write that was cut short may have left anything.

Most runs are forks of this process; `--by-script` of the kills hit the console script itself.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from offprints.atomic import write_text
from offprints.metrics import read_metrics

import whole
from program import Process, Program

log = logging.getLogger("kills")

CHAIN = (10, 20)
"""At least and at most so many kills before a run is let go; how many is drawn."""
PATIENCE = 30
"""A run that takes so many times as long as the unbroken one, and a minute more, hangs."""
STAGES = ("starting", "nothing saved yet", "work saved", "results written")
KEPT = ("*.ckpt", "*.sqlite", "cache")
"""What a run goes on from: checkpoints, the state of a broker, prepared scans and features."""


class Broken(Exception):
    """A run directory, or a resumed run, is not as it has to be."""


@dataclass(frozen=True)
class Moment:
    """When to kill: `delay` seconds after the run directory has changed `changes` times; 0 times is the start."""

    changes: int
    delay: float


@dataclass(frozen=True)
class Unbroken:
    """The run that was not killed.

    Attributes:
        directory: its run directory.
        seconds: how long it took.
        changes: how often its directory was seen to change.
    """

    directory: Path
    seconds: float
    changes: int

    def moment(self, moments: random.Random) -> Moment:
        """A quarter anywhere in the run's length; the others soon or just after a write, so that a run is killed many times."""
        kind = moments.random()
        if kind < 0.25:
            return Moment(0, moments.uniform(0, self.seconds))
        if kind < 0.6:
            return Moment(0, moments.uniform(0, 0.25 * self.seconds))
        return Moment(moments.randint(1, max(1, self.changes // 3)), moments.uniform(0, 0.003))


@dataclass
class Tally:
    """What came of it.

    Attributes:
        kills: that hit.
        during: stage -> kills in it.
        in_a_write: kills that left a temporary file.
        checked: times that a run directory was read.
        chains: runs that were killed, and resumed to their end.
        longest_chain: kills of the run that was killed most.
        seconds: in all.
        failures: what was not as it has to be.
    """

    kills: int = 0
    during: Counter[str] = field(default_factory=Counter)
    in_a_write: int = 0
    checked: int = 0
    chains: int = 0
    longest_chain: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        """All of it, for a person."""
        stages = ", ".join(f"{stage} {self.during[stage]}" for stage in STAGES)
        return (
            f"{self.kills} kills ({stages}; {self.in_a_write} in the middle of a write), {self.checked} directories read, "
            f"{self.chains} runs resumed to their end (up to {self.longest_chain} kills each), "
            f"{len(self.failures)} failures, {self.seconds:.0f} s"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 1 if anything was not as it has to be."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="After -- come the options of the job."
    )
    parser.add_argument("name", help="console script, or a package with a __main__")
    parser.add_argument("--kills", type=int, default=100, help="of forks")
    parser.add_argument("--by-script", type=int, default=0, help="kills of the console script")
    parser.add_argument(
        "--limit", type=float, default=math.inf, help="seconds after which no run is killed any more"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="keep the runs here; runs that failed are kept anyway")
    parser.add_argument(
        "--record", type=Path, help="JSON file to write the figures to, beside those of other packages"
    )
    asked, options = parser.parse_args(given[:cut]), given[cut + 1 :]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # One thread, so that the same numbers come again; no GPU, which a fork cannot use once its parent has.
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    program = Program(asked.name, options)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.folder or Path(temporary)).resolve()
        tallies = trial(program, folder, asked.kills, asked.by_script, asked.seed, asked.limit)
    for way, tally in tallies.items():
        for failure in tally.failures:
            log.error("BROKEN: %s", failure)
        log.info("%s, %s: %s", asked.name, way, tally.line())
    if asked.record is not None:
        record(asked.record, asked.name, asked.seed, options, tallies)
    return 1 if any(tally.failures for tally in tallies.values()) else 0


def trial(
    program: Program, folder: Path, kills: int, by_script: int, seed: int, limit: float = math.inf
) -> dict[str, Tally]:
    """Kill forks of a program, and its console script.

    Args:
        program: a forked one.
        folder: for the run directories.
        kills: of forks.
        by_script: kills of the console script.
        seed: of the moments.
        limit: seconds after which neither is killed any more.

    Returns:
        Way of starting -> what came of it.
    """
    tallies = {"fork": Tally()} if kills else {"script": Tally()}
    try:
        program.preload(unbroken(program, folder / "first").directory.with_suffix(".log"))
        reference = unbroken(program, folder / "unbroken")
        require_same(reference.directory, folder / "first")
        log.info("unbroken: %.2f s, %d changes of its directory", reference.seconds, reference.changes)
        if kills:
            tallies["fork"] = kill(program, folder / "forks", reference, kills, random.Random(seed), limit)
        if by_script:
            tallies["script"] = Tally()
            spawned = replace(program, forked=False)
            slower = unbroken(spawned, folder / "script")
            require_same(slower.directory, reference.directory)
            tallies["script"] = kill(
                spawned, folder / "scripts", slower, by_script, random.Random(seed), limit
            )
    except Broken as problem:
        list(tallies.values())[-1].failures.append(str(problem))
    return tallies


def kill(
    program: Program,
    folder: Path,
    reference: Unbroken,
    kills: int,
    moments: random.Random,
    limit: float = math.inf,
) -> Tally:
    """Begin runs, kill and resume them, until there were so many kills, or the time is up, and the last run has ended."""
    tally, begin = Tally(), time.monotonic()
    while tally.kills < kills and len(tally.failures) < 5 and time.monotonic() - begin < limit:
        directory = folder / f"run-{tally.chains + len(tally.failures) + 1}"
        try:
            _chain(
                program,
                directory,
                reference,
                min(kills - tally.kills, moments.randint(*CHAIN)),
                moments,
                tally,
                begin + limit,
            )
            tally.chains += 1
        except Broken as problem:
            tally.failures.append(str(problem))
        tally.seconds = time.monotonic() - begin
        log.info("%s", tally.line())
    return tally


def _chain(
    program: Program,
    directory: Path,
    reference: Unbroken,
    most: int,
    moments: random.Random,
    tally: Tally,
    until: float,
) -> None:
    """Kill and resume one run up to so many times, then let it end, and compare."""
    killed = 0
    while True:
        kept, left = kept_rows(directory), _cut_short(directory)
        moment = reference.moment(moments) if killed < most and time.monotonic() < until else None
        finished = _run(program, directory, moment, PATIENCE * reference.seconds + 60)
        tally.checked += 1
        if faults := whole.faults(directory, reference.directory):
            raise Broken("; ".join(faults))
        require_kept(directory, kept)
        if finished:
            break
        killed += 1
        tally.kills += 1
        tally.during[stage(directory)] += 1
        tally.in_a_write += bool(_cut_short(directory) - left)
        tally.longest_chain = max(tally.longest_chain, killed)
    require_same(directory, reference.directory)


def unbroken(program: Program, directory: Path) -> Unbroken:
    """Run a program to its end.

    Raises:
        Broken: it fails, or leaves something that is not whole.
    """
    process = program.start(directory, directory.with_suffix(".log"))
    begin, changes, seen = time.monotonic(), 0, _look(directory)
    while process.ended() is None:
        process.wait(0.005)
        now = _look(directory)
        changes, seen = changes + (now != seen), now
    seconds = time.monotonic() - begin
    _require_well(process, directory)
    if faults := whole.faults(directory):
        raise Broken("; ".join(faults))
    return Unbroken(directory, seconds, changes)


def _run(program: Program, directory: Path, moment: Moment | None, limit: float) -> bool:
    """Start or resume, and kill at the moment; returns whether it came to its end before."""
    process = program.start(directory, directory.with_suffix(".log"))
    if moment is None:
        if process.wait(limit) is None:
            process.kill()
            raise Broken(f"{directory}: the resumed run hangs; it was given {limit:.0f} s")
    else:
        end, seen = time.monotonic() + limit, _look(directory)
        changes = moment.changes
        while changes and process.wait(0.003) is None and time.monotonic() < end:
            now = _look(directory)
            changes, seen = changes - (now != seen), now
        process.wait(moment.delay)
        if process.kill() < 0:
            return False
    _require_well(process, directory)
    return True


def _require_well(process: Process, directory: Path) -> None:
    if process.ended() != 0:
        told = directory.with_suffix(".log").read_text(errors="replace")[-3000:]
        raise Broken(f"{directory}: the run ended with status {process.ended()}:\n{told}")
    if not (directory / "results.json").exists():
        raise Broken(f"{directory}: the run ended without results.json")


def _look(directory: Path) -> list[tuple[str, int, int]]:
    """What differs after a write: names, sizes and times of all files."""
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = f"{folder}/{name}"
            with suppress(FileNotFoundError):
                status = os.stat(path)  # noqa: PTH116 - a Path for each would cost more than the look
                found.append((path, status.st_size, status.st_mtime_ns))
    return found


def _cut_short(directory: Path) -> set[tuple[Path, int]]:
    """The temporary files of writes that a kill has hit, each with its time."""
    return {(path, path.stat().st_mtime_ns) for path in whole.temporary(directory)}


def stage(directory: Path) -> str:
    """How far a killed run had come: one of `STAGES`."""
    if (directory / "results.json").exists():
        return "results written"
    if any(any(directory.rglob(kept)) for kept in KEPT):
        return "work saved"
    return "nothing saved yet" if (directory / "overrides.yaml").exists() else "starting"


def kept_rows(directory: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv that the last checkpoint stands for: their work must not be done again."""
    last = directory / "checkpoints" / "last.ckpt"
    if not last.exists() or not (directory / "metrics.csv").exists():
        return []
    from offprints.checkpoint import load

    saved = load(last, kind=None).step
    return [row for row in read_metrics(directory / "metrics.csv")[1] if int(row["step"]) <= saved]


def require_kept(directory: Path, kept: Sequence[dict[str, str]]) -> None:
    """The rows are there as they were, to the millisecond.

    Raises:
        Broken: one is not.
    """
    rows = {row["step"]: row for row in read_metrics(directory / "metrics.csv")[1]} if kept else {}
    for row in kept:
        now = {name: text for name, text in rows.get(row["step"], {}).items() if text or name in row}
        if now != row:
            raise Broken(f"{directory}: step {row['step']} was saved and then done again: {row} became {now}")


def require_same(directory: Path, reference: Path) -> None:
    """Two finished runs have the same numbers, times apart, and files of the same names, and nothing is left of a write.

    Raises:
        Broken: they differ.
    """
    ours, theirs = (json.loads((folder / "results.json").read_text()) for folder in (directory, reference))
    for part in ("metrics", "details", "dataset"):
        if problem := difference(ours.get(part), theirs.get(part), part):
            raise Broken(f"{directory}: {problem} in the unbroken run")
    if (reference / "metrics.csv").exists():
        rows, right = (read_metrics(folder / "metrics.csv")[1] for folder in (directory, reference))
        if problem := difference(rows, right, "metrics.csv"):
            raise Broken(f"{directory}: {problem} in the unbroken run")
    names, right_names = (
        {str(path) for path in whole.kept_files(folder)} for folder in (directory, reference)
    )
    if names != right_names:
        raise Broken(
            f"{directory}: its files differ from the unbroken run's by {sorted(names ^ right_names)}"
        )
    if left := whole.temporary(directory):
        raise Broken(f"{directory}: a write that was cut short left {', '.join(map(str, left))}")


def difference(ours: Any, theirs: Any, place: str) -> str:
    """The first place where two values differ, and how; "" if none does. What is named by seconds is a time, and no result."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted({*ours, *theirs}, key=str):
            if "second" not in str(name) and (
                found := difference(ours.get(name), theirs.get(name), f"{place}[{name}]")
            ):
                return found
        return ""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        each = (difference(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(ours, theirs, strict=True)))
        return next(filter(None, each), "")
    return "" if ours == theirs else f"{place} is {ours!r}, and {theirs!r}"


def record(path: Path, name: str, seed: int, options: Sequence[str], tallies: dict[str, Tally]) -> None:
    """Write a package's figures into a file that holds those of others too."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    figures = {}
    for way, tally in tallies.items():
        figures[way] = asdict(tally) | {"during": {stage: tally.during[stage] for stage in STAGES}}
        figures[way] |= {"seconds": round(tally.seconds, 1), "failures": len(tally.failures)}
    # Kills of forks and of the console script may come from two calls.
    entries[name] = {**entries.get(name, {}), "options": list(options), "seed": seed, **figures}
    write_text(path, json.dumps(dict(sorted(entries.items())), indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
