"""Benchmarks: a piece of work and its peers in turn, and the file that the documentation's tables are made from.

A package's `benchmarks/__main__.py` is a function for each part, which yields `compared(...)` lines, and

    if __name__ == "__main__":
        run({"train": train, "eval": rank}, __doc__, Path(__file__).with_name("results.json"))
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from offprints.atomic import write_text
from offprints.gpu import keep_freed_memory, peak_memory_mb, reset_peak_memory
from offprints.hardware import hardware, versions
from offprints.logging import console

Entry = dict[str, Any]
"""One line of results.json."""
Part = Callable[[argparse.Namespace], Iterator[Entry]]
"""What measures one part: the options of the command line to its lines."""


@dataclass(frozen=True)
class Timing:
    """Of one piece of work.

    Attributes:
        median: seconds, of all rounds.
        best: seconds, of the quickest round: what is left when nothing else disturbs.
        peak_mb: most memory that it took beyond what stood before, in 10^6 bytes: of the process, or of the GPU where it works on
            one; None where the system does not tell.
    """

    median: float
    best: float
    peak_mb: float | None


def in_turn(
    works: Mapping[str, Callable[[], object]],
    rounds: int,
    repeat: int = 1,
    device: torch.device | None = None,
) -> dict[str, Timing]:
    """Run each work once to warm up and once to see its memory, then all of them in turn, round after round.

    Args:
        works: what to run, by name.
        rounds: 1 or more; whatever disturbs a round disturbs all works alike.
        repeat: how often in a row a work runs each time; more than once for what follows itself in use and is short, so that it
            finds the caches as it left them and not as the others did.
        device: a GPU that the works give their orders to: a run has ended when it has carried them out.

    Returns:
        The timing of each work, of one run of it.
    """
    peaks = {name: _peak(work, device) for name, work in works.items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            for _ in range(repeat):
                work()
            _wait(device)
            seconds[name].append((time.perf_counter() - started) / repeat)
    return {
        name: Timing(statistics.median(values), min(values), peaks[name]) for name, values in seconds.items()
    }


def compared(
    workload: str,
    size: int,
    threads: int,
    ours: Timing,
    peer: str = "",
    its: Timing | None = None,
    **more: float | int | None,
) -> Entry:
    """A line of the table.

    Args:
        workload: its first word is the part that it belongs to.
        size: what the work grows with, such as the number of entities.
        threads: of both.
        ours: of our work.
        peer: name and version of what ours is compared with; "" for nothing.
        its: of the peer's work.
        more: further columns, such as `bound_share`, the share reached of what the hardware allows.
    """
    return {
        "workload": workload,
        "size": size,
        "threads": threads,
        "ours_seconds": ours.median,
        "ours_best_seconds": ours.best,
        "ours_peak_mb": ours.peak_mb,
        "peer": peer,
        "peer_seconds": its.median if its else None,
        "peer_best_seconds": its.best if its else None,
        "peer_peak_mb": its.peak_mb if its else None,
        "ratio": its.median / ours.median if its else None,
        **more,
    }


def run(
    parts: Mapping[str, Part], description: str | None, results: Path, arguments: list[str] | None = None
) -> None:
    """The command line of a benchmark: measure the parts asked for and keep the lines of the others.

    What was measured is in the file at once, so that nothing is lost if the rest fails. A part that measures nothing, because
    this machine has not what it is about, leaves the lines that are there.

    Args:
        parts: name, which begins the workloads of its lines -> what measures it.
        description: for --help.
        results: the file.
        arguments: of the command line; None takes the program's.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=25, help="a median is taken over so many")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--only", choices=list(parts), nargs="+", default=list(parts), help="parts to measure"
    )
    parser.add_argument("--no-peers", action="store_true", help="leave out peers that take minutes")
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as the command lines do; here it helps the peers just as well
    entries: list[Entry] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    for part in options.only:
        others = [entry for entry in entries if entry["workload"].split()[0] != part]
        for number, entry in enumerate(parts[part](options)):
            if number == 0:
                entries = others
            entries.append({**entry, "hardware": dataclasses.asdict(hardware()), "versions": versions()})
            console().print(_line(entry), highlight=False, soft_wrap=True)
            write_text(results, json.dumps(entries, indent=2) + "\n")


def _line(entry: Entry) -> str:
    beside = f", {entry['ratio']:.1f} times as fast as {entry['peer']}" if entry["ratio"] else ""
    return (
        f"{entry['workload']}, size {entry['size']:,}, {entry['threads']} thread(s): "
        f"{entry['ours_seconds']:.4g} s (best {entry['ours_best_seconds']:.4g}){beside}"
    )


def _peak(work: Callable[[], object], device: torch.device | None) -> float | None:
    work()  # what stays, as an optimiser's state does, is not part of a step
    _wait(device)
    gc.collect()
    _give_back_freed_memory()
    if not reset_peak_memory(device):
        return None
    before = peak_memory_mb(device)
    work()
    _wait(device)
    return peak_memory_mb(device) - before


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def _give_back_freed_memory() -> None:
    """What the allocator keeps for later would hide what the next step takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
