"""Many Box-Worlds as one Gymnasium vector environment, stepped together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from relational_rl.boxworld.codes import NO_KEY, U8
from relational_rl.boxworld.counter import U64, stream_keys
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.render import image
from relational_rl.boxworld.rules import Boards, Flags, Outcome, rules_for
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import LevelStream, use_compiled

Step = tuple[U8, NDArray[np.float32], Flags, Flags, dict[str, Any]]


class BoxWorldVectorEnv(VectorEnv[U8, NDArray[Any], NDArray[Any]]):
    """B environments; environment i plays what a `BoxWorldEnv(env_index=i)` of the same seed plays.

    Level k of environment i is a function of the seed, i and k alone. `reset(seed=None)` goes on to the next level of each
    environment; a list of seeds makes environment i the first one (index 0) of the i-th seed.

    Args:
        num_envs: B.
        spec: which Box-World; None takes `BoxWorldSpec(**options)`.
        autoreset_mode: SAME_STEP resets in the step that ends an episode and leaves the last observations in
            info["final_obs"]; NEXT_STEP resets in the step after, which plays no action; DISABLED waits for
            reset(options={"reset_mask": ...}).
        accelerate: "auto", "numba" or "numpy": compiled loops or arrays, to the same numbers.
        copy: False hands out the environment's own arrays, which the next step overwrites: faster, for who reads them at once.
        first_index: index of the first environment, so that several processes share one set.
        render_mode: "rgb_array", for `render`, or None.
        options: of the spec.

    Source: Section 4.1; the rules and the generator of the authors' program.
    """

    def __init__(
        self,
        num_envs: int = 1,
        spec: BoxWorldSpec | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        accelerate: str = "auto",
        copy: bool = True,
        first_index: int = 0,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} must be 1 or more")
        self.world = spec or BoxWorldSpec(**options)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": 8,
            "autoreset_mode": self.autoreset_mode,
        }
        self.num_envs, self.copy, self.render_mode = num_envs, copy, render_mode
        side = self.world.side
        self.single_observation_space = gymnasium.spaces.Box(0, 255, (side, side, 3), np.uint8)
        self.single_action_space = gymnasium.spaces.Discrete(4)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        compiled = use_compiled(accelerate)
        self.rules = rules_for(self.world, compiled)
        self.boards = Boards.empty(num_envs, side)
        self.levels = LevelStream(self.world, num_envs, compiled)
        self._index = np.arange(first_index, first_index + num_envs)
        self._frames = self.boards.frames.reshape(num_envs, side, side, 3)
        self._outcome = Outcome.empty(num_envs)
        self._all = np.ones(num_envs, np.bool_)
        self._over = np.zeros(num_envs, np.bool_)  # episodes that have ended and not begun anew
        self._begun = False

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[U8, dict[str, Any]]:
        """Begin the next level of every environment, or of those in options["reset_mask"] ((B,) bool).

        Args:
            seed: of the levels, which then begin with level 0; None goes on, or draws a seed where there was none.
            options: may hold "reset_mask".

        Returns:
            (B, side, side, 3) uint8, and the info.

        Raises:
            ValueError: the mask or the seeds do not fit.
        """
        which = self._masked(options)
        streams = self._streams(seed)
        if streams is not None:
            if len(which) == self.num_envs:
                self.levels.begin(streams)
            else:
                self.levels.restart(which, streams[which])
        elif not self._begun:
            self.levels.begin(stream_keys(np.random.SeedSequence().generate_state(1, np.uint64), self._index))
        self._begin(which)
        self._begun = True
        return self._observation(), self._info()

    def step(self, actions: NDArray[Any]) -> Step:
        """One step of every environment.

        Args:
            actions: (B,) integers: 0 up, 1 down, 2 left, 3 right.

        Returns:
            Observations (B, side, side, 3) uint8, rewards (B,) float32, terminated (B,), truncated (B,), info with (B,) arrays
            `solved`, `distractor` (an episode ended by a wrong lock) and `solution_length`.

        Raises:
            ResetNeeded: before the first reset, or after an episode's end with autoreset disabled.
            ValueError: the actions are not (B,) integers from 0 to 3.
        """
        if not self._begun:
            raise ResetNeeded("call reset() before the first step()")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions are {actions.dtype} {actions.shape}, expected integers of the shape ({self.num_envs},)"
            )
        mode = self.autoreset_mode
        if mode is AutoresetMode.DISABLED and self._over.any():
            raise ResetNeeded(f"environment {int(np.argmax(self._over))} has ended: reset it by its mask")
        told = Outcome.empty(self.num_envs) if self.copy else self._outcome
        self.rules.play(self.boards, actions, told)
        if mode is AutoresetMode.NEXT_STEP and self._over.any():
            began = np.flatnonzero(self._over)
            self._begin(began)
            told.forget(began)
        info = self._info(told)
        if mode is not AutoresetMode.SAME_STEP:
            self._over = told.terminated | told.truncated
        elif len(told.ended):
            self._add_final(info, told.ended, told.terminated | told.truncated)
            self.rules.begin(self.boards, told.ended, self.levels)
            info["solution_length"] = self.boards.solution_length.copy()  # of the new levels
        return self._observation(), told.reward, told.terminated, told.truncated, info

    def play(self, levels: Levels) -> tuple[U8, dict[str, Any]]:
        """Begin these levels, one for each environment, in place of those of the seed; what follows them is the seed's (0 before any reset).

        Args:
            levels: B levels of boards of this size.

        Raises:
            ValueError: they are not as many, or of another size.
        """
        levels.require(self.num_envs, self.world.side)
        if not self._begun:
            self.levels.begin(stream_keys(0, self._index))
            self._begun = True
        self._begin(np.arange(self.num_envs), levels)
        return self._observation(), self._info()

    def get_state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on, as arrays; for `set_state`, in a file by `np.savez`."""
        boards, levels = self.boards, self.levels
        state: dict[str, NDArray[Any]] = {
            "cells": boards.cells,
            "agent": boards.agent,
            "held": boards.held,
            "steps": boards.steps,
            "solution_length": boards.solution_length,
            "streams": levels.streams,
            "number": levels.number,
            "over": self._over,
        }
        return {name: array.copy() for name, array in state.items()}

    def set_state(self, state: dict[str, NDArray[Any]]) -> U8:
        """Go on from a state of `get_state`.

        Returns:
            The observations.

        Raises:
            ValueError: it is of another number of environments, or another board.
        """
        boards = self.boards
        if state["cells"].shape != boards.cells.shape:
            raise ValueError(
                f"the state has boards {state['cells'].shape}, these environments {boards.cells.shape}"
            )
        boards.cells[:], boards.agent[:], boards.held[:] = state["cells"], state["agent"], state["held"]
        boards.steps[:], boards.solution_length[:] = state["steps"], state["solution_length"]
        self.levels.begin(state["streams"], state["number"])
        self._over = state["over"].copy()
        self.rules.draw(boards, np.arange(self.num_envs))
        self._begun = True
        return self._observation()

    def render(self) -> tuple[U8, ...] | None:
        """Each environment as an RGB image of 24 pixels a cell; None without render_mode="rgb_array"."""
        return tuple(image(frame) for frame in self._frames) if self.render_mode == "rgb_array" else None

    @property
    def holding(self) -> Flags:
        """(B,) whether a key is in the inventory."""
        held: Flags = self.boards.held != NO_KEY
        return held

    def _streams(self, seed: int | Sequence[int | None] | None) -> U64 | None:
        if seed is None:
            return None
        if isinstance(seed, (int, np.integer)):
            _require_seed(int(seed))
            return stream_keys(int(seed), self._index)
        if len(seed) != self.num_envs:
            raise ValueError(f"{len(seed)} seeds for {self.num_envs} environments")
        if any(one is None for one in seed):
            raise ValueError("a list of seeds must have one for each environment")
        for one in seed:
            _require_seed(int(one or 0))
        return stream_keys(np.array(seed, np.uint64), np.zeros(self.num_envs, np.int64))

    def _masked(self, options: dict[str, Any] | None) -> NDArray[np.int64]:
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.arange(self.num_envs)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"reset_mask is {mask.dtype} {mask.shape}, expected bool ({self.num_envs},) with at least one true"
            )
        if not self._begun and not mask.all():
            raise ResetNeeded("the first reset() begins every environment")
        return np.flatnonzero(mask)

    def _begin(self, which: NDArray[np.int64], levels: Levels | None = None) -> None:
        if levels is None:
            self.rules.begin(self.boards, which, self.levels)
        else:
            self.boards.begin(which, levels)
            self.rules.draw(self.boards, which)
        self._over[which] = False

    def _observation(self) -> U8:
        return self._frames.copy() if self.copy else self._frames

    def _info(self, told: Outcome | None = None) -> dict[str, Any]:
        info: dict[str, Any] = {
            "solution_length": self.boards.solution_length.copy(),
            "_solution_length": self._all,
        }
        if told is not None:
            info["solved"], info["distractor"] = told.solved, told.distractor
            info["_solved"] = info["_distractor"] = self._all
        return info

    def _add_final(self, info: dict[str, Any], ended: NDArray[np.int64], over: Flags) -> None:
        """Last observations and infos of the episodes that end, as Gymnasium's own vector environments lay them out."""
        final = np.full(self.num_envs, None, dtype=object)
        for place, frame in zip(ended.tolist(), self._frames[ended], strict=True):
            final[place] = frame
        info["final_info"] = {name: array if name[0] != "_" else over for name, array in info.items()}
        info["final_obs"], info["_final_obs"], info["_final_info"] = final, over, over


def _require_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed={seed} must be between 0 and {2**64 - 1}")
