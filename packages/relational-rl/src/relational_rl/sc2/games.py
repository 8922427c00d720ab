"""The environments: StarCraft II's mini-games, pysc2's test environment for each of them, and the stand-in of beacon.py.

Which one is asked for by name. None takes another's place because that one is not there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from offprints.errors import InputError

from relational_rl.sc2.adapter import PySC2Environment, interface_of
from relational_rl.sc2.beacon import BeaconGame, BeaconRules, points_of
from relational_rl.sc2.interface import Call
from relational_rl.sc2.library import Modules, StarCraftUnavailable, load_pysc2

MINI_GAMES = {
    "MoveToBeacon": 120,
    "CollectMineralShards": 120,
    "FindAndDefeatZerglings": 180,
    "DefeatRoaches": 120,
    "DefeatZerglingsAndBanelings": 120,
    "CollectMineralsAndGas": 420,
    "BuildMarines": 900,
}
"""The seven maps of the paper, and the seconds that an episode lasts at most."""

KINDS = ("game", "test", "beacon")
"""StarCraft II itself; pysc2's test environment, which shows nothing and pays nothing; the stand-in, which pays for arrivals."""


def make_environment(
    map_name: str,
    kind: str = "game",
    *,
    screen: int = 32,
    minimap: int = 32,
    step_mul: int = 8,
    seed: int = 0,
    rules: BeaconRules | None = None,
) -> PySC2Environment:
    """An environment for one of the mini-games.

    Args:
        map_name: one of `MINI_GAMES`.
        kind: one of `KINDS`.
        screen: rows and columns of the screen.
        minimap: rows and columns of the minimap.
        step_mul: the game's steps for each of the agent's.
        seed: of the game; the stand-in's episodes are seeded by `reset`.
        rules: of the stand-in; their size is the screen's.

    Raises:
        InputError: there is no such map or kind, or the rules are of another size.
        StarCraftUnavailable: pysc2 or the game is not there.
    """
    if map_name not in MINI_GAMES:
        raise InputError(f"map {map_name!r} is no mini-game: {', '.join(MINI_GAMES)}")
    if kind not in KINDS:
        raise InputError(f"environment {kind!r} is unknown: {', '.join(KINDS)}")
    modules = load_pysc2()
    told = {
        "map_name": map_name,
        "players": [modules.sc2_env.Agent(modules.sc2_env.Race.terran)],
        "agent_interface_format": modules.sc2_env.AgentInterfaceFormat(
            feature_dimensions=modules.sc2_env.Dimensions(screen=screen, minimap=minimap)
        ),
        "step_mul": step_mul,
    }
    if kind == "game":
        return PySC2Environment(_launched(modules, {**told, "random_seed": seed % 2**31}), stored=False)
    if kind == "test":
        return PySC2Environment(modules.mock.SC2TestEnv(**told))
    game = BeaconGame(rules or BeaconRules(screen))
    if game.rules.size != screen:
        raise InputError(f"a game of {game.rules.size} cells on a screen of {screen}")
    return PySC2Environment(_beacon_environment(modules, told, game), game)


def _launched(modules: Modules, told: dict[str, Any]) -> Any:
    """StarCraft II, from the folder that SC2PATH names."""
    given = os.environ.get("SC2PATH")
    if not given:
        raise StarCraftUnavailable(
            "SC2PATH is not set: it has to name the folder of StarCraft II, which Blizzard offers for Linux under s2client-proto. Without the "
            "game, sc2.env=test runs the loop on pysc2's test environment, and sc2.env=beacon on a stand-in that pays rewards"
        )
    folder = Path(given).expanduser()
    for wanted in (folder / "Versions", folder / "Maps" / modules.maps.get(told["map_name"]).path):
        if not wanted.exists():
            raise StarCraftUnavailable(
                f"SC2PATH={given} is not the folder of StarCraft II with the mini-games in it: there is no {wanted}"
            )
    flags = modules.run_configs.FLAGS
    if not flags.is_parsed():
        flags(
            sys.argv[:1]
        )  # pysc2 looks at options of its own, which it expects on a command line of its own
    return modules.sc2_env.SC2Env(**told)


def _beacon_environment(modules: Modules, told: dict[str, Any], game: BeaconGame) -> Any:
    """pysc2's test environment with the stand-in's game in it: its screen, its rewards, what it makes available."""
    layers = modules.features.SCREEN_FEATURES
    relative, selected = layers.player_relative.index, layers.selected.index

    class BeaconEnvironment(modules.mock.SC2TestEnv):  # type: ignore[misc, name-defined]
        """Steps the game before the test environment answers."""

        def __init__(self) -> None:
            self.next_timestep: list[Any] = []
            super().__init__(**told)
            self.episode_length = game.rules.steps
            self._ids = {function.name: int(function.id) for function in self.action_spec()[0].functions}
            self._interface = interface_of(self)

        def step(self, actions: Any) -> Any:
            """Take a call, walk, and show what is there now."""
            reward = 0.0
            if self._episode_steps == 0:
                game.begin()
            else:
                values = tuple(tuple(int(value) for value in given) for given in actions[0].arguments)
                game.act(*points_of(self._interface, Call(int(actions[0].function), values)))
                reward = game.advance()
            following: Any = self.next_timestep[0]  # what the test environment answers with
            shown = following.observation
            shown["feature_screen"][relative] = game.player_relative()
            shown["feature_screen"][selected] = game.selected_plane()
            shown["available_actions"] = np.array([self._ids[name] for name in game.available()], np.int32)
            self.next_timestep = [
                following._replace(reward=reward)
            ]  # at its last step, with the discount of a game that is over
            return super().step(actions)

    return BeaconEnvironment()
