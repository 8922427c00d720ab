"""Levels as arrays, and the files they are kept in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.atomic import atomic_write
from offprints.data import load_npz
from offprints.errors import InputError

from relational_rl.boxworld.codes import COLOURS, DISTRACTOR, FLOOR, GEM, KEY, LOCK, U8, WALL


@dataclass(frozen=True)
class Levels:
    """M levels.

    Attributes:
        objects: (M, side, side) uint8, the code of every cell; the agent is not drawn, its cell is floor.
        agent: (M,) int32, the flat cell that the agent starts on.
        solution_length: (M,) uint8, boxes on the way to the gem.
        num_distractor_boxes: (M,) uint8, locks whose opening ends the episode.
    """

    objects: U8
    agent: NDArray[np.int32]
    solution_length: U8
    num_distractor_boxes: U8

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, which: Any) -> Levels:
        """Some of the levels, by slice or index array."""
        return Levels(
            self.objects[which],
            self.agent[which],
            self.solution_length[which],
            self.num_distractor_boxes[which],
        )

    @property
    def side(self) -> int:
        return int(self.objects.shape[1])

    def require(self, count: int, side: int) -> None:
        """That there is one level for each of so many environments, on boards of this side.

        Raises:
            ValueError: there is not.
        """
        if len(self) != count or self.side != side:
            raise ValueError(
                f"{len(self)} levels on boards of side {self.side} for {count} environments of side {side}"
            )

    @classmethod
    def empty(cls, count: int, side: int) -> Levels:
        """Room for so many levels."""
        return cls(
            np.zeros((count, side, side), np.uint8),
            np.zeros(count, np.int32),
            np.zeros(count, np.uint8),
            np.zeros(count, np.uint8),
        )

    def put(self, where: NDArray[Any], given: Levels, chosen: NDArray[Any] | slice = slice(None)) -> None:
        """Write the chosen ones of `given` to the places `where`."""
        self.objects[where] = given.objects[chosen]
        self.agent[where] = given.agent[chosen]
        self.solution_length[where] = given.solution_length[chosen]
        self.num_distractor_boxes[where] = given.num_distractor_boxes[chosen]


def save_levels(path: str | Path, levels: Levels) -> None:
    """Write an .npz file, atomically; the agent as (row, column)."""
    row, column = np.divmod(levels.agent, levels.side)
    with atomic_write(path) as stream:
        np.savez_compressed(
            stream,
            objects=levels.objects,
            agent=np.stack([row, column], axis=1).astype(np.uint8),
            solution_length=levels.solution_length,
            num_distractor_boxes=levels.num_distractor_boxes,
        )


def load_levels(path: str | Path) -> Levels:
    """Read a file of levels and check each of them.

    Raises:
        MissingFile: there is no such file.
        DataError: it is no .npz file of levels.
        InputError: a level breaks a rule: names the level and the rule.
    """
    names = ("objects", "agent", "solution_length", "num_distractor_boxes")
    found = load_npz(path, names)
    objects, agent = found["objects"], found["agent"]
    if objects.ndim != 3 or objects.shape[1] != objects.shape[2] or objects.dtype != np.uint8:
        raise InputError(
            f"{path}: objects is {objects.dtype} {objects.shape}, expected uint8 (levels, side, side)"
        )
    if agent.shape != (len(objects), 2):
        raise InputError(f"{path}: agent has the shape {agent.shape}, expected ({len(objects)}, 2)")
    for name in names[2:]:
        if found[name].shape != (len(objects),):
            raise InputError(f"{path}: {name} has the shape {found[name].shape}, expected ({len(objects)},)")
    side = objects.shape[1]
    if side < 8:
        raise InputError(f"{path}: boards of {side} x {side}, but the smallest room is 6 x 6 and its wall")
    place = agent.astype(np.int64)
    if len(place) and (place.min() < 0 or place.max() >= side):
        raise InputError(f"{path}: an agent starts outside of the board")
    levels = Levels(
        objects,
        (place[:, 0] * side + place[:, 1]).astype(np.int32),
        found["solution_length"].astype(np.uint8),
        found["num_distractor_boxes"].astype(np.uint8),
    )
    check_levels(levels, str(path))
    return levels


def check_levels(levels: Levels, origin: str) -> None:
    """Refuse levels that are not Box-World's.

    Args:
        levels: to look at.
        origin: for the message: where they came from.

    Raises:
        InputError: names the first level that breaks a rule, and the rule.
    """
    cells = levels.objects
    keys = (cells >= KEY) & (cells < LOCK)
    locks = (cells >= LOCK) & (cells < DISTRACTOR + COLOURS)
    contents = keys | (cells == GEM)
    border = np.ones(cells.shape[1:], np.bool_)
    border[1:-1, 1:-1] = False
    boxed = contents[:, :, :-1] & locks[:, :, 1:]
    rows = np.arange(len(levels))
    rules = (
        ("has a cell of an unknown code", (cells >= DISTRACTOR + COLOURS).any(axis=(1, 2))),
        ("has a gap in its wall, or a wall inside", ((cells == WALL) != border).any(axis=(1, 2))),
        ("does not have exactly one gem", (cells == GEM).sum(axis=(1, 2)) != 1),
        ("has things that touch", _touching(contents, locks)),
        ("does not have exactly one loose key", contents.sum(axis=(1, 2)) - boxed.sum(axis=(1, 2)) != 1),
        ("has a lock without a content to its left", locks.sum(axis=(1, 2)) != boxed.sum(axis=(1, 2))),
        (
            "has the agent on something else than floor",
            cells.reshape(len(levels), -1)[rows, levels.agent] != FLOOR,
        ),
        (
            "has another solution length than its locks say",
            ((cells >= LOCK) & (cells < DISTRACTOR)).sum(axis=(1, 2)) != levels.solution_length,
        ),
        (
            "has another number of distractor boxes than it says",
            (cells >= DISTRACTOR).sum(axis=(1, 2)) != levels.num_distractor_boxes,
        ),
    )
    for rule, broken in rules:
        if broken.any():
            raise InputError(f"{origin}: level {int(np.argmax(broken))} {rule}")


def _touching(contents: NDArray[np.bool_], locks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(M,) whether two things lie side by side or corner to corner, the two pixels of a box apart."""
    taken = contents | locks
    below = taken[:, :-1] & taken[:, 1:]
    slanted = (taken[:, :-1, :-1] & taken[:, 1:, 1:]) | (taken[:, :-1, 1:] & taken[:, 1:, :-1])
    beside = taken[:, :, :-1] & taken[:, :, 1:] & ~(contents[:, :, :-1] & locks[:, :, 1:])
    pairs = [part.reshape(len(taken), -1) for part in (below, slanted, beside)]
    touching: NDArray[np.bool_] = np.logical_or.reduce(np.concatenate(pairs, axis=1), axis=1)
    return touching
