"""What a task takes on spot machines that may be taken away: an expected time, for plans.

The formula and its assumptions are ours: interruptions come at a constant rate while a machine is held, another one is there at once, each start takes
a restart, and work is saved, at no cost, whenever so much of it is done as lies between two checkpoints. All hours that a machine is held are paid.
An uninterrupted run of x hours then takes A(x) = (e^(rate x) - 1) / rate hours to come by. The first piece of work has to follow a restart in one
run; each later one of s hours is done in the run of the one before with probability e^(-rate s), and else begins anew behind a restart:

    A(restart + s)    and    (1 - e^(-rate s)) (1 / rate + A(restart + s))

Source: the exponential model of Daly 2006, "A higher order estimate of the optimum checkpoint interval for restart dumps", with free checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from offprints.errors import InputError


@dataclass(frozen=True)
class SpotRisk:
    """How often spot machines are taken away.

    Attributes:
        per_hour: interruptions of one machine, where nothing else is known.
        restart_hours: that each start takes before work goes on.
        of_location: cloud:region -> interruptions per hour there.

    Raises:
        InputError: a figure is negative or no number.
    """

    per_hour: float = 0.0
    restart_hours: float = 0.0
    of_location: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (
            ("per_hour", self.per_hour),
            ("restart_hours", self.restart_hours),
            *self.of_location.items(),
        ):
            if not 0 <= value < math.inf:
                raise InputError(f"spot: {name} is {value}; 0 or more was expected")

    def hours(self, work: float, location: str, nodes: int = 1, checkpoint: float | None = None) -> float:
        """Expected hours of a task on spot machines.

        Args:
            work: hours without interruptions and restarts.
            location: cloud:region.
            nodes: machines that work together, so that the loss of one interrupts all.
            checkpoint: hours of work between two checkpoints; None saves nothing.

        Returns:
            Hours; infinite where they are too many to be a number.
        """
        rate = nodes * self.of_location.get(location, self.per_hour)
        piece = min(work, checkpoint or work)
        later = math.ceil(work / piece - 1e-9) - 1  # pieces behind the first, of which the last may be short
        sizes = [(1, piece)] if not later else [(1, piece), (later - 1, piece), (1, work - later * piece)]
        if rate == 0:
            return self.restart_hours + work
        total = 0.0
        for number, (count, size) in enumerate(sizes):
            alone = _uninterrupted(rate, self.restart_hours + size)
            total += (
                count * (alone if number == 0 else -math.expm1(-rate * size) * (1 / rate + alone))
                if count
                else 0.0
            )
        return total


def _uninterrupted(rate: float, hours: float) -> float:
    """Expected hours until a run of so many has come to its end without an interruption."""
    return math.expm1(rate * hours) / rate if rate * hours < 700 else math.inf
