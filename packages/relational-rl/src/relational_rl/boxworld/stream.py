"""The levels of many environments, each one's in its own order, drawn many at a time before they are needed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from relational_rl.boxworld.counter import U64, level_keys, stream_keys
from relational_rl.boxworld.generator import generate
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.places import ATTEMPTS, places
from relational_rl.boxworld.spec import BoxWorldSpec

_AHEAD = 8192
"""Levels that are drawn at once, all environments together, so that a call's fixed cost is shared."""


def use_compiled(accelerate: str) -> bool:
    """Whether to use compiled loops.

    Args:
        accelerate: "auto" uses them where numba is installed; "numba" insists; "numpy" does without.

    Raises:
        InputError: it is none of these, or numba is asked for and absent.
    """
    if accelerate not in ("auto", "numpy", "numba"):
        raise InputError(f"accelerate={accelerate!r} is unknown: auto, numpy or numba")
    there = find_spec("numba") is not None
    if accelerate == "numba" and not there:
        raise InputError(
            "accelerate=numba needs numba: python -m pip install 'offprints-relational-rl[fast]'"
        )
    return there and accelerate != "numpy"


def draw_levels(spec: BoxWorldSpec, streams: U64, number: NDArray[Any], compiled: bool = False) -> Levels:
    """Level `number` of each environment; see `generator.generate`.

    Args:
        spec: what levels to draw.
        streams: (B,) keys of the environments.
        number: (B,) which level of its environment.
        compiled: by compiled loops, to the same levels.
    """
    if not compiled:
        return generate(spec, streams, number)
    from relational_rl.boxworld import compiled as loops

    found = Levels.empty(len(streams), spec.side)
    done = loops.levels(
        level_keys(streams, number),
        found.objects.reshape(len(streams), -1),
        found.agent,
        found.solution_length,
        found.num_distractor_boxes,
        spec.side,
        _tables(spec),
    )
    if done < len(streams):
        raise InputError(
            f"no level of {spec} could be placed in {ATTEMPTS} attempts: fewer or shorter branches, or a larger size"
        )
    return found


def sample_levels(spec: BoxWorldSpec, count: int, seed: int = 0, accelerate: str = "auto") -> Levels:
    """The first level of `count` environments of this seed: a fixed set of levels, for evaluation.

    Args:
        spec: what levels to draw.
        count: how many.
        seed: of the levels.
        accelerate: see `use_compiled`; the levels are the same.

    Raises:
        InputError: fewer than one are asked for, or none can be placed.
    """
    if count < 1:
        raise InputError(f"{count} levels were asked for; 1 or more can be drawn")
    streams = stream_keys(seed, np.arange(count))
    return draw_levels(spec, streams, np.zeros(count, np.int64), use_compiled(accelerate))


def _tables(spec: BoxWorldSpec) -> tuple[Any, ...]:
    """The spec as the compiled generator takes it."""
    room = places(spec.size)
    choices = tuple(np.array(counts) for counts in (spec.solution_lengths, spec.forward, spec.backward))
    split = {None: 0, "train": 1, "test": 2}[spec.withheld]
    withheld = spec.withheld_table
    return (
        choices,
        (spec.branch_length, split, withheld, np.argwhere(withheld)),
        (room.cell, room.after_key, room.after_box, room.under_key, room.under_box, room.fail),
        (room.agent_cell, room.agent_fail),
        room.start,
        room.agent_start,
        spec.colours,
    )


class LevelStream:
    """The next levels of each environment.

    Args:
        spec: what levels to draw.
        count: B, the environments.
        compiled: draw by compiled loops.
        ahead: levels kept ready for each environment; None chooses. It changes nothing but speed.

    Attributes:
        streams: (B,) keys of the environments.
        number: (B,) of the level that each environment gets next.
        ready: (B,) levels of each environment that have been drawn.
        ahead: levels that are kept for each environment.
        kept: level n of environment i at place i * ahead + n % ahead.
    """

    def __init__(
        self, spec: BoxWorldSpec, count: int, compiled: bool = False, ahead: int | None = None
    ) -> None:
        self.spec, self.compiled = spec, compiled
        self.ahead = ahead or min(256, max(4, _AHEAD // count))
        self.streams = np.zeros(count, np.uint64)
        self.number = np.zeros(count, np.int64)
        self.ready = np.zeros(count, np.int64)
        self.kept = Levels.empty(count * self.ahead, spec.side)

    def begin(self, streams: U64, number: NDArray[Any] | int = 0) -> None:
        """Start every environment's levels at `number`."""
        self.streams[:] = streams
        self.number[:] = number
        self.ready[:] = self.number

    def restart(self, which: NDArray[Any], streams: U64) -> None:
        """Start some environments' levels anew, from another key."""
        self.streams[which] = streams
        self.number[which] = self.ready[which] = 0

    def take(self, which: NDArray[np.int64]) -> Levels:
        """The next level of each environment in `which`, which goes on to the one after."""
        number = self.number[which]
        if (number >= self.ready[which]).any():
            self.refill()
        self.number[which] += 1
        return self.kept[which * self.ahead + number % self.ahead]

    def refill(self) -> None:
        """Draw levels until each environment has `ahead` of them again."""
        missing = self.number + self.ahead - self.ready
        env = np.repeat(np.arange(len(missing)), missing)
        nth = np.arange(len(env)) - np.repeat(np.cumsum(missing) - missing, missing)
        number = self.ready[env] + nth
        drawn = draw_levels(self.spec, self.streams[env], number, self.compiled)
        self.kept.put(env * self.ahead + number % self.ahead, drawn)
        self.ready += missing
