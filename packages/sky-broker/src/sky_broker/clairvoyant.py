"""The least that any schedule could have cost, had the availability been known: exact, by dynamic programming.

The state is what runs, how much of its start is paid, and the work that is done. Work is counted in the largest unit that divides a tick's
work and the work of the tick in which a start ends, so that the count loses nothing. The table goes forward in time, all windows at once.

The formulation is ours; the paper solves an integer program (Wu et al. 2024, NSDI).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from offprints.errors import InputError

from sky_broker.spot import ON_DEMAND, SPOT, Bools, Floats, Modes, SpotJob

_MICRO = 1_000_000
_UNITS = 400_000
_CACHED = 20_000
_DOLLARS = 1e-8  # what two sums of the same prices may differ by


@dataclass(frozen=True)
class Optimum:
    """The cheapest schedules.

    Attributes:
        cost: (windows,) in $, of whole ticks.
        schedule: (windows, ticks) int8 modes of one cheapest schedule; None unless asked for.
    """

    cost: Floats
    schedule: Modes | None = None


def clairvoyant(available: Bools, job: SpotJob, keep_schedule: bool = False) -> Optimum:
    """The cheapest schedule of each window that is in time.

    Args:
        available: (windows, ticks) whether a spot node could be had; what lies after the deadline is not looked at.
        job: what is to be done.
        keep_schedule: also return a schedule; takes a byte for each state and tick.

    Raises:
        InputError: the windows are shorter than the deadline, or tick and restart have no common unit that is not tiny.
    """
    if available.ndim != 2 or available.shape[1] < job.ticks:
        raise InputError(
            f"availability has the shape {available.shape}; the deadline needs (windows, {job.ticks} or more)"
        )
    gains, units = _units(job)
    cost = np.zeros(len(available))
    schedule = np.zeros((len(available), job.ticks), dtype=np.int8) if keep_schedule else None
    # So many windows that their tables stay in the cache; one where all tables are kept.
    size = 1 if keep_schedule else max(1, _CACHED // ((units + 1) * len(gains)))
    for first in range(0, len(available), size):
        batch = available[first : first + size]
        cost[first : first + size], trail = _forward(batch, job, gains, units, keep_schedule)
        if schedule is not None and np.isfinite(cost[first]):
            schedule[first] = _backwards(trail[:, 0], batch[0], job, gains)
    return Optimum(cost, schedule)


def _units(job: SpotJob) -> tuple[list[int], int]:
    """Work of a node's ticks, from its first one to the one that all later ones are like; and of the job, rounded up; in units."""
    gap, overhead, work = (round(_MICRO * value) for value in (job.gap_seconds, job.overhead, job.work))
    paying = -(-overhead // gap)
    ending = paying * gap - overhead
    unit = math.gcd(gap, ending)
    units = -(-work // unit)
    if units > _UNITS:
        raise InputError(
            f"a tick of {job.gap_seconds} s and a restart of {job.overhead} s have no common unit above {unit / _MICRO} s, and the "
            f"optimum would take {units:,} states; choose an overhead that is a simpler fraction of a tick"
        )
    gains = [0] * (paying - 1) + [ending // unit] * (paying > 0) + [gap // unit]
    return gains, units


def _forward(
    available: Bools, job: SpotJob, gains: list[int], units: int, keep: bool
) -> tuple[Floats, Floats]:
    """Least cost of having done so much work.

    Returns:
        (windows,) of the whole work, and (ticks + 1, windows, units + 1) of any work before each tick, or nothing if not `keep`. The last
        unit stands for work that is done.
    """
    shape = (len(available), units + 1)
    best = np.full(shape, np.inf)  # over all modes: what a node could be started from
    best[:, 0] = 0.0
    node, spare = (
        {mode: np.full((len(gains), *shape), np.inf) for mode in (SPOT, ON_DEMAND)} for _ in range(2)
    )
    trail = np.full((job.ticks + 1 if keep else 0, *shape), np.inf)
    most = gains[-1]
    for tick in range(job.ticks):
        if keep:
            trail[tick] = best
        # Less than `low` cannot be finished any more, and more than `high` cannot be done yet.
        low, high = max(0, units - (job.ticks - tick) * most), min(units, tick * most)
        changed = slice(low, high + most + 1)
        for mode, price in _prices(job).items():
            spare[mode][..., changed] = np.inf
            _tick(best, node[mode], spare[mode], gains, price, low, high)
            node[mode], spare[mode] = spare[mode], node[mode]
        node[SPOT][:, ~available[:, tick], changed] = np.inf
        for mode in (SPOT, ON_DEMAND):
            np.minimum(best[:, changed], node[mode][..., changed].min(axis=0), out=best[:, changed])
    if keep:
        trail[-1] = best
    return best[:, -1], trail


def _prices(job: SpotJob) -> dict[int, float]:
    hours = job.gap_seconds / 3600
    return {SPOT: job.spot_usd * hours, ON_DEMAND: job.on_demand_usd * hours}


def _tick(
    best: Floats, node: Floats, after: Floats, gains: list[int], price: float, low: int, high: int
) -> None:
    """A tick of a mode, into `after`: started from anything, or going on; by ticks that are paid afterwards."""
    last = len(gains) - 1
    _lower(after[min(1, last)], best, gains[0], price, low, high)
    for paid, gain in enumerate(gains):
        if paid or not last:  # with restarts, no node has run for 0 ticks
            _lower(after[min(paid + 1, last)], node[paid], gain, price, low, high)


def _lower(target: Floats, source: Floats, gain: int, price: float, low: int, high: int) -> None:
    """Lower costs to those of the source from `low` to `high`, a tick of so much work later; work beyond the end is the end."""
    size = target.shape[1]
    gain = min(gain, size - 1)
    stop = min(high + 1, size - gain)
    if stop > low:
        np.minimum(
            target[:, low + gain : stop + gain],
            source[:, low:stop] + price,
            out=target[:, low + gain : stop + gain],
        )
    beyond = source[:, max(low, stop) : high + 1]
    if beyond.shape[1]:
        np.minimum(target[:, -1], beyond.min(axis=1) + price, out=target[:, -1])


def _backwards(trail: Floats, available: Bools, job: SpotJob, gains: list[int]) -> Modes:
    """A cheapest schedule of one window, run by run from the end.

    Args:
        trail: (ticks + 1, units + 1) least cost before each tick.
        available: (ticks,) of the window.
        job: what is to be done.
        gains: see `_units`.
    """
    schedule = np.zeros(job.ticks, dtype=np.int8)
    tick, done = job.ticks, trail.shape[1] - 1
    while done > 0:
        if _same(trail[tick - 1, done], trail[tick, done]):
            tick -= 1
            continue
        mode, length, done = _last_run(trail, available, tick, done, gains, _prices(job))
        schedule[tick - length : tick] = mode
        tick -= length
    return schedule


def _last_run(
    trail: Floats, available: Bools, tick: int, done: int, gains: list[int], prices: dict[int, float]
) -> tuple[int, int, int]:
    """Mode and length of a run that ends before `tick` in the least cost, and the work that was done before it."""
    end = trail.shape[1] - 1
    work = 0
    for length in range(1, tick + 1):
        gain = gains[min(length, len(gains)) - 1]
        work += gain
        # The end stands for work beyond it too, but only the last tick of the run may have reached it.
        low, high = max(done - work, 0), min(done - work + (gain if done == end else 1), end)
        if low >= high:
            continue
        for mode, price in prices.items():
            if mode == SPOT and not available[tick - length : tick].all():
                continue
            before = trail[tick - length, low:high] + length * price
            if _same(before.min(), trail[tick, done]):
                return mode, length, low + int(before.argmin())
    raise AssertionError("a least cost that no run explains")


def _same(one: float, other: float) -> bool:
    return abs(one - other) < _DOLLARS
