"""The rules written down plainly: one environment, one board, the whole frame drawn at every step."""

from __future__ import annotations

from typing import Any

import numpy as np

from relational_rl import BoxWorldSpec, sample_levels
from relational_rl.boxworld.codes import AGENT, DISTRACTOR, FLOOR, GEM, KEY, LOCK, NO_KEY, WALL, palette


class PlainBoxWorld:
    """Follows the authors' rules step by step; levels are drawn beforehand and not part of what is timed."""

    def __init__(self, spec: BoxWorldSpec) -> None:
        self.spec = spec
        self.levels = sample_levels(spec, 1000, seed=0)
        self.palette = palette(spec.palette)
        self.number = -1

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        self.number = 0 if seed is not None else (self.number + 1) % len(self.levels)
        self.board = self.levels.objects[self.number].copy()
        self.agent = divmod(int(self.levels.agent[self.number]), self.levels.side)
        self.held, self.steps = NO_KEY, 0
        return self.frame(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        row = self.agent[0] + (-1, 1, 0, 0)[action]
        column = self.agent[1] + (0, 0, -1, 1)[action]
        code = int(self.board[row, column])
        reward, over, moves = 0.0, False, code != WALL
        if code >= LOCK:
            fits, fails = code == self.held + LOCK - KEY, code == self.held + DISTRACTOR - KEY
            moves, over = fits or fails, fails
            if moves:
                reward, self.held = 1.0 if fits else -1.0, NO_KEY
        elif code >= GEM:
            moves = self.board[row, column + 1] < LOCK
            if moves and code == GEM:
                reward, over = 10.0, True
            elif moves:
                self.held = code
        if moves:
            self.board[row, column] = FLOOR
            self.agent = row, column
        return self.frame(), reward, over, not over and self.steps >= self.spec.max_steps, {}

    def frame(self) -> np.ndarray:
        frame = self.palette[self.board]
        frame[0, 0] = self.palette[self.held]
        frame[self.agent] = self.palette[AGENT]
        return frame
