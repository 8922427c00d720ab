"""Where things may be placed: bit masks of the cells that are still valid, and what placing a thing takes away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from relational_rl.boxworld.counter import U64

BUDGET = 200
"""Rejected draws that a level may cost, all things and the agent together."""
ATTEMPTS = 200
"""Levels that are drawn anew before the generator gives up."""


@dataclass(frozen=True)
class Places:
    """Tables of a room, for content cells p in rows 2 to n - 1 and columns 2 to n - 3, and agent cells in rows 2 to n - 1 and
    columns 1 to n - 1.

    The authors' program draws a cell until its 3 x 4 window is all floor. How often it fails follows a geometric law that depends
    only on how many cells are valid, and the cell it ends on is uniform among those: drawing both at once has the same
    distribution, the budget of failures included, and needs no loop.

    Attributes:
        cell: (P,) flat cell of the board of each content place.
        agent_cell: (A,) flat cell of each agent place.
        start: (W,) bits of all content places.
        after_key: (P, W) bits of the places that stay valid when a loose key lies at p.
        after_box: (P, W) the same for a box.
        agent_start: (V,) bits of all agent places.
        under_key: (P, V) bits of the agent places not taken by a loose key at p.
        under_box: (P, V) the same for a box.
        fail: (draws + 1,) 1 / log(1 - v / draws): the scale of the number of failures when v cells are valid.
        agent_fail: the same for the agent.
    """

    cell: NDArray[np.int64]
    agent_cell: NDArray[np.int64]
    start: U64
    after_key: U64
    after_box: U64
    agent_start: U64
    under_key: U64
    under_box: U64
    fail: NDArray[np.float64]
    agent_fail: NDArray[np.float64]


@lru_cache(maxsize=16)
def places(size: int) -> Places:
    """The tables of a room of size x size cells."""
    side = size + 2
    row, column = (axis.ravel() for axis in np.mgrid[2:size, 2 : size - 2])
    agent_row, agent_column = (axis.ravel() for axis in np.mgrid[2:size, 1:size])
    valid_by_key = ~_in_window(row, column, row, column)
    valid_by_box = valid_by_key & ~_in_window(row, column, row, column + 1)
    agent_cell = agent_row * side + agent_column
    cell = row * side + column
    free_of_key = agent_cell[None] != cell[:, None]
    free_of_box = free_of_key & (agent_cell[None] != cell[:, None] + 1)
    return Places(
        cell=cell,
        agent_cell=agent_cell,
        start=_bits(np.ones((1, len(cell)), np.bool_))[0],
        after_key=_bits(valid_by_key),
        after_box=_bits(valid_by_box),
        agent_start=_bits(np.ones((1, len(agent_cell)), np.bool_))[0],
        under_key=_bits(free_of_key),
        under_box=_bits(free_of_box),
        # The authors draw the column from 1 on, where the window always meets the wall: a failure each time.
        fail=_failures((size - 2) * (size - 3)),
        agent_fail=_failures(len(agent_cell)),
    )


def _in_window(
    row: NDArray[np.int64], column: NDArray[np.int64], at_row: NDArray[np.int64], at_column: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(Q, P) whether cell q lies in the 3 x 4 window of place p."""
    down, right = at_row[:, None] - row[None], at_column[:, None] - column[None]
    inside: NDArray[np.bool_] = (np.abs(down) <= 1) & (right >= -1) & (right <= 2)
    return inside


def _bits(flags: NDArray[np.bool_]) -> U64:
    """(rows, ceil(columns / 64)) words of 64 flags, the first in the lowest bit."""
    padded = np.zeros((len(flags), -(-flags.shape[1] // 64) * 64), np.bool_)
    padded[:, : flags.shape[1]] = flags
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def _failures(draws: int) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        scale = 1 / np.log1p(-np.arange(draws + 1) / draws)
    scale[0] = -np.inf  # no valid cell: endless failures
    return scale
