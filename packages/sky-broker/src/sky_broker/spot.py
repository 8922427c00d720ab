"""A job with a deadline on nodes that may be taken away: what a policy decides, tick by tick, and what that comes to.

Time goes in ticks of g seconds. Before each tick a policy sees whether a spot node can be had during it, and chooses none, spot or
on-demand. A node that starts pays d seconds of restart before it works; a spot node that is taken away has to be started again. Whole ticks
are billed, and a policy knows the past and the present alone. Many windows of a trace are simulated at once: every state below is a vector
over them, and the only loop is that over ticks.

Source: Wu et al. 2024, "Can't Be Late: Optimizing Spot Instance Savings under Deadlines", NSDI, Section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Modes = NDArray[np.int8]

NONE, SPOT, ON_DEMAND = 0, 1, 2
"""What runs during a tick."""
LETTERS = "-SO"
"""How a schedule is written, by mode."""
_TINY = 1e-9  # of a tick: what sums of floats may be off by


@dataclass(frozen=True)
class SpotJob:
    """What has to be done by when, and what nodes cost.

    Attributes:
        work_hours: C0, computing without restarts.
        deadline_hours: R0, after which it is late.
        overhead_hours: d, which every start of a node takes.
        gap_seconds: g, the length of a tick; traces say what it is.
        on_demand_usd: of a node for an hour.
        spot_usd: of a node for an hour; the defaults are the paper's, of p3.2xlarge.

    Raises:
        InputError: a length is not positive, the overhead or a price is negative, or the deadline cannot be met on demand.
    """

    work_hours: float
    deadline_hours: float
    overhead_hours: float
    gap_seconds: float
    on_demand_usd: float = 3.06
    spot_usd: float = 0.9731

    def __post_init__(self) -> None:
        for name in ("work_hours", "deadline_hours", "gap_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name}={getattr(self, name)} must be above 0")
        for name in ("overhead_hours", "on_demand_usd", "spot_usd"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name}={getattr(self, name)} must be 0 or more")
        needed = math.ceil((self.work + self.overhead) / self.gap_seconds - _TINY)
        if needed > self.ticks:
            raise InputError(
                f"{self.work_hours} h of work and {self.overhead_hours} h to start take {needed} ticks of {self.gap_seconds} s even on "
                f"demand, and the deadline of {self.deadline_hours} h leaves {self.ticks}"
            )

    @property
    def work(self) -> float:
        """C0 in seconds."""
        return round(self.work_hours * 3600, 6)

    @property
    def overhead(self) -> float:
        """d in seconds."""
        return round(self.overhead_hours * 3600, 6)

    @property
    def ticks(self) -> int:
        """Whole ticks before the deadline."""
        return math.floor(round(self.deadline_hours * 3600, 6) / self.gap_seconds + _TINY)

    def ticks_needed(self, progress: Floats, overhead: float) -> Floats:
        """Ticks that the rest of the work takes on a node that first pays so many seconds, as (windows,) whole floats."""
        needed: Floats = np.ceil((self.work - progress + overhead) / self.gap_seconds - _TINY)
        return needed

    def cost(self, spot_ticks: NDArray[np.int64], on_demand_ticks: NDArray[np.int64]) -> Floats:
        """What ticks cost, in $."""
        hours = self.gap_seconds / 3600
        cost: Floats = (spot_ticks * self.spot_usd + on_demand_ticks * self.on_demand_usd) * hours
        return cost


@dataclass(frozen=True)
class Step:
    """What a policy sees before a tick, in each of the windows.

    Attributes:
        job: what is to be done.
        tick: how many have passed.
        available: (windows,) whether a spot node can be had during this tick.
        progress: (windows,) seconds of work that are done.
        running: (windows,) what runs; a spot node that was taken away does not.
        overhead: (windows,) seconds that the running node has yet to pay of its start.
        open: (windows,) whether there is work left; what is chosen elsewhere does not count.
    """

    job: SpotJob
    tick: int
    available: Bools
    progress: Floats
    running: Modes
    overhead: Floats
    open: Bools

    @property
    def ticks_left(self) -> int:
        """Whole ticks until the deadline."""
        return self.job.ticks - self.tick


Decide = Callable[[Step], NDArray[np.int_]]
"""What a policy does before a tick: a mode for each window; spot only where it is available."""


class Policy(Protocol):
    """How to decide. A policy that learns keeps what it has seen in what `begin` returns."""

    @property
    def name(self) -> str:
        """As tables show it."""
        ...

    def begin(self, job: SpotJob, windows: int) -> Decide:
        """Start on a job, in so many windows at once."""
        ...


@dataclass(frozen=True)
class SpotOutcome:
    """What came of a policy in each window.

    Attributes:
        cost: (windows,) in $, of whole ticks.
        ticks: (windows,) int64, until the work was done; of what was not done in the availability given, one more than that has.
        late: (windows,) whether that was after the deadline.
        spot_ticks: (windows,) int64.
        on_demand_ticks: (windows,) int64.
        starts: (windows,) int64, nodes that were started.
        schedule: (windows, ticks) int8 modes; None unless asked for.
    """

    cost: Floats
    ticks: NDArray[np.int64]
    late: Bools
    spot_ticks: NDArray[np.int64]
    on_demand_ticks: NDArray[np.int64]
    starts: NDArray[np.int64]
    schedule: Modes | None = None

    def written(self, window: int) -> str:
        """The schedule of a window up to its end: a letter a tick, - for none, S for spot, O for on-demand."""
        if self.schedule is None:
            raise ValueError("simulate(..., keep_schedule=True) keeps schedules")
        return "".join(LETTERS[mode] for mode in self.schedule[window, : self.ticks[window]])


def simulate(policy: Policy, available: Bools, job: SpotJob, keep_schedule: bool = False) -> SpotOutcome:
    """Run a policy in many windows at once.

    Args:
        policy: what decides.
        available: (windows, ticks) whether a spot node could be had in each tick; at least as many ticks as the deadline has.
        job: what is to be done.
        keep_schedule: also return what ran in each tick.

    Raises:
        InputError: the windows are shorter than the deadline.
        ValueError: the policy took a spot node where there was none.
    """
    if available.ndim != 2 or available.shape[1] < job.ticks:
        raise InputError(
            f"availability has the shape {available.shape}; the deadline needs (windows, {job.ticks} or more)"
        )
    windows, ticks = available.shape
    by_tick = np.ascontiguousarray(available.T)
    decide = policy.begin(job, windows)
    progress, overhead = np.zeros(windows), np.zeros(windows)
    mode = np.zeros(windows, dtype=np.int8)
    taken = np.full(windows, ticks + 1, dtype=np.int64)
    spot_ticks, on_demand_ticks, starts = (np.zeros(windows, dtype=np.int64) for _ in range(3))
    schedule = np.zeros((ticks, windows), dtype=np.int8) if keep_schedule else None
    for tick in range(ticks + 1):
        open_ = progress < job.work - _TINY * job.gap_seconds
        taken[~open_ & (taken > ticks)] = tick
        if tick == ticks or not open_.any():
            break
        now = by_tick[tick]
        mode[(mode == SPOT) & ~now] = NONE
        overhead[mode == NONE] = 0.0
        chosen = decide(Step(job, tick, now, progress, mode, overhead, open_)).astype(np.int8)
        chosen[~open_] = NONE
        if ((chosen == SPOT) & ~now).any():
            raise ValueError(f"{policy.name} took a spot node in tick {tick} where there was none")
        started = (chosen != NONE) & (chosen != mode)
        overhead = np.where(started, job.overhead, overhead)
        busy = chosen != NONE
        progress = progress + np.where(busy, np.maximum(job.gap_seconds - overhead, 0.0), 0.0)
        overhead = np.maximum(overhead - job.gap_seconds, 0.0)
        spot_ticks += chosen == SPOT
        on_demand_ticks += chosen == ON_DEMAND
        starts += started
        mode = chosen
        if schedule is not None:
            schedule[tick] = chosen
    return SpotOutcome(
        job.cost(spot_ticks, on_demand_ticks),
        taken,
        taken > job.ticks,
        spot_ticks,
        on_demand_ticks,
        starts,
        None if schedule is None else np.ascontiguousarray(schedule.T),
    )
