"""One Box-World as a Gymnasium environment; a step is plain integers, without the cost of small arrays."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from relational_rl.boxworld.codes import AGENT, DISTRACTOR, FLOOR, GEM, KEY, LOCK, NO_KEY, U8, WALL
from relational_rl.boxworld.codes import palette as palette_of
from relational_rl.boxworld.counter import stream_keys
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.render import Window, image, text
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import LevelStream, use_compiled


class BoxWorldEnv(gymnasium.Env[U8, Any]):
    """Box-World; `env_index` i of a seed plays what environment i of a `BoxWorldVectorEnv` of that seed plays.

    Args:
        spec: which Box-World; None takes `BoxWorldSpec(**options)`.
        render_mode: "human" opens a window, "rgb_array" and "ansi" return a picture or text, None does not render.
        env_index: which environment of the seed this is.
        accelerate: "auto", "numba" or "numpy": how levels are drawn; they are the same.
        options: of the spec.

    Source: Section 4.1; the rules and the generator of the authors' program.
    """

    metadata = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 8}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        spec: BoxWorldSpec | None = None,
        render_mode: str | None = None,
        env_index: int = 0,
        accelerate: str = "auto",
        **options: Any,
    ) -> None:
        self.world = spec or BoxWorldSpec(**options)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode={render_mode!r} is unknown: human, rgb_array, ansi or None")
        self.render_mode = render_mode
        side = self.world.side
        self.observation_space = gymnasium.spaces.Box(0, 255, (side, side, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(4)
        self._index = np.array([env_index])
        self._levels = LevelStream(self.world, 1, use_compiled(accelerate), ahead=64)
        self._palette = palette_of(self.world.palette)
        self._rgb = [row.tobytes() for row in self._palette]
        self._deltas = (-side, side, -1, 1)
        self._legacy = self.world.rules == "legacy"
        self._limit = self.world.last_step
        self._shape = (side, side, 3)
        self._cells = bytearray(side * side)
        self._frame = bytearray(3 * side * side)
        self._agent, self._held, self._steps, self._length = side + 1, NO_KEY, 0, 0
        self._playing, self._begun = False, False
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[U8, dict[str, Any]]:
        """Begin the next level; with a seed, level 0 of that seed.

        Args:
            seed: of the levels; None goes on, or draws one where there was none.
            options: may hold "level", a `Levels` of one level to play in place of the seed's.

        Returns:
            (side, side, 3) uint8, and the info: `solution_length`.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._levels.begin(stream_keys(seed, self._index))
        elif not self._begun:
            drawn = np.random.SeedSequence().generate_state(1, np.uint64)
            self._levels.begin(stream_keys(drawn, self._index))
        self._begun = True
        given = (options or {}).get("level")
        level = self._levels.take(np.zeros(1, np.int64)) if given is None else given
        if len(level) != 1 or level.side != self.world.side:
            raise ValueError(
                f"{len(level)} levels on boards of side {level.side}, expected one of side {self.world.side}"
            )
        self._begin(level)
        if self.render_mode == "human":
            self._show()
        return self._observation(), {"solution_length": self._length}

    def step(self, action: Any) -> tuple[U8, float, bool, bool, dict[str, Any]]:
        """One step.

        Args:
            action: 0 up, 1 down, 2 left, 3 right.

        Returns:
            Observation (side, side, 3) uint8, reward, terminated, truncated, and the info: `solved`, `distractor` (ended by a
            wrong lock), `solution_length`.

        Raises:
            ResetNeeded: before the first reset, or after the episode's end.
            ValueError: the action is none.
        """
        if not self._playing:
            raise ResetNeeded("call reset() before step(): there is no episode under way")
        if action not in (0, 1, 2, 3):
            raise ValueError(f"action {action!r} is none: 0 up, 1 down, 2 left, 3 right")
        self._steps += 1
        target = self._agent + self._deltas[action]
        code = self._cells[target]
        reward, over = 0.0, False
        if code == FLOOR:
            self._move(target)
        elif code != WALL:
            reward, over = self._touch(target, code)
        truncated = not over and self._steps >= self._limit
        if truncated and self.world.reference_time_limit:
            over, truncated = True, False
        self._playing = not (over or truncated)
        if self.render_mode == "human":
            self._show()
        info = {
            "solved": reward >= 10,
            "distractor": reward < 0,
            "solution_length": self._length,
        }
        return self._observation(), reward, over, truncated, info

    def render(self) -> Any:
        """A picture of 24 pixels a cell ("rgb_array"), text ("ansi"), or None ("human", whose window follows the steps)."""
        if self.render_mode == "rgb_array":
            return image(self._observation())
        if self.render_mode == "ansi":
            return text(
                np.frombuffer(bytes(self._cells), np.uint8).reshape(self._shape[:2]), self._agent, self._held
            )
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _begin(self, level: Levels) -> None:
        board = level.objects[0].reshape(-1)
        self._cells[:] = board.tobytes()
        self._frame[:] = self._palette[board].tobytes()
        self._agent, self._length = int(level.agent[0]), int(level.solution_length[0])
        self._held, self._steps, self._playing = NO_KEY, 0, True
        self._paint(self._agent, AGENT)

    def _touch(self, target: int, code: int) -> tuple[float, bool]:
        """Meet an object: the reward, and whether the episode ends."""
        cells = self._cells
        reward, over = 0.0, False
        shown = NO_KEY
        if code >= LOCK:
            if code == self._held + (DISTRACTOR - KEY):
                reward, over = -1.0, True
            elif code == self._held + (LOCK - KEY):
                reward = 1.0
            else:
                return 0.0, False
            self._held = NO_KEY
            if self._legacy and not over:
                shown = cells[target - 1]
                cells[target - 1] = FLOOR
                self._paint(target - 1, FLOOR)
                if shown == GEM:
                    reward, over = 10.0, True
                else:
                    self._held = shown
        elif cells[target + 1] >= LOCK:
            return 0.0, False
        elif code == GEM:
            reward, over, shown = 10.0, True, self._held
        else:
            self._held = shown = code
            reward = 1.0 if self._legacy else 0.0
        cells[target] = FLOOR
        self._paint(0, shown)
        self._move(target)
        return reward, over

    def _move(self, target: int) -> None:
        self._paint(self._agent, FLOOR)
        self._paint(target, AGENT)
        self._agent = target

    def _paint(self, cell: int, code: int) -> None:
        self._frame[3 * cell : 3 * cell + 3] = self._rgb[code]

    def _observation(self) -> U8:
        return np.frombuffer(self._frame, np.uint8).reshape(self._shape).copy()

    def _show(self) -> None:
        if self._window is None:
            self._window = Window(self._shape[0], "Box-World")
        self._window.show(self._observation(), self.metadata["render_fps"])
