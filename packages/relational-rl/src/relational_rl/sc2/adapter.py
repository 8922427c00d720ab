"""pysc2's environments in plain values, and calls checked before they are sent: its test environment takes anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from relational_rl.sc2.beacon import BeaconGame
from relational_rl.sc2.environments import TimeStep
from relational_rl.sc2.interface import Argument, Call, Function, Interface, InvalidCall, Layer
from relational_rl.sc2.library import load_pysc2

_ARRAYS = ("screen", "minimap", "player")


class PySC2Environment:
    """One of pysc2's environments with one agent.

    Args:
        environment: of pysc2.
        game: the stand-in's game, whose state is part of this environment's; None for the others.
        stored: whether its state can be kept; not of StarCraft II itself.
    """

    def __init__(self, environment: Any, game: BeaconGame | None = None, stored: bool = True) -> None:
        self.environment, self.game, self.stored = environment, game, stored
        self.interface = interface_of(environment)
        self._actions = load_pysc2().actions
        self._seen: TimeStep | None = None

    def reset(self, seed: int | None = None) -> TimeStep:
        """Begin an episode; of StarCraft II the next one of the seed that the game was started with."""
        if self.game is not None and seed is not None:
            self.game.seed, self.game.episode = seed, -1
        return self._shown(self.environment.reset())

    def step(self, call: Call | None) -> TimeStep:
        """Send a call; after an episode's last step begin the next one, whatever the call.

        Raises:
            InvalidCall: the call does not fit the specs, or its function is not available.
        """
        seen = self._seen
        if seen is None or seen.last:
            return self.reset()
        if call is None:
            raise InvalidCall("an episode under way needs a call")
        self.interface.check(call, seen.available)
        arguments = [list(values) for values in call.arguments]
        return self._shown(self.environment.step([self._actions.FunctionCall(call.function, arguments)]))

    def state(self) -> dict[str, Any] | None:
        """What `restore` goes on from; None of StarCraft II itself."""
        if not self.stored or self._seen is None:
            return None
        seen = vars(self._seen)
        arrays = {name: torch.from_numpy(seen[name].copy()) for name in _ARRAYS}
        game = None if self.game is None else self.game.state()
        return {"seen": {**seen, **arrays}, "steps": self.environment._episode_steps, "game": game}

    def restore(self, state: dict[str, Any]) -> TimeStep:
        """Go on from there; returns the step that was last seen."""
        seen = state["seen"]
        self.environment._episode_steps = state["steps"]
        if self.game is not None:
            self.game.restore(state["game"])
        self._seen = TimeStep(**{**seen, **{name: seen[name].numpy() for name in _ARRAYS}})
        return self._seen

    def close(self) -> None:
        """End the game."""
        self.environment.close()

    def _shown(self, timesteps: Any) -> TimeStep:
        """pysc2's answer to its only agent. Arrays are copied: its test environment goes on writing into its own."""
        timestep = timesteps[0]
        observation = timestep.observation
        self._seen = TimeStep(
            np.array(observation["feature_screen"]),
            np.array(observation["feature_minimap"]),
            np.array(observation["player"]),
            tuple(int(id) for id in observation["available_actions"]),
            float(timestep.reward),
            float(timestep.discount),
            bool(timestep.first()),
            bool(timestep.last()),
        )
        return self._seen


def interface_of(environment: Any) -> Interface:
    """What one of pysc2's environments shows to its first agent and takes from it, read off its specs."""
    features = load_pysc2().features
    observation, action = environment.observation_spec()[0], environment.action_spec()[0]

    def layers(known: Any) -> tuple[Layer, ...]:
        categorical = features.FeatureType.CATEGORICAL
        return tuple(Layer(layer.name, int(layer.scale), layer.type is categorical) for layer in known)

    def size(name: str) -> tuple[int, int]:
        _, rows, columns = observation[name]
        return int(rows), int(columns)

    return Interface(
        layers(features.SCREEN_FEATURES),
        layers(features.MINIMAP_FEATURES),
        size("feature_screen"),
        size("feature_minimap"),
        int(observation["player"][0]),
        tuple(
            Function(int(function.id), function.name, tuple(int(kind.id) for kind in function.args))
            for function in action.functions
        ),
        tuple(Argument(kind.name, tuple(int(size) for size in kind.sizes)) for kind in action.types),
    )
