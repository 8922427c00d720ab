"""A market of clouds: who moves, who earns, and what peering changes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from sky_broker.market import Demand, Market, best_responses, defections, made_up_demand, profits, settle

HOME, SPECIAL = "home", "special"


def two(home: float, special: float, out: float, back: float) -> Market:
    """One stage, a home and a specialised cloud."""
    return Market(
        (HOME, SPECIAL), ("train",), np.array([[home], [special]]), np.array([[0.0, out], [back, 0.0]])
    )


def three(seed: int) -> Market:
    random = np.random.default_rng(seed)
    egress = random.uniform(0.0, 0.2, (3, 3))
    np.fill_diagonal(egress, 0.0)
    return Market(("a", "b", "c"), ("x", "y", "z"), random.uniform(0.5, 3.0, (3, 3)), egress)


def some(market: Market, seed: int, users: int = 30) -> Demand:
    return made_up_demand(market, users, seed, [20.0, 60.0, 40.0], 100.0, {"a": 0.5, "b": 0.3, "c": 0.2})


@given(
    st.floats(0.1, 5.0), st.floats(0.1, 5.0), st.floats(0, 0.2), st.floats(0, 0.2), st.floats(1, 100),
    st.floats(0, 1000), st.floats(0, 1000),
)  # fmt: skip
def test_a_stage_moves_if_and_only_if_it_saves_more_than_its_data_cost(
    home, special, out, back, hours, into, outward
) -> None:
    market = two(home, special, out, back)
    demand = Demand(np.array([0]), np.array([[hours]]), np.array([[into, outward]]))
    saved, fees = (home - special) * hours, into * out + outward * back
    if abs(saved - fees) > 1e-6:
        assert (settle(market, demand, True).place[0, 0] == 1) == (saved > fees)
    peered = settle(market.peered([HOME, SPECIAL]), demand, True)
    if abs(saved) > 1e-6:
        assert (peered.place[0, 0] == 1) == (special < home)


@given(st.integers(0, 10**6))
def test_chains_are_the_cheapest_of_all(seed: int) -> None:
    market = three(seed)
    demand = some(market, seed, users=4)
    found = settle(market, demand, True)
    for user in range(4):
        best = np.inf
        for places in itertools.product(range(3), repeat=3):
            route = [demand.home[user], *places, demand.home[user]]
            fees = sum(
                gb * market.egress[a, b]
                for gb, (a, b) in zip(demand.gigabytes[user], itertools.pairwise(route), strict=True)
            )
            best = min(
                best,
                fees + sum(demand.hours[user, k] * market.usd_per_hour[p, k] for k, p in enumerate(places)),
            )
        assert found.cost[user] == pytest.approx(best)


@given(st.integers(0, 10**6))
def test_what_users_pay_is_what_clouds_take(seed: int) -> None:
    market = three(seed)
    demand = some(market, seed)
    for brokered in (False, True):
        settlement = settle(market, demand, brokered)
        assert settlement.cost.sum() == pytest.approx(settlement.computing.sum() + settlement.egress.sum())
        assert 1 / 3 - 1e-9 <= settlement.hhi <= 1
    locked = settle(market, demand, False)
    assert not locked.egress.any()
    assert (locked.place == demand.home[:, None]).all()


@given(st.integers(0, 10**6))
def test_a_broker_never_makes_a_user_pay_more_and_peering_less_still(seed: int) -> None:
    market = three(seed)
    demand = some(market, seed)
    locked, brokered = (settle(market, demand, choice).cost for choice in (False, True))
    peered = settle(market.peered(["a", "b", "c"]), demand, True)
    assert (brokered <= locked + 1e-9).all()
    assert (peered.cost <= brokered + 1e-9).all()
    assert not peered.egress.any()
    assert peered.cost == pytest.approx((demand.hours * market.usd_per_hour.min(axis=0)).sum(axis=1))


def test_without_egress_data_hold_nobody_and_with_enough_of_it_everybody() -> None:
    market = three(1)
    for size, moved in ((0.0, True), (1e9, False)):
        demand = made_up_demand(market, 50, 0, [20.0, 60.0, 40.0], size, {"a": 1.0})
        assert (settle(market, demand, True).place != 0).any() == moved


def test_a_specialised_cloud_earns_only_where_there_is_a_broker() -> None:
    market = three(2)
    entered = market.entered("d", {"y": 0.2}, 0.0, np.array([0.09, 0.09, 0.12]))
    demand = some(market, 2)
    assert settle(entered, demand, False).computing[3] == 0
    brokered = settle(entered, demand, True).computing[3]
    peered = settle(entered.peered(entered.clouds), demand, True).computing[3]
    assert 0 < brokered <= peered
    assert (settle(entered, demand, True).place[:, [0, 2]] != 3).all()  # it offers y alone


def test_the_best_response_of_a_lone_home_is_the_dearest_price_and_of_rivals_it_is_not() -> None:
    market = two(1.0, 1.0, 0.0, 0.0)
    demand = Demand(np.zeros(5, dtype=np.int64), np.full((5, 1), 10.0), np.zeros((5, 2)))
    grid = [0.8, 0.9, 1.0, 1.1, 1.2]
    locked = best_responses(market, demand, False, 0.7, grid, 10)
    assert locked.settled and locked.factors[-1][0] == 1.2
    rivals = best_responses(market, demand, True, 0.7, grid, 20)
    assert rivals.factors[-1][0] <= 0.9


def test_a_settled_game_leaves_nobody_a_better_price() -> None:
    market = three(5)
    demand = some(market, 5)
    grid = [0.7, 0.85, 1.0, 1.15, 1.3]
    game = best_responses(market, demand, True, 0.7, grid, 30)
    assert game.settled
    last = game.factors[-1]
    offered = market.scaled(last)
    kept = profits(market, offered, settle(offered, demand, True), demand, 0.7)
    for cloud, factor in itertools.product(range(3), grid):
        tried = last.copy()
        tried[cloud] = factor
        other = market.scaled(tried)
        assert profits(market, other, settle(other, demand, True), demand, 0.7)[cloud] <= kept[cloud] + 1e-6


def test_whoever_leaves_the_peering_is_priced_as_if_it_had_never_joined() -> None:
    market = three(3)
    demand = some(market, 3)
    found = defections(market, demand, ["a", "b"], 0.7)
    alone = profits(market, market, settle(market, demand, True), demand, 0.7)
    assert found["a"][1] == pytest.approx(alone[0]) and found["b"][1] == pytest.approx(alone[1])
    together = market.peered(["a", "b"])
    kept = profits(market, together, settle(together, demand, True), demand, 0.7)
    assert found["a"][0] == pytest.approx(kept[0])


def test_the_same_seed_makes_the_same_users() -> None:
    first, again, other = (some(three(0), seed) for seed in (4, 4, 5))
    assert np.array_equal(first.hours, again.hours) and not np.array_equal(first.hours, other.hours)


def test_made_up_users_move_their_data_along_the_chain_and_a_twentieth_of_them_home() -> None:
    demand = some(three(0), 4)
    inward = demand.gigabytes[:, :1]
    assert np.array_equal(demand.gigabytes[:, :-1], np.repeat(inward, 3, axis=1))
    assert demand.gigabytes[:, -1] == pytest.approx(inward[:, 0] / 20)
    many = some(three(0), 4, users=4000)
    for drawn, median in ((many.gigabytes[:, 0], 100.0), (many.hours[:, 1], 60.0)):
        assert np.median(drawn) == pytest.approx(median, rel=0.1) and np.log(drawn).std() == pytest.approx(
            1, rel=0.1
        )
    assert np.bincount(many.home) / 4000 == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    lone = some(three(0), 4, users=1)
    assert lone.home.shape == (1,) and (lone.hours > 0).all()


def test_a_cloud_keeps_its_price_where_another_would_pay_it_as_much() -> None:
    """At its list price the special cloud has one of two users, at 7/8 of it both: half of the margin, from twice as many."""
    market = two(2.0, 1.0, 0.0, 0.0)
    market = replace(market, clouds=(SPECIAL, HOME), usd_per_hour=market.usd_per_hour[::-1])
    market = replace(market, egress=np.array([[0.0, 0.0], [1.0, 0.0]]))
    # The first moves while it saves more than 0.95 $ by it, the other one more than 1.05 $.
    demand = Demand(np.ones(2, dtype=np.int64), np.ones((2, 1)), np.array([[0.95, 0.0], [1.05, 0.0]]))
    game = best_responses(market, demand, True, 0.75, [0.5, 0.875, 1.0], 1)
    assert game.factors[1][0] == 1.0
    # With a little more to be had by the lower price it is taken.
    demand.hours[1] = 1.01
    assert best_responses(market, demand, True, 0.75, [0.5, 0.875, 1.0], 1).factors[1][0] == 0.875


def test_what_costs_nothing_is_no_contradiction() -> None:
    free = two(0.0, 1.0, 0.1, 0.1)
    demand = Demand(np.zeros(1, dtype=np.int64), np.ones((1, 1)), np.zeros((1, 2)))
    assert settle(free, demand, True).cost[0] == 0


def test_markets_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        Market(("a",), ("x",), np.ones((2, 1)), np.zeros((1, 1)))
    with pytest.raises(InputError, match="negative"):
        two(-1.0, 1.0, 0.1, 0.1)
    with pytest.raises(InputError, match="unknown"):
        two(1.0, 1.0, np.nan, 0.1)
    market = three(0)
    with pytest.raises(InputError, match="did you mean|Valid"):
        market.peered(["d"])
    with pytest.raises(InputError, match="already"):
        market.entered("a", {}, 0.0, np.zeros(3))
    lacking = market.entered("d", {"x": 1.0}, 0.0, np.zeros(3))
    with pytest.raises(InputError, match="no stage 'w'"):
        market.entered("d", {"x": 1.0, "w": 1.0}, 0.0, np.zeros(3))
    for users, hours, size in (
        (0, [1.0] * 3, 1.0),
        (5, [1.0] * 2, 1.0),
        (5, [1.0] * 3, -1.0),
        (5, [-1.0] * 3, 1.0),
    ):
        with pytest.raises(InputError, match="1 user or more"):
            made_up_demand(market, users, 0, hours, size, {"a": 1.0})
    with pytest.raises(InputError, match="cannot be a home"):
        made_up_demand(lacking, 5, 0, [1.0, 1.0, 1.0], 1.0, {"d": 1.0})
    with pytest.raises(InputError, match="does not offer"):
        settle(lacking, Demand(np.array([3]), np.ones((1, 3)), np.ones((1, 4))), False)
