"""Timings in turn and peaks of memory."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from offprints.gpu import peak_memory_mb, reset_peak_memory


@dataclass(frozen=True)
class Timing:
    """Of one piece of work.

    Attributes:
        median: seconds, of all rounds.
        best: seconds, of the quickest round: what is left when nothing else disturbs.
        peak_mb: most memory that it took beyond what stood before; None where the system does not tell.
    """

    median: float
    best: float
    peak_mb: float | None


def in_turn(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Run each work once to warm up and to see its memory, then all of them in turn, round after round."""
    peaks = {name: _peak(work) for name, work in works.items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    return {
        name: Timing(statistics.median(values), min(values), peaks[name]) for name, values in seconds.items()
    }


def _peak(work: Callable[[], object]) -> float | None:
    work()  # what stays, as an optimiser's state does, is not part of a step
    gc.collect()
    _give_back_freed_memory()
    if not reset_peak_memory():
        return None
    before = peak_memory_mb()
    work()
    return peak_memory_mb() - before


def _give_back_freed_memory() -> None:
    """What the allocator keeps for later would hide what the next step takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
