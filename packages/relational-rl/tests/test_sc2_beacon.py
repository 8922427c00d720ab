"""The stand-in's game, without pysc2."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offprints.errors import InputError

from relational_rl.sc2 import Call, Interface
from relational_rl.sc2.beacon import NEUTRAL, SELF, BeaconGame, BeaconRules, points_of

RULES = BeaconRules(size=16, radius=1, speed=2.0, steps=30)


def test_a_marine_walks_to_where_it_is_sent_and_an_arrival_pays_once() -> None:
    game = BeaconGame(RULES, seed=3)
    beacon, paid = game.beacon, []
    game.act("Move_screen", [beacon])
    away = max(abs(a - b) for a, b in zip(game.marine, beacon, strict=True))
    while not paid or paid[-1] == 0:
        paid.append(game.advance())
        assert len(paid) < 30
    assert paid[-1] == 1 and sum(paid) == 1
    assert len(paid) >= (away - RULES.radius) / RULES.speed
    assert game.beacon != beacon and game.advance() == 0


def test_guidance_pays_for_cells_nearer_and_takes_it_back_for_cells_away() -> None:
    """So a way there and back is worth nothing, and arrivals are paid as without it."""
    plain, guided = BeaconGame(RULES, seed=3), BeaconGame(replace(RULES, guide=0.5), seed=3)
    start, paid = plain.marine, []
    far = tuple(0 if place > 8 else 15 for place in plain.beacon)
    for target in (far, start, plain.beacon):
        for game in (plain, guided):
            game.act("Move_screen", [target])
        for _ in range(12):
            beacon, before = guided.beacon, guided._away(guided.marine)
            reward, other = plain.advance(), guided.advance()
            if reward:
                paid.append(other - 1)
                break
            assert beacon == guided.beacon and other == 0.5 * (before - guided._away(guided.marine))
            paid.append(other)
    assert reward == 1 and min(paid) < 0 < max(paid)
    assert sum(paid) <= 0.5 * max(abs(a - b) for a, b in zip(start, beacon, strict=True))


def test_nothing_moves_without_a_call_and_an_order_stands_until_it_is_done() -> None:
    game = BeaconGame(RULES, seed=1)
    before = game.marine
    assert game.advance() == 0 and game.marine == before
    game.act("Move_screen", [(0, 0)])
    for _ in range(12):
        game.act("no_op", [])
        game.advance()
    assert game.marine == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_beacon_is_never_under_the_marine(seed: int) -> None:
    game = BeaconGame(RULES, seed)
    for _ in range(10):
        assert game._away(game.marine) > RULES.radius + 1
        plane = game.player_relative()
        assert (plane == NEUTRAL).sum() == 9 and (plane == SELF).sum() == 1
        game.marine = tuple(float(c) for c in game.beacon)
        game.advance()


def test_a_move_is_available_once_the_marine_is_selected() -> None:
    for call, points, selects in (
        ("select_army", [], True),
        ("no_op", [], False),
        ("select_point", [(0, 0)], True),
        ("select_point", [(1, 1)], True),
        ("select_point", [(2, 0)], False),
        ("select_rect", [(3, 3), (0, 0)], True),
        ("select_rect", [(1, 1), (3, 3)], False),
    ):
        game = BeaconGame(RULES)
        game.marine = (0.0, 0.0)
        assert "Move_screen" not in game.available()
        game.act(call, points)
        assert ("Move_screen" in game.available()) == selects, (call, points)
        assert game.selected_plane().sum() == selects


def test_episodes_are_a_function_of_seed_and_number() -> None:
    def places(seed: int) -> list[tuple[int, int]]:
        game, found = BeaconGame(RULES, seed), []
        for _ in range(3):
            found.append((game.marine, game.beacon))
            game.begin()
        return found

    assert places(5) == places(5) and len(set(places(5))) == 3 and places(5) != places(6)
    game = BeaconGame(RULES, 5)
    game.begin()
    other = BeaconGame(RULES, 9)
    other.restore(game.state())
    assert np.array_equal(game.player_relative(), other.player_relative())


def test_points_of_a_call_are_its_points(sc2_interface: Interface) -> None:
    assert points_of(sc2_interface, Call(3, ((1,), (2, 3), (4, 5)))) == ("select_rect", [(2, 3), (4, 5)])
    assert points_of(sc2_interface, Call(7, ((1,),))) == ("select_army", [])


def test_rules_without_room_are_refused() -> None:
    with pytest.raises(InputError, match="no room"):
        BeaconRules(size=8, radius=2)
    with pytest.raises(InputError, match="speed"):
        BeaconRules(speed=0)
    with pytest.raises(InputError, match="guide=-1"):
        BeaconRules(guide=-1)
