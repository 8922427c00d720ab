"""The exact planner: which moves lie on a shortest way to the gem, for many boards at once.

A level's solution is a chain. While no key is held there is one thing that can be taken: the loose key, or the content of the box
just opened. While a key is held there is one lock of the solution that it opens. Everything else on the board is in the way. The next
target is therefore forced, a shortest plan is the shortest way to each target in turn, and the sum of their lengths is the length
of the shortest solution: no plan is shorter.

Shortest ways come from a wave that spreads from the target over free floor until it reaches the agent. A board's row is one machine word,
so that a wave moves by shifts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relational_rl.boxworld.codes import FLOOR, GEM, KEY, LOCK, NO_KEY, U8
from relational_rl.boxworld.counter import U64
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.rules import Boards, Flags

Ints = NDArray[np.int64]
ONE = np.uint64(1)


def next_target(cells: U8, held: U8) -> Ints:
    """The cell that has to be stepped on next.

    Args:
        cells: (B, S) codes.
        held: (B,) code of the key held, or NO_KEY.

    Returns:
        (B,) flat cell; -1 where the level cannot be solved any more, or is.
    """
    content = (cells >= GEM) & (cells < LOCK)
    open_content = content.copy()
    open_content[:, :-1] &= cells[:, 1:] < LOCK
    # As a signed sum: an empty inventory's code stands for no lock.
    fits = cells == (held.astype(np.int64) + (LOCK - KEY))[:, None]
    wanted = np.where((held == NO_KEY)[:, None], open_content, fits)
    return np.where(wanted.any(axis=1), wanted.argmax(axis=1), -1)


def optimal_moves(cells: U8, agent: NDArray[Any], held: U8) -> tuple[Flags, Ints]:
    """The actions with which a shortest way to the next target begins.

    Args:
        cells: (B, S) codes, the agent's cell being floor.
        agent: (B,) flat cell.
        held: (B,) code of the key held, or NO_KEY.

    Returns:
        (B, 4) bool, which of up, down, left, right are optimal; (B,) steps to the next target, 0 and no action where there
        is none or no way.
    """
    count, places = cells.shape
    side = int(np.sqrt(places))
    target = next_target(cells, held)
    alive = target >= 0
    rows = np.arange(count)
    free = _words(cells.reshape(count, side, side) == FLOOR)  # (side, B)
    agent_row, agent_column = np.divmod(agent.astype(np.int64), side)
    row, column = np.divmod(np.maximum(target, 0), side)
    wave = np.zeros_like(free)
    wave[row[alive], rows[alive]] = ONE << column[alive].astype(np.uint64)
    at = agent_column.astype(np.uint64)
    best, distance = np.zeros((count, 4), np.bool_), np.zeros(count, np.int64)
    waiting = alive.copy()
    left, length = rows[alive], 0
    while len(left):
        length += 1
        # The agent is reached in this step where one of its neighbours was reached in an earlier one.
        near = np.stack(
            [
                wave[agent_row[left] - 1, left] >> at[left],
                wave[agent_row[left] + 1, left] >> at[left],
                wave[agent_row[left], left] >> (at[left] - ONE),
                wave[agent_row[left], left] >> (at[left] + ONE),
            ],
            axis=1,
        )
        reached = (near & ONE).astype(np.bool_)
        now = reached.any(axis=1)
        best[left[now]], distance[left[now]] = reached[now], length
        waiting[left[now]] = False
        grown = wave | (wave << ONE) | (wave >> ONE)
        grown[1:] |= wave[:-1]
        grown[:-1] |= wave[1:]
        grown = (grown & free) | wave
        stuck = ~(grown != wave).any(axis=0)
        wave = grown
        left = left[~now & ~stuck[left]]
    return best, distance


def optimal_lengths(levels: Levels) -> Ints:
    """(M,) steps of the shortest solution of each level; -1 where there is none.

    The total goes from target to target by the rules of a step, without playing the steps between.
    """
    cells = levels.objects.reshape(len(levels), -1).copy()
    agent, held = levels.agent.astype(np.int64), np.full(len(levels), NO_KEY, np.uint8)
    total = np.zeros(len(levels), np.int64)
    left = np.arange(len(levels))
    while len(left):
        target = next_target(cells[left], held[left])
        _, steps = optimal_moves(cells[left], agent[left], held[left])
        lost = steps == 0
        total[left[lost]] = -1
        left, target, steps = left[~lost], target[~lost], steps[~lost]
        total[left] += steps
        code = cells[left, target]
        cells[left, target], agent[left] = FLOOR, target
        held[left] = np.where((code >= LOCK) | (code == GEM), NO_KEY, code)
        left = left[code != GEM]
    return total


class Oracle:
    """Plays shortest solutions on the boards of an environment.

    Args:
        boards: of a `BoxWorldVectorEnv` under the authors' rules.
    """

    def __init__(self, boards: Boards) -> None:
        self._boards = boards

    def moves(self) -> Flags:
        """(B, 4) which actions are optimal now."""
        return self.labels()[0]

    def labels(self) -> tuple[Flags, Ints]:
        """(B, 4) which actions are optimal now, and (B,) the cell that has to be stepped on next; -1 where there is none."""
        boards = self._boards
        moves, _ = optimal_moves(boards.cells, boards.agent, boards.held)
        return moves, next_target(boards.cells, boards.held)

    def actions(self) -> Ints:
        """(B,) the first optimal action of each environment; 0 where there is none."""
        first: Ints = self.moves().argmax(axis=1)
        return first


def _words(flags: NDArray[np.bool_]) -> U64:
    """(side, B) one word a row of each board, column 0 in the lowest bit."""
    count, side, _ = flags.shape
    packed = np.zeros((count, side, 8), np.uint8)
    packed[:, :, : -(-side // 8)] = np.packbits(flags, axis=2, bitorder="little")
    return np.ascontiguousarray(packed.view("<u8")[:, :, 0].T).astype(np.uint64)
