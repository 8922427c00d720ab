"""A game that stands in for MoveToBeacon where StarCraft II is not installed: a marine, a beacon, and +1 for each arrival.

It is not the game. Specs, masks, calls, memory and V-trace are at work together: the marine has to be selected before a move is available at
all, a move takes a point, and the beacon is on one of two dozen planes. On the 8 x 8 screen of experiment=sc2_beacon an episode of 20 steps
is worth 2.3 to moves at random, 9.0 to a circle walked blindly, and 16.7 to whoever looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from relational_rl.sc2.interface import Call, Interface

SELF, NEUTRAL = 1, 3
"""Values of the plane player_relative: the marine's and the beacon's."""

ALWAYS = ("no_op", "move_camera", "select_point", "select_rect", "select_army")
SELECTED = ("Move_screen",)
"""Functions that may be called at any time, and once the marine is selected."""


@dataclass(frozen=True)
class BeaconRules:
    """The game's measures, in cells of the screen.

    Attributes:
        size: rows and columns of the screen.
        radius: the beacon covers this many cells to each side of its centre.
        speed: cells that the marine walks in a step.
        steps: of an episode.
        guide: paid for each cell that a step brings the marine nearer to the beacon, and taken where it leads away; 0 pays arrivals alone.
    """

    size: int = 32
    radius: int = 2
    speed: float = 3.0
    steps: int = 60
    guide: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 2 * (2 * self.radius + 1):
            raise InputError(
                f"a screen of {self.size} has no room for a marine and a beacon of radius {self.radius}"
            )
        if self.speed <= 0 or self.steps < 1:
            raise InputError(f"speed={self.speed} and steps={self.steps} must be positive")
        if self.guide < 0:
            raise InputError(f"guide={self.guide} must be 0 or more")


class BeaconGame:
    """One game; episode and beacons are a function of the seed, the episode's number and the beacon's.

    Args:
        rules: measures.
        seed: of all places.
    """

    def __init__(self, rules: BeaconRules, seed: int = 0) -> None:
        self.rules, self.seed, self.episode = rules, seed, -1
        self.begin()

    def begin(self) -> None:
        """The next episode."""
        self.episode += 1
        self.beacons = 0
        self.selected = False
        self.target: tuple[float, float] | None = None
        self.beacon = (0, 0)
        self.marine = tuple(self._draw(0, 2).tolist())
        self._place()

    def act(self, name: str, points: list[tuple[int, int]]) -> None:
        """Take a call.

        Args:
            name: of the function.
            points: (column, row) of its arguments that are points.
        """
        x, y = self.marine
        if name == "select_army":
            self.selected = True
        elif name == "select_point" and max(abs(points[0][0] - x), abs(points[0][1] - y)) <= 1:
            self.selected = True  # a click on nothing leaves the selection as it was, as in the game
        elif name == "select_rect":
            (x0, y0), (x1, y1) = points
            if min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1):
                self.selected = True
        elif name == "Move_screen":
            self.target = points[0]

    def advance(self) -> float:
        """Walk on for a step; the reward."""
        before = self._away(self.marine)
        if self.target is not None:
            here, there = np.array(self.marine), np.array(self.target)
            distance = float(np.linalg.norm(there - here))
            if distance <= self.rules.speed:
                self.marine, self.target = tuple(there.tolist()), None
            else:
                self.marine = tuple((here + (there - here) * self.rules.speed / distance).tolist())
        after = self._away(self.marine)
        guided = self.rules.guide * (before - after)
        if after > self.rules.radius:
            return guided
        self._place()
        return 1.0 + guided

    def player_relative(self) -> NDArray[np.int32]:
        """(rows, columns) whose unit stands where."""
        plane = np.zeros((self.rules.size, self.rules.size), np.int32)
        x, y = self.beacon
        reach = self.rules.radius
        plane[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = NEUTRAL
        plane[self._cell()] = SELF
        return plane

    def selected_plane(self) -> NDArray[np.int32]:
        """(rows, columns) 1 where a unit is selected."""
        plane = np.zeros((self.rules.size, self.rules.size), np.int32)
        plane[self._cell()] = int(self.selected)
        return plane

    def available(self) -> tuple[str, ...]:
        """Names of the functions that may be called now."""
        return ALWAYS + SELECTED if self.selected else ALWAYS

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` goes on."""
        names = ("seed", "episode", "beacons", "selected", "target", "beacon", "marine")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name, value in state.items():
            setattr(self, name, value)

    def _place(self) -> None:
        """The next beacon, off the marine."""
        self.beacons += 1
        attempt = 0
        while attempt == 0 or self._away(self.marine) <= self.rules.radius + 1:
            x, y = self._draw(self.beacons, 2, attempt).tolist()
            self.beacon = (x, y)
            attempt += 1

    def _draw(self, beacon: int, count: int, attempt: int = 0) -> NDArray[np.int64]:
        key = np.array([self.seed, (self.episode << 32) + beacon], np.uint64)
        draws = np.random.Generator(np.random.Philox(key=key, counter=attempt))
        return draws.integers(self.rules.radius, self.rules.size - self.rules.radius, count)

    def _away(self, place: tuple[float, ...]) -> float:
        return max(abs(place[0] - self.beacon[0]), abs(place[1] - self.beacon[1]))

    def _cell(self) -> tuple[int, int]:
        x, y = self.marine
        return round(y), round(x)


def points_of(interface: Interface, call: Call) -> tuple[str, list[tuple[int, int]]]:
    """The name of a call's function, and its points."""
    function = interface.by_id[call.function]
    kinds = [interface.arguments[place] for place in function.arguments]
    return function.name, [
        (values[0], values[1]) for kind, values in zip(kinds, call.arguments, strict=True) if kind.spatial
    ]
