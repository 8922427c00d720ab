"""What slack is worth: the cheapest decisions if spells with and without spot nodes end at random.

Slack is the time that could still be lost: what is left until the deadline less what the work takes. It never grows. A tick without a node
costs a tick of it, the start of a node costs the restart; running costs money instead. If spells end at the rates of `spells.EndRates`, then
the least expected cost follows backwards from the deadline for every slack, for whatever runs, and for every age of the spell at hand. That is
a decision for each state, and no pace of progress has to be assumed.

The model and its use are ours; no paper is followed here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sky_broker.spells import AGES, EndRates, level_of
from sky_broker.spot import NONE, ON_DEMAND, SPOT, Floats, SpotJob, Step

_STEPS = 450
_PER_STEP = 3
_COLUMNS = 200
_LATE = 1e5  # $: more than any job costs
_IDLE_WITHOUT, _IDLE_WITH, _ON_SPOT, _DEMAND_WITHOUT, _DEMAND_WITH = range(5)
"""What runs when a step begins, and whether a spot node can be had during it."""
Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Decisions:
    """The cheapest decisions for some rates at which spells end.

    Attributes:
        job: what they are for.
        ticks: of the job in a step of the table.
        unit: seconds of slack from one column to the next.
        mode: (steps + 1, 5, ages, rates, columns) int8, by steps left, what runs, age of the spell, rates believed in, and slack.
    """

    job: SpotJob
    ticks: int
    unit: float
    mode: NDArray[np.int8]

    def choose(self, step: Step, age_hours: Floats, rates: NDArray[np.int64]) -> NDArray[np.int_]:
        """A mode for each window.

        Args:
            step: what is seen.
            age_hours: (windows,) how long the spell at hand has lasted.
            rates: (windows,) which of the rates to believe in.
        """
        slack = step.ticks_left * self.job.gap_seconds - (self.job.work - step.progress) - step.overhead
        column = np.clip(slack / self.unit, 0, self.mode.shape[4] - 1).astype(np.int64)
        left = min(max(-(-step.ticks_left // self.ticks), 0), len(self.mode) - 1)
        idle = np.where(step.available, _IDLE_WITH, _IDLE_WITHOUT)
        demand = np.where(step.available, _DEMAND_WITH, _DEMAND_WITHOUT)
        state = np.where(step.running == ON_DEMAND, demand, np.where(step.running == SPOT, _ON_SPOT, idle))
        chosen: NDArray[np.int_] = self.mode[left, state, level_of(age_hours), rates, column].astype(np.int_)
        return chosen


@lru_cache(maxsize=8)
def decisions(job: SpotJob, rates: tuple[EndRates, ...]) -> Decisions:
    """Solve the model for some rates at once.

    Args:
        job: what is to be done. Where it has many ticks, a few together are a step of the table, which is then looked up in every tick.
        rates: at which spells end.
    """
    ticks = max(1, math.ceil(job.ticks / _STEPS))
    seconds = ticks * job.gap_seconds
    steps, slack = math.ceil(job.ticks / ticks), job.ticks * job.gap_seconds - job.work
    unit = max(seconds / _PER_STEP, slack / _COLUMNS)
    columns = np.arange(math.floor(slack / unit) + 1)
    model = _Model(job, seconds, unit, rates)
    value = np.zeros((5, len(AGES), len(rates), len(columns)), dtype=np.float32)
    mode = np.zeros((steps + 1, *value.shape), dtype=np.int8)
    for left in range(1, steps + 1):
        value, mode[left] = model.back(value)
        value[..., columns * unit >= left * seconds] = 0.0  # all work is done
    return Decisions(job, ticks, unit, mode)


class _Model:
    """One step of the model, backwards."""

    def __init__(self, job: SpotJob, seconds: float, unit: float, rates: tuple[EndRates, ...]) -> None:
        hours = seconds / 3600
        self.price = {SPOT: job.spot_usd * hours, ON_DEMAND: job.on_demand_usd * hours}
        self.restart, self.step = job.overhead / unit, seconds / unit
        by_kind = {True: [each.up for each in rates], False: [each.down for each in rates]}
        # (ages, rates, 1) probabilities: that a spell ends in a step, and that one that goes on reaches the next age.
        self.ends = {
            kind: (1 - np.exp(-hours * np.array(each).T))[:, :, None].astype(np.float32)
            for kind, each in by_kind.items()
        }
        dwell = np.append(np.diff(AGES), np.inf)
        self.older = np.minimum(1.0, hours / dwell)[:, None, None].astype(np.float32)

    def back(self, value: Singles) -> tuple[Singles, NDArray[np.int8]]:
        """Least expected cost and decision in each state, a step earlier."""
        idle = {
            kind: _with_less(self._next(value, kind, _IDLE_WITH, _IDLE_WITHOUT), self.step)
            for kind in (True, False)
        }
        demand = {
            kind: self.price[ON_DEMAND] + self._next(value, kind, _DEMAND_WITH, _DEMAND_WITHOUT)
            for kind in (True, False)
        }
        start = {kind: _with_less(demand[kind], self.restart) for kind in (True, False)}
        spot = self.price[SPOT] + self._next(value, True, _ON_SPOT, _IDLE_WITHOUT)
        start_spot = _with_less(spot, self.restart)
        options = {
            _IDLE_WITHOUT: {NONE: idle[False], ON_DEMAND: start[False]},
            _IDLE_WITH: {SPOT: start_spot, NONE: idle[True], ON_DEMAND: start[True]},
            _ON_SPOT: {SPOT: spot, NONE: idle[True], ON_DEMAND: start[True]},
            _DEMAND_WITHOUT: {ON_DEMAND: demand[False], NONE: idle[False]},
            _DEMAND_WITH: {ON_DEMAND: demand[True], SPOT: start_spot, NONE: idle[True]},
        }
        least, chosen = np.empty_like(value), np.zeros(value.shape, dtype=np.int8)
        for state, costs in options.items():
            best: Singles | None = None
            for mode, cost in costs.items():
                if best is None:
                    best = cost.copy()
                    chosen[state] = mode
                else:
                    better = cost < best
                    chosen[state][better] = mode
                    np.minimum(best, cost, out=best)
            assert best is not None
            least[state] = np.minimum(best, _LATE)
        return least, chosen

    def _next(self, value: Singles, with_node: bool, having: int, lacking: int) -> Singles:
        """(ages, rates, columns) expected value after a step, by the age of the spell at hand."""
        goes_on, other = (having, lacking) if with_node else (lacking, having)
        same = value[goes_on]
        aged = np.concatenate([same[1:], same[-1:]])
        on = same + self.older * (aged - same)
        ends = self.ends[with_node]
        expected: Singles = on + ends * (value[other][:1] - on)
        return expected


def _with_less(value: Singles, columns: float) -> Singles:
    """The value with so much less slack, between columns on a line; without slack the job is late."""
    whole, part = int(columns), columns - int(columns)
    size = value.shape[-1]
    padding = np.full((*value.shape[:-1], whole + 1), _LATE, dtype=np.float32)
    wide = np.concatenate([padding, value], axis=-1)
    near, far = wide[..., 1 : size + 1], wide[..., :size]
    less: Singles = (near + np.float32(part) * (far - near)).astype(np.float32, copy=False)
    return less
