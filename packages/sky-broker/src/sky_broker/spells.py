"""How spells with and without spot nodes go on: the longer one has lasted, the less likely it ends soon.

In the released traces most spells are over within minutes, and most of the time lies in spells of many hours. The rate at which spells end
falls with their age, from a few an hour at first to one in ten hours or less, and that curve has much the same shape in every zone; zones
differ by a factor. So the shape is a constant here, and a job learns two factors while it runs.

The model is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sky_broker.spot import Bools, Floats

AGES = (0.0, 1 / 6, 0.5, 1.5, 4.0, 12.0)
"""Hours at which the levels of a spell's age begin."""


@dataclass(frozen=True)
class EndRates:
    """Ends of spells an hour, by the level of their age.

    Attributes:
        up: of spells with a node, one for each of `AGES`.
        down: of spells without.
    """

    up: tuple[float, ...]
    down: tuple[float, ...]

    def scaled(self, up: float, down: float) -> EndRates:
        """The same shape with other factors."""
        return EndRates(tuple(up * rate for rate in self.up), tuple(down * rate for rate in self.down))


SHAPE = EndRates((1.30, 1.07, 0.66, 0.35, 0.172, 0.104), (2.87, 0.857, 0.757, 0.285, 0.131, 0.0553))
"""Of the four K80 traces of autumn 2022 together, as `measured` gives them."""


def measured(traces: list[tuple[Bools, float]]) -> EndRates:
    """Ends over hours at each age, of all spells that a trace shows from their beginning.

    Args:
        traces: (ticks,) availability and seconds of a tick. An age that no spell reaches has the rate of the age before.
    """
    ends, hours = np.zeros((2, len(AGES))), np.zeros((2, len(AGES)))
    limits = np.array([*AGES, np.inf])
    for available, gap_seconds in traces:
        changes = np.nonzero(available[1:] != available[:-1])[0] + 1
        kinds = available[changes[:-1]].astype(np.int64)
        lengths = np.diff(changes) * gap_seconds / 3600
        for level in range(len(AGES)):
            inside = np.clip(lengths - limits[level], 0, limits[level + 1] - limits[level])
            np.add.at(hours[:, level], kinds, inside)
            ended = (lengths > limits[level] + 1e-9) & (lengths <= limits[level + 1] + 1e-9)
            np.add.at(ends[:, level], kinds, ended)
    rates = []
    for kind in (1, 0):
        row: list[float] = []
        for end, time in zip(ends[kind], hours[kind], strict=True):
            row.append(float(end / time) if time > 0 else row[-1] if row else 0.0)
        rates.append(tuple(row))
    return EndRates(rates[0], rates[1])


def level_of(age_hours: Floats) -> NDArray[np.int64]:
    """(windows,) which level an age belongs to."""
    return np.searchsorted(AGES, age_hours + 1e-9, side="right") - 1


class SpellCount:
    """Ages of the spells that go on, and how much oftener they end than the shape says, from nothing but what has been seen.

    Each factor is the mean of a gamma distribution: ends seen over ends that the shape would have made expected, both with a prior's weight
    added. A spell that goes on and on makes them fall.

    Args:
        windows: how many.
        gap_seconds: length of a tick.
        shape: rates that the factors multiply.
        first_age: hours that the spell at hand when the job begins is taken to have lasted, as nobody saw its beginning.
        factors: of the prior, for spells with a node and without.
        weight: ends that the prior counts for.
    """

    def __init__(
        self,
        windows: int,
        gap_seconds: float,
        shape: EndRates,
        first_age: float,
        factors: tuple[float, float],
        weight: float,
    ) -> None:
        self._hours = gap_seconds / 3600
        self._rates = np.array([shape.down, shape.up])
        prior = np.array([[factors[1]], [factors[0]]])
        self._ends = weight * prior + np.zeros((2, windows))
        self._expected = np.full((2, windows), weight)
        self._before: Bools | None = None
        self.age = np.full(windows, first_age)

    def see(self, available: Bools) -> None:
        """Go on by a tick: `age` is then how long the spell at hand has lasted before it."""
        before = self._before
        if before is not None:
            gone = np.where(before, *self._rates[::-1][:, level_of(self.age)]) * self._hours
            changed = available != before
            for kind, was in enumerate((~before, before)):
                self._expected[kind] += np.where(was, gone, 0.0)
                self._ends[kind] += was & changed
            self.age = np.where(changed, 0.0, self.age + self._hours)
        self._before = available.copy()

    @property
    def factors(self) -> tuple[Floats, Floats]:
        """(windows,) for spells with a node, and for spells without."""
        found = self._ends / self._expected
        return found[1], found[0]
