"""The vector environment on torch tensors, on any device: observations, rewards and resets never leave it.

Levels are the same as the vector environment's, level by level: they are drawn by the same generator on the CPU, a pool at a time, and
copied to the device. Steps are the same, number by number. Nothing in a step waits for the device but the count of episodes that end,
which need new levels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relational_rl.boxworld.codes import AGENT, DISTRACTOR, FLOOR, GEM, KEY, LOCK, NO_KEY, palette
from relational_rl.boxworld.counter import stream_keys
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import LevelStream, use_compiled


class TorchStep(NamedTuple):
    """What a step gives, all on the device.

    Attributes:
        obs: (B, side, side, 3) uint8; of the new episode where one ended.
        reward: (B,) float32.
        terminated: (B,) bool.
        truncated: (B,) bool.
        solved: (B,) bool.
        ended: (E,) int64, the environments whose episode ended.
        final_obs: (E, side, side, 3) uint8, their last observations.
    """

    obs: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    solved: Tensor
    ended: Tensor
    final_obs: Tensor


class TorchBoxWorld:
    """B environments on a device, reset in the step that ends an episode.

    Args:
        num_envs: B.
        spec: which Box-World; the authors' rules only.
        device: of all tensors.
        accelerate: how levels are drawn; see `BoxWorldVectorEnv`.
        first_index: index of the first environment.

    Attributes:
        solution_length: (B,) uint8, of the level under way.
    """

    def __init__(
        self,
        num_envs: int,
        spec: BoxWorldSpec | None = None,
        device: torch.device | str = "cpu",
        accelerate: str = "auto",
        first_index: int = 0,
    ) -> None:
        self.world = spec or BoxWorldSpec()
        if self.world.rules != "authors":
            raise ValueError(f"rules={self.world.rules!r} are not on tensors: use BoxWorldVectorEnv")
        self.num_envs, self.device = num_envs, torch.device(device)
        side, places = self.world.side, self.world.side**2
        self._index = np.arange(first_index, first_index + num_envs)
        self._levels = LevelStream(self.world, num_envs, use_compiled(accelerate))
        with torch.device(self.device):
            self._cells = torch.zeros(num_envs, places, dtype=torch.uint8)
            self._agent = torch.full((num_envs,), side + 1)
            self._held = torch.full((num_envs,), NO_KEY)
            self._steps = torch.zeros(num_envs, dtype=torch.int64)
            self._frames = torch.zeros(num_envs, places, 3, dtype=torch.uint8)
            self._deltas = torch.tensor([-side, side, -1, 1])
            self._rows = torch.arange(num_envs)
            self.solution_length = torch.zeros(num_envs, dtype=torch.uint8)
        self._palette = torch.from_numpy(palette(self.world.palette)).to(self.device)
        self._begun = False

    def reset(self, seed: int) -> Tensor:
        """Begin level 0 of every environment of this seed.

        Returns:
            (B, side, side, 3) uint8, a copy.
        """
        self._levels.begin(stream_keys(seed, self._index))
        self._begin(np.arange(self.num_envs))
        self._begun = True
        return self.observation()

    def play(self, levels: Levels) -> Tensor:
        """Begin these levels, one for each environment, in place of those of the seed; what follows is the seed's (0 before any reset).

        Returns:
            (B, side, side, 3) uint8, a copy.

        Raises:
            ValueError: they are not as many, or of another size.
        """
        levels.require(self.num_envs, self.world.side)
        if not self._begun:
            self._levels.begin(stream_keys(0, self._index))
            self._begun = True
        self._begin(np.arange(self.num_envs), levels)
        return self.observation()

    def step(self, actions: Tensor) -> TorchStep:
        """One step of every environment.

        Args:
            actions: (B,) int64 on the device: 0 up, 1 down, 2 left, 3 right. They are not looked at, which would wait for the
                device; an action out of range is an index error.

        Raises:
            RuntimeError: before the first reset.
        """
        if not self._begun:
            raise RuntimeError("call reset(seed) before the first step()")
        rows = self._rows
        target = self._agent + self._deltas[actions]
        code = self._cells[rows, target].long()
        right = self._cells[rows, target + 1]
        opens = code == self._held + (LOCK - KEY)
        fails = code == self._held + (DISTRACTOR - KEY)
        takes = (code >= GEM) & (code < LOCK) & (right < LOCK)
        wins = takes & (code == GEM)
        moves = (code == FLOOR) | opens | fails | takes
        self._steps += 1
        self._held = torch.where(takes & ~wins, code, torch.where(opens | fails, NO_KEY, self._held))
        self._cells[rows, target] = torch.where(moves, FLOOR, code).to(torch.uint8)
        self._frames[rows, self._agent] = self._palette[FLOOR]
        self._agent = torch.where(moves, target, self._agent)
        self._frames[rows, self._agent] = self._palette[AGENT]
        self._frames[:, 0] = self._palette[self._held]
        reward = opens.float() - fails.float() + 10 * wins.float()
        terminated = fails | wins
        truncated = self._steps >= self.world.last_step
        if self.world.reference_time_limit:
            terminated, truncated = terminated | truncated, torch.zeros_like(truncated)
        else:
            truncated = truncated & ~terminated
        ended = torch.nonzero(terminated | truncated)[:, 0]
        final = self._frames[ended].unflatten(1, (self.world.side, self.world.side))
        if len(ended):
            self._begin(ended.cpu().numpy())
        return TorchStep(self.observation(), reward, terminated, truncated, wins, ended, final)

    def observation(self) -> Tensor:
        """(B, side, side, 3) uint8, what is to be seen now; a copy."""
        frames: Tensor = self._frames.unflatten(1, (self.world.side, self.world.side))
        return frames.clone()

    def get_state(self) -> dict[str, Tensor]:
        """All that the next step depends on, (B, ...) each and on the device; for `set_state`."""
        streams = torch.from_numpy(self._levels.streams.view(np.int64)).to(self.device)
        number = torch.from_numpy(self._levels.number).to(self.device)
        state = {name: getattr(self, f"_{name}") for name in ("cells", "agent", "held", "steps")}
        state |= {"solution_length": self.solution_length, "streams": streams, "number": number}
        return {name: tensor.clone() for name, tensor in state.items()}

    def set_state(self, state: dict[str, Tensor]) -> Tensor:
        """Go on from a state of `get_state`.

        Returns:
            The observations.

        Raises:
            ValueError: it is of another number of environments, or another board.
        """
        if state["cells"].shape != self._cells.shape:
            raise ValueError(
                f"the state has boards {tuple(state['cells'].shape)}, these environments {tuple(self._cells.shape)}"
            )
        for name in ("cells", "agent", "held", "steps"):
            getattr(self, f"_{name}").copy_(state[name])
        self.solution_length.copy_(state["solution_length"])
        self._levels.begin(state["streams"].cpu().numpy().view(np.uint64), state["number"].cpu().numpy())
        self._frames.copy_(self._palette[self._cells.long()])
        self._frames[:, 0] = self._palette[self._held]
        self._frames[self._rows, self._agent] = self._palette[AGENT]
        self._begun = True
        return self.observation()

    def _begin(self, which: NDArray[np.int64], levels: Levels | None = None) -> None:
        levels = self._levels.take(which) if levels is None else levels
        at = torch.from_numpy(which).to(self.device)
        cells = torch.from_numpy(levels.objects).flatten(1).to(self.device)
        self._cells[at] = cells
        self._agent[at] = torch.from_numpy(levels.agent).long().to(self.device)
        self._held[at] = NO_KEY
        self._steps[at] = 0
        self.solution_length[at] = torch.from_numpy(levels.solution_length).to(self.device)
        self._frames[at] = self._palette[cells.long()]
        self._frames[at, self._agent[at]] = self._palette[AGENT]
