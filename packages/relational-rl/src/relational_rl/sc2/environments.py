"""Several environments side by side: tensors in, tensors out.

A sequence has the form of DeepMind's environments: an episode's last observation is part of it, the call that follows it is ignored
and begins the next episode, and the discount tells an end of the game (0) from a cut-off (1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relational_rl.sc2.interface import Call, Interface
from relational_rl.sc2.observations import Action, Observation


@dataclass(frozen=True)
class TimeStep:
    """What one environment answers.

    Attributes:
        screen: (layers, rows, columns) integers.
        minimap: (layers, rows, columns) integers.
        player: (numbers,) integers.
        available: ids of the functions that may be called now.
        reward: for the call before; 0 at an episode's start.
        discount: 0 where the game is over; 1 elsewhere, also where time cut the episode off.
        first: an episode begins.
        last: an episode ends; the next call is ignored and begins another one.
    """

    screen: NDArray[Any]
    minimap: NDArray[Any]
    player: NDArray[Any]
    available: tuple[int, ...]
    reward: float
    discount: float
    first: bool
    last: bool


class Environment(Protocol):
    """One environment."""

    interface: Interface

    def reset(self, seed: int | None = None) -> TimeStep:
        """Begin an episode, of this seed where the environment can be seeded once it runs."""

    def step(self, call: Call | None) -> TimeStep:
        """Call a function, checked; after an episode's last step begin the next one, whatever the call."""

    def state(self) -> dict[str, Any] | None:
        """Plain values from which `restore` goes on; None where a game cannot be stored."""

    def restore(self, state: dict[str, Any]) -> TimeStep:
        """Go on from there; returns the step that was last seen."""

    def close(self) -> None:
        """End the game."""


class Answer(NamedTuple):
    """What B environments answer.

    Attributes:
        seen: (B,).
        reward: (B,) float32, for the actions before.
        discount: (B,) float32, 0 where the game is over or has just begun.
        last: (B,) bool.
    """

    seen: Observation
    reward: Tensor
    discount: Tensor
    last: Tensor


class Environments:
    """B environments of one interface.

    Args:
        environments: one or more.
        threads: wait for all of them at the same time, as pays for games in processes of their own.
    """

    def __init__(self, environments: Sequence[Environment], threads: bool = False) -> None:
        self.environments = list(environments)
        self.interface = self.environments[0].interface
        self._places = {function.id: place for place, function in enumerate(self.interface.functions)}
        self._pool = ThreadPoolExecutor(len(self.environments)) if threads else None
        self._previous = np.zeros(len(self.environments), np.int64)
        self._last = np.zeros(len(self.environments), np.bool_)

    def __len__(self) -> int:
        return len(self.environments)

    def reset(self, seed: int | None = None) -> Answer:
        """Begin an episode in every environment.

        Args:
            seed: below 2^47; each environment has one of its own from it. A game has the one that it was started with.
        """
        self._previous[:] = 0
        seeds = [None if seed is None else (seed << 16) + place for place in range(len(self))]
        return self._answer(self._all(lambda place: self.environments[place].reset(seeds[place])))

    def step(self, action: Action) -> Answer:
        """Act in every environment; where an episode has ended, the next one begins.

        Args:
            action: (B,).

        Raises:
            InvalidCall: the game would not take one of the actions.
        """
        function, arguments = action.function.cpu().numpy(), action.arguments.cpu().numpy()
        calls = [
            None if ended else self.interface.call(int(chosen), row.tolist())
            for chosen, row, ended in zip(function, arguments, self._last, strict=True)
        ]
        steps = self._all(lambda place: self.environments[place].step(calls[place]))
        self._previous = np.where(self._last, 0, function)
        return self._answer(steps)

    def state(self) -> dict[str, Any] | None:
        """Tensors and plain values from which `restore` goes on; None where a game cannot be stored."""
        states = [environment.state() for environment in self.environments]
        if any(state is None for state in states):
            return None
        return {"environments": states, "previous": torch.from_numpy(self._previous)}

    def restore(self, state: dict[str, Any] | None) -> Answer:
        """Go on from a state; where there is none, begin new episodes.

        Returns:
            What was last seen.
        """
        if state is None:
            return self.reset()
        self._previous = state["previous"].numpy().copy()
        parts = zip(self.environments, state["environments"], strict=True)
        return self._answer([environment.restore(own) for environment, own in parts])

    def close(self) -> None:
        """End all games."""
        for environment in self.environments:
            environment.close()
        if self._pool is not None:
            self._pool.shutdown()

    def _all(self, ask: Callable[[int], TimeStep]) -> list[TimeStep]:
        everyone = range(len(self.environments))
        return list(map(ask, everyone) if self._pool is None else self._pool.map(ask, everyone))

    def _answer(self, steps: Sequence[TimeStep]) -> Answer:
        available = np.zeros((len(steps), len(self.interface.functions)), np.bool_)
        for place, step in enumerate(steps):
            available[place, [self._places[id] for id in step.available]] = True
        first = np.array([step.first for step in steps])
        self._last = np.array([step.last for step in steps])
        self._previous = np.where(first, 0, self._previous)
        seen = Observation(
            _small(np.stack([step.screen for step in steps])),
            _small(np.stack([step.minimap for step in steps])),
            torch.from_numpy(np.stack([step.player for step in steps]).astype(np.float32)),
            torch.from_numpy(self._previous.copy()),
            torch.from_numpy(available),
            torch.from_numpy(first),
        )
        numbers = [[step.reward, 0.0 if step.first else step.discount] for step in steps]
        reward, discount = torch.tensor(numbers, dtype=torch.float32).unbind(1)
        return Answer(seen, reward, discount, torch.from_numpy(self._last.copy()))


def _small(planes: NDArray[Any]) -> Tensor:
    """As int16: of the values that are larger, hit points of some ten thousand, the logarithm is hardly touched."""
    limits = np.iinfo(np.int16)
    return torch.from_numpy(planes.clip(limits.min, limits.max).astype(np.int16))
