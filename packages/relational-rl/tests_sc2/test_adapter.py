"""pysc2 under today's libraries: import, specs, observations, calls, and what is said when it cannot be."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from relational_rl.sc2 import (
    MINI_GAMES,
    Action,
    Call,
    Environments,
    Interface,
    InvalidCall,
    SC2Agent,
    SC2Options,
    StarCraftUnavailable,
    make_environment,
    play,
)
from relational_rl.sc2.adapter import PySC2Environment
from relational_rl.sc2.library import Modules
from relational_rl.sc2.observations import arguments_of, random_action

NET = SC2Options(
    stream=4, embedding=2, vector=[8, 8], memory=4, blocks=1, heads=1, head_dim=4, plane=4, hidden=8, head=8, function=4,
    upward=4,
)  # fmt: skip


def test_the_import_leaves_shuffle_as_it_was(pysc2: Modules) -> None:
    assert random.shuffle.__module__ == "random"
    with pytest.raises(TypeError):
        random.shuffle([1, 2], random.random)


def test_the_protocol_is_decoded_by_compiled_code(pysc2: Modules) -> None:
    """Not by protobuf's plain Python, which the modules as they are shipped would need."""
    from google.protobuf.internal import api_implementation
    from s2clientprotocol import sc2api_pb2

    assert api_implementation.Type() != "python"
    made = sc2api_pb2.ResponseObservation()
    made.observation.player_common.minerals = 50
    made.observation.abilities.add(ability_id=16, requires_point=True)
    again = sc2api_pb2.ResponseObservation.FromString(made.SerializeToString())
    assert again == made and again.observation.player_common.minerals == 50
    assert sc2api_pb2.Request(ping=sc2api_pb2.RequestPing()).WhichOneof("request") == "ping"
    assert {sc2api_pb2.Victory, sc2api_pb2.Defeat, sc2api_pb2.Tie, sc2api_pb2.Undecided} == {1, 2, 3, 4}


def test_the_interface_is_that_of_the_specs(pysc2: Modules, interface: Interface) -> None:
    assert len(interface.screen) == len(pysc2.features.SCREEN_FEATURES) == 27
    assert len(interface.minimap) == len(pysc2.features.MINIMAP_FEATURES) == 11
    screen = {layer.name: layer for layer in interface.screen}
    assert sum(not layer.categorical for layer in interface.screen) == 11
    assert not screen["unit_hit_points"].categorical and screen["unit_hit_points"].scale == 1600
    assert screen["unit_type"].categorical and screen["unit_type"].scale > 1900
    assert [layer.name for layer in interface.minimap if not layer.categorical] == ["height_map"]
    assert interface.player == len(pysc2.features.Player) == 11
    assert [function.id for function in interface.functions] == list(range(573))
    by_name = {function.name: function for function in interface.functions}
    kinds = [interface.arguments[place].name for place in by_name["select_rect"].arguments]
    assert kinds == [kind.name for kind in pysc2.actions.FUNCTIONS.select_rect.args]
    assert {kind.name for kind in interface.arguments if kind.spatial} == {"screen", "minimap", "screen2"}


def test_sizes_follow_what_is_asked_for() -> None:
    small = make_environment("BuildMarines", "test", screen=16, minimap=8).interface
    assert (small.screen_size, small.minimap_size) == ((16, 16), (8, 8))
    assert [kind.sizes for kind in small.arguments if kind.spatial] == [(16, 16), (8, 8), (16, 16)]


@pytest.mark.parametrize("map_name", MINI_GAMES)
def test_a_thousand_steps_of_every_map_without_an_invalid_call(
    pysc2: Modules, map_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's calls pass our check and pysc2's own; what is available changes at every step, over all functions."""
    assert pysc2.maps.get(map_name).path.endswith(f"{map_name}.SC2Map")
    draws, sent = np.random.default_rng(0), []

    def watched() -> PySC2Environment:
        environment = make_environment(map_name, "test")
        mock = environment.environment
        plain = mock.step

        def step(actions):
            if actions[0] is not None:
                mock._features[0].transform_action(None, actions[0], skip_available=True)  # raises if invalid
                assert int(actions[0].function) in mock.next_timestep[0].observation["available_actions"]
                sent.append(int(actions[0].function))
            every = len(environment.interface.functions)
            others = draws.choice(
                np.arange(13, every), 50, replace=False
            )  # 0 to 12 have arguments that no other has
            mock.next_timestep[0].observation["available_actions"] = np.append(np.arange(13), others)
            return plain(actions)

        monkeypatch.setattr(mock, "step", step)
        return environment

    torch.manual_seed(0)
    environments = Environments([watched() for _ in range(20)])
    interface = environments.interface
    agent, actions = SC2Agent(interface, NET), torch.Generator().manual_seed(0)
    answer, memory = environments.reset(), agent.start(20)
    while len(sent) < 1000:
        action, _, memory = agent.act(answer.seen, memory, actions)
        answer = environments.step(action)
    assert len(set(sent)) > 300
    used = {place for function in set(sent) for place in interface.functions[function].arguments}
    assert used == set(range(len(interface.arguments)))  # every kind of argument was drawn


def test_a_point_arrives_at_the_game_as_column_and_row(pysc2: Modules, interface: Interface) -> None:
    environment = make_environment("MoveToBeacon", "test")
    move = next(place for place, f in enumerate(interface.functions) if f.name == "Move_screen")
    choices = [0] * len(interface.arguments)
    choices[0] = 5 * 32 + 30  # row 5, column 30
    call = interface.call(move, choices)
    given = pysc2.actions.FunctionCall(call.function, [list(values) for values in call.arguments])
    sent = environment.environment._features[0].transform_action(None, given, skip_available=True)
    target = sent.action_feature_layer.unit_command.target_screen_coord
    assert (target.x, target.y) == (30, 5)


def test_calls_are_checked_though_the_test_environment_takes_anything() -> None:
    environment = make_environment("DefeatRoaches", "test")
    shown = environment.reset()
    assert shown.first and 331 not in shown.available and 0 in shown.available
    with pytest.raises(InvalidCall, match="Move_screen"):
        environment.step(Call(331, ((0,), (1, 1))))
    with pytest.raises(InvalidCall, match=r"minimap=\(32, 0\)"):
        environment.step(Call(1, ((32, 0),)))
    with pytest.raises(InvalidCall, match="needs a call"):
        environment.step(None)
    assert not environment.step(Call(0)).first


def test_an_episode_has_its_first_and_last_step_and_the_next_one_follows() -> None:
    environment = make_environment("MoveToBeacon", "test")
    steps = [environment.reset(), *(environment.step(Call(0)) for _ in range(12))]
    assert [step.first for step in steps] == [True, *[False] * 10, True, False]
    assert [step.last for step in steps] == [*[False] * 10, True, False, False]
    assert [step.discount for step in steps[:11]] == [0, *[1] * 9, 0]  # over, and not cut off
    environments = Environments([environment])
    answer = environments.reset()
    assert bool(answer.seen.first) and float(answer.discount) == 0
    answer = environments.step(Action(torch.tensor([2]), torch.zeros(1, 13, dtype=torch.int64)))
    assert int(answer.seen.previous) == 2 and not bool(answer.seen.first)


def test_observations_are_the_environments(interface: Interface) -> None:
    environment = make_environment("MoveToBeacon", "test")
    answer = Environments([environment]).reset()
    assert answer.seen.screen.shape == (1, 27, 32, 32) and answer.seen.minimap.shape == (1, 11, 32, 32)
    assert answer.seen.player[0].tolist() == [1, 20, 50, 21, 36, 6, 15, 2, 6, 0, 0]
    available = answer.seen.available[0].nonzero()[:, 0].tolist()
    assert available == sorted(
        int(id) for id in environment.environment.next_timestep[0].observation.available_actions
    )
    camera = [layer.name for layer in interface.minimap].index("camera")
    assert answer.seen.minimap[0, camera, :16, :16].all() and answer.seen.minimap[0, camera].sum() == 256


def test_a_state_that_is_stored_goes_on_where_it_was(tmp_path: Path) -> None:
    told = {"screen": 16, "minimap": 16}
    one = Environments([make_environment("MoveToBeacon", "beacon", **told) for _ in range(2)])
    draws, answer = torch.Generator().manual_seed(0), one.reset(4)
    for _ in range(70):
        answer = one.step(random_action(one.interface, answer.seen.available, draws))
    torch.save(one.state(), tmp_path / "state")
    other = Environments([make_environment("MoveToBeacon", "beacon", **told) for _ in range(2)])
    again = other.restore(torch.load(tmp_path / "state", weights_only=True))
    for _ in range(70):
        for a, b in zip((*answer.seen, *answer[1:]), (*again.seen, *again[1:]), strict=True):
            assert torch.equal(a, b)
        action = random_action(one.interface, answer.seen.available, draws)
        answer, again = one.step(action), other.step(action)


# The game itself, as far as it goes without its binary


def installed(folder: Path, map_name: str = "MoveToBeacon") -> Path:
    """A folder like that of the game, without the game."""
    (folder / "Versions" / "Base75689").mkdir(parents=True)
    maps = folder / "Maps" / "mini_games"
    maps.mkdir(parents=True)
    (maps / f"{map_name}.SC2Map").write_bytes(b"a map")
    return folder


def test_without_the_game_it_is_said_what_to_set_and_what_else_there_is(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SC2PATH", raising=False)
    with pytest.raises(StarCraftUnavailable, match="SC2PATH is not set.*sc2.env=test.*sc2.env=beacon"):
        make_environment("MoveToBeacon")
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    with pytest.raises(StarCraftUnavailable, match=f"no {tmp_path}/Versions"):
        make_environment("MoveToBeacon")
    monkeypatch.setenv("SC2PATH", str(installed(tmp_path / "game")))
    with pytest.raises(StarCraftUnavailable, match=r"no .*mini_games/DefeatRoaches\.SC2Map"):
        make_environment("DefeatRoaches")


def test_the_game_is_asked_for_as_the_paper_has_it(pysc2: Modules, monkeypatch, tmp_path: Path) -> None:
    told = {}

    class Recorded(pysc2.mock.SC2TestEnv):
        def __init__(self, **given):
            told.update(given)
            super().__init__(**given)

    monkeypatch.setenv("SC2PATH", str(installed(tmp_path, "BuildMarines")))
    monkeypatch.setattr(pysc2.sc2_env, "SC2Env", Recorded)
    environment = make_environment("BuildMarines", screen=32, minimap=16, seed=2**31 + 5)
    assert told["map_name"] == "BuildMarines" and told["step_mul"] == 8 and told["random_seed"] == 5
    assert [[race.name for race in player.race] for player in told["players"]] == [["terran"]]
    dimensions = told["agent_interface_format"].feature_dimensions
    assert (tuple(dimensions.screen), tuple(dimensions.minimap)) == ((32, 32), (16, 16))
    assert environment.state() is None  # a game cannot be stored


def test_unknown_maps_and_kinds_are_refused() -> None:
    with pytest.raises(InputError, match="Simple64.*BuildMarines"):
        make_environment("Simple64", "test")
    with pytest.raises(InputError, match="mock.*game, test, beacon"):
        make_environment("MoveToBeacon", "mock")


def test_every_function_has_the_arguments_of_pysc2(pysc2: Modules, interface: Interface) -> None:
    has = arguments_of(interface)
    for place, function in enumerate(pysc2.actions.FUNCTIONS):
        assert {interface.arguments[k].name for k in has[place].nonzero()[:, 0]} == {
            kind.name for kind in function.args
        }


def test_the_agents_of_the_paper_take_the_real_specs(interface: Interface) -> None:
    for kind in ("relational", "control"):
        agent = SC2Agent(interface, SC2Options(kind=kind))
        environments = Environments([make_environment("MoveToBeacon", "test") for _ in range(2)])
        episodes = play(agent, environments, 2)
        assert episodes.steps.tolist() == [10, 10] and episodes.calls.sum() == 20
