"""What a step of Box-World does, for many boards at once; the reference for the compiled and the torch versions.

The agent's target is the neighbour in the action's direction. Floor: it moves. A lock whose key it holds: it moves there, lock and key
are gone, +1; a distractor's lock gives -1 and ends the episode. A key or the gem that no lock stands to the right of: it moves
there and holds the key (one it held is lost), or has won, +10. Anything else: it stays, and the step counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relational_rl.boxworld.codes import AGENT, DISTRACTOR, FLOOR, GEM, KEY, LOCK, NO_KEY, U8
from relational_rl.boxworld.codes import palette as palette_of
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import LevelStream

Flags = NDArray[np.bool_]


@dataclass
class Boards:
    """The state of B environments and their frames, which are kept in step with it.

    Attributes:
        cells: (B, S) uint8, the code of every cell; S is side * side.
        agent: (B,) int64, flat cell.
        held: (B,) uint8, the code of the key in the inventory, or NO_KEY.
        steps: (B,) int64, steps of the episode.
        frames: (B, 3 * S) uint8, RGB.
        solution_length: (B,) uint8, of the level.
    """

    cells: U8
    agent: NDArray[np.int64]
    held: U8
    steps: NDArray[np.int64]
    frames: U8
    solution_length: U8

    @classmethod
    def empty(cls, count: int, side: int) -> Boards:
        """Boards without a level yet."""
        return cls(
            np.zeros((count, side * side), np.uint8),
            np.full(count, side + 1, np.int64),
            np.full(count, NO_KEY, np.uint8),
            np.zeros(count, np.int64),
            np.zeros((count, 3 * side * side), np.uint8),
            np.zeros(count, np.uint8),
        )

    def begin(self, which: NDArray[Any], levels: Levels) -> None:
        """Start the levels on the boards `which`; frames are not drawn."""
        self.cells[which] = levels.objects.reshape(len(levels), -1)
        self.agent[which] = levels.agent
        self.held[which] = NO_KEY
        self.steps[which] = 0
        self.solution_length[which] = levels.solution_length


@dataclass
class Outcome:
    """What a step of B environments came to.

    Attributes:
        reward: (B,) float32.
        terminated: (B,) bool.
        truncated: (B,) bool.
        solved: (B,) bool, the step took the gem.
        distractor: (B,) bool, the step opened a wrong lock.
        ended: (E,) int64, the environments whose episode is over.
    """

    reward: NDArray[np.float32]
    terminated: Flags
    truncated: Flags
    solved: Flags
    distractor: Flags
    ended: NDArray[np.int64]

    @classmethod
    def empty(cls, count: int) -> Outcome:
        """Room for the outcome of so many environments."""
        a, b, c, d = (np.zeros(count, np.bool_) for _ in range(4))
        return cls(np.zeros(count, np.float32), a, b, c, d, np.zeros(0, np.int64))

    def forget(self, which: NDArray[np.int64]) -> None:
        """Some environments have played no step after all."""
        self.reward[which] = 0
        for flags in (self.terminated, self.truncated, self.solved, self.distractor):
            flags[which] = False
        self.ended = np.flatnonzero(self.terminated | self.truncated)


class Rules:
    """Steps and frames of boards under a spec.

    Args:
        spec: whose rules, step limit and palette.
    """

    def __init__(self, spec: BoxWorldSpec) -> None:
        side = spec.side
        self.spec = spec
        self.palette = palette_of(spec.palette)
        self.deltas = np.array([-side, side, -1, 1])
        self.legacy = spec.rules == "legacy"

    def step(
        self, boards: Boards, actions: NDArray[Any], reward: NDArray[np.float32], terminated: Flags
    ) -> None:
        """Play one step of every board, in place.

        Args:
            boards: changed.
            actions: (B,) integers, 0 up, 1 down, 2 left, 3 right.
            reward: (B,) float32, written.
            terminated: (B,) bool, written.

        Raises:
            ValueError: an action is not 0 to 3; nothing is changed.
        """
        check_actions(actions)
        count, places = boards.cells.shape
        base = np.arange(0, count * places, places)
        cells = boards.cells.reshape(-1)
        target = boards.agent + self.deltas[actions]
        code = cells[base + target]
        moves = code == FLOOR
        boards.steps += 1
        reward.fill(0)
        terminated.fill(False)
        touched = np.flatnonzero(code > 1)  # an object and not a wall: few of them
        if len(touched):
            moves[touched] = self._touch(boards, touched, target[touched], reward, terminated)
        frames = boards.frames.reshape(-1)
        old = 3 * (base + boards.agent)
        np.copyto(boards.agent, target, where=moves)
        new = 3 * (base + boards.agent)
        floor, agent = self.palette[FLOOR].tolist(), self.palette[AGENT].tolist()
        for channel in range(3):
            frames[old + channel] = floor[channel]
            frames[new + channel] = agent[channel]

    def play(self, boards: Boards, actions: NDArray[Any], outcome: Outcome) -> None:
        """A step of every board, and what it means for the episodes; in place.

        Args:
            boards: changed.
            actions: (B,) integers, 0 up, 1 down, 2 left, 3 right.
            outcome: written.

        Raises:
            ValueError: an action is not 0 to 3; nothing is changed.
        """
        reward, terminated, truncated = outcome.reward, outcome.terminated, outcome.truncated
        self.step(boards, actions, reward, terminated)
        np.greater_equal(reward, 10, out=outcome.solved)
        np.less(reward, 0, out=outcome.distractor)
        np.greater_equal(boards.steps, self.spec.last_step, out=truncated)
        over = terminated | truncated
        if self.spec.reference_time_limit:
            np.copyto(terminated, over)
            truncated.fill(False)
        else:
            truncated &= ~terminated
        outcome.ended = np.flatnonzero(over)

    def begin(self, boards: Boards, which: NDArray[np.int64], levels: LevelStream) -> None:
        """Start the next level of the boards `which`, and draw them."""
        boards.begin(which, levels.take(which))
        self.draw(boards, which)

    def _touch(
        self,
        boards: Boards,
        which: NDArray[np.int64],
        target: NDArray[np.int64],
        reward: NDArray[np.float32],
        terminated: Flags,
    ) -> Flags:
        """What happens on boards whose agent meets an object; returns which of these agents move."""
        code, held = boards.cells[which, target], boards.held[which]
        right = boards.cells[which, target + 1]
        opens = code == held + (LOCK - KEY)
        fails = code == held + (DISTRACTOR - KEY)
        takes = (code < LOCK) & (right < LOCK)
        wins = takes & (code == GEM)
        moves: Flags = opens | fails | takes
        gained = opens.astype(np.float32) - fails + 10 * wins
        held = np.where(takes & ~wins, code, np.where(opens | fails, NO_KEY, held)).astype(np.uint8)
        shown = held.copy()
        if self.legacy:
            gained += takes & ~wins
            inside, at = np.flatnonzero(opens), target[opens] - 1
            content = boards.cells[which[inside], at]
            boards.cells[which[inside], at] = FLOOR
            self._paint(boards, which[inside], at, np.full(len(at), FLOOR))
            gem = content == GEM
            wins[inside] |= gem
            gained[inside[gem]] = 10
            held[inside] = np.where(gem, NO_KEY, content)
            shown[inside] = content
        boards.cells[which[moves], target[moves]] = FLOOR
        boards.held[which] = held
        self._paint(boards, which, np.zeros(len(which), np.int64), shown)
        reward[which] = gained
        terminated[which] = fails | wins
        return moves

    def draw(self, boards: Boards, which: NDArray[Any]) -> None:
        """Draw whole boards anew."""
        drawn = self.palette[boards.cells[which]]
        rows = np.arange(len(which))
        drawn[:, 0] = self.palette[boards.held[which]]
        drawn[rows, boards.agent[which]] = self.palette[AGENT]
        boards.frames[which] = drawn.reshape(len(which), boards.frames.shape[1])

    def _paint(self, boards: Boards, which: NDArray[Any], cell: NDArray[Any], code: NDArray[Any]) -> None:
        """Paint one cell of each board."""
        boards.frames.reshape(len(boards.cells), -1, 3)[which, cell] = self.palette[code]


def check_actions(actions: NDArray[Any]) -> None:
    """Refuse actions that are none.

    Raises:
        ValueError: names the first environment and its action.
    """
    if len(actions) and (actions.min() < 0 or actions.max() > 3):
        where = int(np.argmax((actions < 0) | (actions > 3)))
        raise ValueError(
            f"action {int(actions[where])} of environment {where} is none: 0 up, 1 down, 2 left, 3 right"
        )


class CompiledRules(Rules):
    """The same, compiled; made by `rules_for`."""

    def step(
        self, boards: Boards, actions: NDArray[Any], reward: NDArray[np.float32], terminated: Flags
    ) -> None:
        from relational_rl.boxworld import compiled

        wrong = compiled.step(
            actions,
            boards.cells,
            boards.agent,
            boards.held,
            boards.steps,
            boards.frames,
            self.palette,
            self.deltas,
            self.legacy,
            reward,
            terminated,
        )
        if wrong >= 0:
            check_actions(actions)

    def play(self, boards: Boards, actions: NDArray[Any], outcome: Outcome) -> None:
        from relational_rl.boxworld import compiled

        ended = np.empty(len(actions), np.int64)
        count = compiled.play(
            actions,
            _state(boards),
            self.palette,
            self.deltas,
            self.legacy,
            self.spec.last_step,
            self.spec.reference_time_limit,
            (*list(vars(outcome).values())[:5], ended),
        )
        if count < 0:
            check_actions(actions)
        outcome.ended = ended[:count]

    def begin(self, boards: Boards, which: NDArray[np.int64], levels: LevelStream) -> None:
        from relational_rl.boxworld import compiled

        kept = (
            levels.kept.objects.reshape(len(levels.kept), -1),
            levels.kept.agent,
            levels.kept.solution_length,
        )
        told = (levels.ahead, kept, _state(boards), boards.solution_length, self.palette)
        if not compiled.begin(which, levels.number, levels.ready, *told):
            levels.refill()
            compiled.begin(which, levels.number, levels.ready, *told)

    def draw(self, boards: Boards, which: NDArray[Any]) -> None:
        from relational_rl.boxworld import compiled

        compiled.draw(boards.cells, boards.agent, boards.held, boards.frames, self.palette, which)


def _state(boards: Boards) -> tuple[NDArray[Any], ...]:
    """The boards as the compiled loops take them."""
    return boards.cells, boards.agent, boards.held, boards.steps, boards.frames


def rules_for(spec: BoxWorldSpec, compiled: bool) -> Rules:
    """The rules of a spec, compiled or not."""
    return CompiledRules(spec) if compiled else Rules(spec)
