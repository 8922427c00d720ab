"""Policies for a job with a deadline on spot nodes: those of the paper, the two trivial ones, and the net that none falls through.

Source: Wu et al. 2024, NSDI: greedy (Section 3), Uniform Progress (Section 4); details as in the authors' public simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sky_broker.slack import decisions
from sky_broker.spells import SHAPE, EndRates, SpellCount
from sky_broker.spot import NONE, ON_DEMAND, SPOT, Bools, Decide, Floats, Policy, SpotJob, Step


@dataclass(frozen=True)
class OnDemand:
    """On-demand from the first tick to the last."""

    name: str = "on-demand"

    def begin(self, job: SpotJob, windows: int) -> Decide:
        return lambda step: np.full(windows, ON_DEMAND)


@dataclass(frozen=True)
class OnlySpot:
    """Spot whenever there is a node, and no eye for the deadline: how long the work takes without on-demand."""

    name: str = "only spot"

    def begin(self, job: SpotJob, windows: int) -> Decide:
        return lambda step: np.where(step.available, SPOT, NONE)


@dataclass(frozen=True)
class Greedy:
    """Spot whenever there is a node, idle otherwise, and on-demand once nothing else is sure to be in time."""

    name: str = "greedy"

    def begin(self, job: SpotJob, windows: int) -> Decide:
        def decide(step: Step) -> NDArray[np.int_]:
            free = np.where(step.available, SPOT, NONE)
            return np.where(_last_call(step, job.overhead), _to_the_end(step), free)

        return decide


@dataclass(frozen=True)
class UniformProgress:
    """On-demand where progress is behind t C0 / R0 and no spot node is there, so that slack is spread over the whole time.

    Attributes:
        hysteresis: leave an on-demand node for a spot node only once progress is ahead by what two restarts take; without, at once. Neither
            leaves it for nothing.
    """

    hysteresis: bool = True

    @property
    def name(self) -> str:
        """As tables show it."""
        return "Uniform Progress" if self.hysteresis else "Uniform Progress, no hysteresis"

    def begin(self, job: SpotJob, windows: int) -> Decide:
        pace = job.work / round(job.deadline_hours * 3600, 6)  # C0 / R0

        def decide(step: Step) -> NDArray[np.int_]:
            elapsed = step.tick * job.gap_seconds
            behind = step.progress < elapsed * pace
            demand = step.running == ON_DEMAND
            leave = step.available & (step.progress > (elapsed + 2 * job.overhead) * pace)
            chosen = np.where(step.available, SPOT, np.where(behind | demand, ON_DEMAND, NONE))
            if self.hysteresis:
                chosen = np.where(demand & ~leave, ON_DEMAND, chosen)
            early = _last_call(step, 2 * job.overhead) & (step.running != SPOT)
            chosen = np.where(early, _to_the_end(step), chosen)
            return np.where(_last_call(step, job.overhead), _to_the_end(step), chosen)

        return decide


@dataclass(frozen=True)
class KnownSpells:
    """The cheapest decisions where the rates at which spells end are known beforehand; safe whatever comes.

    Attributes:
        rates: such as `spells.measured` finds in a whole trace.
        first_age: hours that the spell at hand when the job begins is taken to have lasted.
    """

    rates: EndRates
    first_age: float = 2.0

    @property
    def name(self) -> str:
        """As tables show it."""
        return "known spells"

    def begin(self, job: SpotJob, windows: int) -> Decide:
        table = decisions(job, (self.rates,))
        first = np.zeros(windows, dtype=np.int64)
        seen = SpellCount(windows, job.gap_seconds, self.rates, self.first_age, (1.0, 1.0), 1.0)

        def decide(step: Step) -> NDArray[np.int_]:
            seen.see(step.available)
            return guarded(step, table.choose(step, seen.age, first))

        return decide


@dataclass(frozen=True)
class LearntSpells:
    """Our own policy: the cheapest decisions for spells that end as often as those that this job has seen so far; safe whatever comes.

    Attributes:
        up_factor: how often spells with a node are at first believed to end, over `spells.SHAPE`.
        down_factor: the same of spells without.
        weight: ends that this belief counts for.
        first_age: hours that the spell at hand when the job begins is taken to have lasted.

    Between the rates that are solved for, the four around what has been seen vote, the nearer the more. The defaults cost least on the
    four K80 traces of autumn 2022, from which the shape is too; no other trace was looked at for them.
    """

    up_factor: float = 1.7
    down_factor: float = 1.0
    weight: float = 10.0
    first_age: float = 2.0

    @property
    def name(self) -> str:
        """As tables show it."""
        return "learnt spells"

    def begin(self, job: SpotJob, windows: int) -> Decide:
        table = decisions(job, _RATES)
        belief = self.up_factor, self.down_factor
        seen = SpellCount(windows, job.gap_seconds, SHAPE, self.first_age, belief, self.weight)

        def decide(step: Step) -> NDArray[np.int_]:
            seen.see(step.available)
            votes = np.zeros((3, windows))  # of NONE, SPOT and ON_DEMAND
            for rates, share in _around(*seen.factors):
                votes[table.choose(step, seen.age, rates), np.arange(windows)] += share
            return guarded(step, votes.argmax(axis=0))

        return decide


_RATIO, _SIDE = 1.7, 5
_FACTORS = tuple(_RATIO ** (place - 2) for place in range(_SIDE))
_RATES = tuple(SHAPE.scaled(up, down) for up in _FACTORS for down in _FACTORS)


def _around(up: Floats, down: Floats) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """The four of `_RATES` that two factors lie between, each with its share: the nearer in ratio, the more."""
    (up_low, up_part), (down_low, down_part) = _between(up), _between(down)
    for i, up_share in enumerate((1 - up_part, up_part)):
        for j, down_share in enumerate((1 - down_part, down_part)):
            yield (up_low + i) * _SIDE + down_low + j, up_share * down_share


def _between(factor: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The place in `_FACTORS` below a factor, and how far it lies towards the next."""
    place = np.clip(np.log(np.maximum(factor, 1e-9) / _FACTORS[0]) / np.log(_RATIO), 0, _SIDE - 1)
    low = np.minimum(place.astype(np.int64), _SIDE - 2)
    return low, place - low


@dataclass(frozen=True)
class Guarded:
    """Any policy over the net: where its choice could make the job late whatever comes, on-demand runs instead, and nowhere else.

    None, or a spot node that still pays its start, is safe exactly if a fresh on-demand node could finish after the tick. A spot node
    that has paid is safe: a tick of it is a tick of work. So no availability makes a guarded policy late if on-demand alone is not.

    Attributes:
        inner: what decides where it is safe.
    """

    inner: Policy

    @property
    def name(self) -> str:
        """As tables show it."""
        return self.inner.name

    def begin(self, job: SpotJob, windows: int) -> Decide:
        inner = self.inner.begin(job, windows)
        return lambda step: guarded(step, inner(step))


def guarded(step: Step, chosen: NDArray[np.int_]) -> NDArray[np.int_]:
    """The choice where it is safe, and on-demand elsewhere; see `Guarded`."""
    job = step.job
    overhead = np.where(step.running == SPOT, step.overhead, job.overhead)
    work = np.where(chosen == SPOT, np.maximum(job.gap_seconds - overhead, 0.0), 0.0)
    after = step.progress + work
    safe = job.ticks_needed(after, job.overhead) <= step.ticks_left - 1
    paid = (chosen == SPOT) & (step.running == SPOT) & (step.overhead == 0)
    done = after >= job.work
    return np.where(safe | paid | done, chosen, ON_DEMAND)


def _last_call(step: Step, overhead: float) -> Bools:
    """Whether a node that pays so much first would need every tick that is left."""
    last: Bools = step.job.ticks_needed(step.progress, overhead) >= step.ticks_left
    return last


def _to_the_end(step: Step) -> NDArray[np.int_]:
    """On-demand, or the spot node that has paid its start; without restarts any spot node is as good."""
    paid = (step.running == SPOT) & (step.overhead == 0)
    free = step.available & (step.job.overhead == 0)
    return np.where(paid | free, SPOT, ON_DEMAND)
