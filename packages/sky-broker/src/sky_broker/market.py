"""A market of clouds in the small: who computes where, and who earns, with and without a broker, egress fees and peering.

The white paper argues in words. The equations here are ours, and so is the demand, which is made up; prices come from whoever calls, and are
real where the command line calls. What is assumed:

- A user's job is a chain of stages. Its data lie at the user's home cloud, and its result goes back there.
- Without a broker everything runs at home. With one each stage runs wherever the whole chain is cheapest, and at home if nothing is cheaper.
- Clouds have room for all, users know all prices and look at nothing else, and moving takes no work.
- What computing costs a cloud is a fixed share of its list price; egress costs it nothing.

Source: Chasins et al. 2022, "The Sky Above The Clouds": brokers, data gravity, reciprocal peering and specialised clouds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.skyplane import Floats

Ints = NDArray[np.int64]
_SAME = 1e-9  # $: nobody moves for less


@dataclass(frozen=True, eq=False)
class Market:
    """What clouds take.

    Attributes:
        clouds: c of them.
        stages: k kinds of computing.
        usd_per_hour: (c, k) of each kind; NaN where a cloud does not offer it.
        egress: (c, c) $/GB from row to column, 0 on the diagonal.

    Raises:
        InputError: shapes differ or a price is negative.
    """

    clouds: tuple[str, ...]
    stages: tuple[str, ...]
    usd_per_hour: Floats
    egress: Floats

    def __post_init__(self) -> None:
        c, k = len(self.clouds), len(self.stages)
        if self.usd_per_hour.shape != (c, k) or self.egress.shape != (c, c):
            raise InputError(
                f"prices have the shape {self.usd_per_hour.shape} and egress {self.egress.shape}, not ({c}, {k}) and ({c}, {c})"
            )
        if (self.usd_per_hour < 0).any() or not (self.egress >= 0).all() or np.diag(self.egress).any():
            raise InputError(
                "a price of the market is negative, or egress is unknown, or not 0 inside a cloud"
            )

    def index(self, cloud: str) -> int:
        """The row of a cloud.

        Raises:
            InputError: it is not in the market.
        """
        if cloud not in self.clouds:
            raise InputError(f"the market has no cloud {cloud!r}{closest(cloud, self.clouds)}")
        return self.clouds.index(cloud)

    def peered(self, clouds: Iterable[str]) -> Market:
        """The market after some clouds let data go among themselves free of charge."""
        rows = [self.index(cloud) for cloud in clouds]
        egress = self.egress.copy()
        egress[np.ix_(rows, rows)] = 0.0
        return replace(self, egress=egress)

    def scaled(self, factors: Floats) -> Market:
        """The market with each cloud's prices of computing multiplied by its factor, (c,)."""
        return replace(self, usd_per_hour=self.usd_per_hour * factors[:, None])

    def entered(self, cloud: str, usd_per_hour: Mapping[str, float], egress: float, inward: Floats) -> Market:
        """The market with a further cloud.

        Args:
            cloud: its name.
            usd_per_hour: what it takes, by the stages that it offers.
            egress: what it takes for a gigabyte that leaves.
            inward: (c,) what the others take for a gigabyte that goes there.

        Raises:
            InputError: the cloud is there already, or a stage is unknown.
        """
        if cloud in self.clouds:
            raise InputError(f"{cloud} is in the market already")
        if unknown := sorted(set(usd_per_hour) - set(self.stages)):
            raise InputError(f"the market has no stage {unknown[0]!r}{closest(unknown[0], self.stages)}")
        prices = np.array([[usd_per_hour.get(stage, np.nan) for stage in self.stages]])
        c = len(self.clouds)
        wide = np.full((c + 1, c + 1), float(egress))
        wide[:c, :c], wide[:c, c], wide[c, c] = self.egress, inward, 0.0
        return Market((*self.clouds, cloud), self.stages, np.concatenate([self.usd_per_hour, prices]), wide)


@dataclass(frozen=True, eq=False)
class Demand:
    """Users' jobs: n chains of the market's stages.

    Attributes:
        home: (n,) number of the cloud where each user's data lie.
        hours: (n, k) of each stage.
        gigabytes: (n, k + 1) into the first stage, from each to the next, and from the last one home.
    """

    home: Ints
    hours: Floats
    gigabytes: Floats


def made_up_demand(
    market: Market,
    users: int,
    seed: int,
    hours: Sequence[float],
    median_gigabytes: float,
    home_shares: Mapping[str, float],
    spread: float = 1.0,
) -> Demand:
    """Users whom nobody asked: sizes drawn from log-normal distributions, homes by shares.

    Args:
        market: its clouds and stages.
        users: n.
        seed: of all draws.
        hours: median of each stage.
        median_gigabytes: median of a user's data; as much goes from stage to stage, and a twentieth home.
        home_shares: cloud -> share of the users that live there; they are scaled to sum to 1.
        spread: standard deviation of the logarithm of hours and of sizes.

    Raises:
        InputError: a home does not offer every stage, so that its users could not do without a broker.
    """
    if users < 1 or len(hours) != len(market.stages) or min(*hours, median_gigabytes, spread) < 0:
        raise InputError(
            f"demand has 1 user or more, hours of {len(market.stages)} stages, and nothing negative"
        )
    for cloud in home_shares:
        if np.isnan(market.usd_per_hour[market.index(cloud)]).any():
            raise InputError(f"{cloud} cannot be a home: it does not offer every stage")
    random = np.random.default_rng(seed)
    shares = np.array(list(home_shares.values()), dtype=np.float64)
    rows = np.array([market.index(cloud) for cloud in home_shares])
    home = rows[random.choice(len(rows), users, p=shares / shares.sum())]
    size = median_gigabytes * np.exp(spread * random.standard_normal(users))
    drawn = np.array(hours) * np.exp(spread * random.standard_normal((users, len(hours))))
    gigabytes = np.repeat(size[:, None], len(hours) + 1, axis=1)
    gigabytes[:, -1] = size / 20
    return Demand(home, drawn, gigabytes)


@dataclass(frozen=True, eq=False)
class Settlement:
    """Where everything ran and who was paid.

    Attributes:
        cost: (n,) what each user pays, in $.
        place: (n, k) cloud of each stage.
        computing: (c,) what each cloud takes for computing.
        egress: (c,) what each cloud takes for data that leave it.
    """

    cost: Floats
    place: Ints
    computing: Floats
    egress: Floats

    @property
    def shares(self) -> Floats:
        """(c,) of all that is paid for computing."""
        shares: Floats = self.computing / self.computing.sum()
        return shares

    @property
    def hhi(self) -> float:
        """Herfindahl-Hirschman index of the shares: 1 is a monopoly, 1/c the most even market."""
        return float((self.shares**2).sum())


def settle(market: Market, demand: Demand, brokered: bool) -> Settlement:
    """Let every user run a job.

    Args:
        market: prices.
        demand: jobs.
        brokered: stages run where the chain is cheapest; else all of them at home.

    Raises:
        InputError: without a broker, a home does not offer a stage.
    """
    _n, k = demand.hours.shape
    home = np.repeat(demand.home[:, None], k, axis=1)
    at_home = _cost(market, demand, home)
    if not brokered:
        if np.isnan(at_home).any():
            cloud = market.clouds[demand.home[int(np.isnan(at_home).argmax())]]
            raise InputError(
                f"users of {cloud} need a stage that it does not offer; without a broker they cannot run"
            )
        return _settled(market, demand, home, at_home)
    best = _cheapest_chains(market, demand)
    cost = _cost(market, demand, best)
    stay = ~np.isnan(at_home) & (at_home <= cost + _SAME)
    place = np.where(stay[:, None], home, best)
    return _settled(market, demand, place, np.where(stay, at_home, cost))


def _cheapest_chains(market: Market, demand: Demand) -> Ints:
    """(n, k) clouds of the cheapest chains, stage by stage for all users at once."""
    n, k = demand.hours.shape
    prices = np.where(np.isnan(market.usd_per_hour), np.inf, market.usd_per_hour)
    value = demand.gigabytes[:, :1] * market.egress[demand.home] + demand.hours[:, :1] * prices[:, 0]
    before = np.zeros((n, k, len(market.clouds)), dtype=np.int64)
    for stage in range(1, k):
        moved = value[:, :, None] + demand.gigabytes[:, stage, None, None] * market.egress
        before[:, stage] = moved.argmin(axis=1)
        value = moved.min(axis=1) + demand.hours[:, stage, None] * prices[:, stage]
    value = value + demand.gigabytes[:, -1:] * market.egress[:, demand.home].T
    place = np.zeros((n, k), dtype=np.int64)
    place[:, -1] = value.argmin(axis=1)
    for stage in range(k - 1, 0, -1):
        place[:, stage - 1] = before[np.arange(n), stage, place[:, stage]]
    return place


def _moves(demand: Demand, place: Ints) -> tuple[Ints, Ints]:
    """(n, k + 1) clouds that data leave and enter."""
    home = demand.home[:, None]
    return np.concatenate([home, place], axis=1), np.concatenate([place, home], axis=1)


def _cost(market: Market, demand: Demand, place: Ints) -> Floats:
    leaving, entering = _moves(demand, place)
    computing = demand.hours * market.usd_per_hour[place, np.arange(place.shape[1])]
    cost: Floats = computing.sum(axis=1) + (demand.gigabytes * market.egress[leaving, entering]).sum(axis=1)
    return cost


def _settled(market: Market, demand: Demand, place: Ints, cost: Floats) -> Settlement:
    c = len(market.clouds)
    leaving, entering = _moves(demand, place)
    computing = demand.hours * market.usd_per_hour[place, np.arange(place.shape[1])]
    fees = demand.gigabytes * market.egress[leaving, entering]
    return Settlement(
        cost,
        place,
        _by_cloud(place, computing, c),
        _by_cloud(leaving, fees, c),
    )


def _by_cloud(clouds: Ints, usd: Floats, count: int) -> Floats:
    return np.bincount(clouds.ravel(), usd.ravel(), minlength=count).astype(np.float64)


def profits(
    list_prices: Market, market: Market, settlement: Settlement, demand: Demand, cost_share: float
) -> Floats:
    """(c,) what each cloud keeps.

    Args:
        list_prices: the market whose prices say what computing costs its clouds.
        market: the market as it was settled.
        settlement: who ran where.
        demand: jobs.
        cost_share: of a list price that computing costs the cloud.
    """
    own = demand.hours * list_prices.usd_per_hour[settlement.place, np.arange(settlement.place.shape[1])]
    spent = _by_cloud(settlement.place, own, len(market.clouds)) * cost_share
    kept: Floats = settlement.computing + settlement.egress - spent
    return kept


@dataclass(frozen=True, eq=False)
class PriceGame:
    """How clouds answered one another.

    Attributes:
        factors: (rounds + 1, c) of list prices, from 1 on.
        settled: whether the last round changed nothing, so that no cloud gains by another factor of the grid.
    """

    factors: Floats
    settled: bool


def best_responses(
    market: Market, demand: Demand, brokered: bool, cost_share: float, factors: Sequence[float], rounds: int
) -> PriceGame:
    """Clouds choose, one after the other, the factor of the grid that pays them best against the others'.

    Args:
        market: list prices.
        demand: jobs.
        brokered: whether users have a broker.
        cost_share: of a list price that computing costs the cloud.
        factors: the grid; 1 is the list price.
        rounds: most rounds in which every cloud has its turn.
    """
    if not factors or min(factors) <= 0:
        raise InputError("factors of prices are above 0")
    now = np.ones(len(market.clouds))
    history = [now]
    for _ in range(rounds):
        after = now.copy()
        for cloud in range(len(market.clouds)):
            kept = []
            for factor in factors:
                tried = after.copy()
                tried[cloud] = factor
                offered = market.scaled(tried)
                kept.append(
                    profits(market, offered, settle(offered, demand, brokered), demand, cost_share)[cloud]
                )
            if max(kept) > kept[int(np.argmin(np.abs(np.array(factors) - after[cloud])))] + _SAME:
                after[cloud] = factors[int(np.argmax(kept))]
        history.append(after)
        if np.array_equal(after, now):
            return PriceGame(np.array(history), True)
        now = after
    return PriceGame(np.array(history), False)


def defections(
    market: Market, demand: Demand, peers: Sequence[str], cost_share: float
) -> dict[str, tuple[float, float]]:
    """What each peer keeps while all of them peer, and after it alone has left.

    Args:
        market: without peering.
        demand: jobs, with a broker.
        peers: clouds that let data go among themselves.
        cost_share: of a price that computing costs the cloud.
    """
    found: dict[str, tuple[float, float]] = {}
    together = market.peered(peers)
    inside = profits(market, together, settle(together, demand, True), demand, cost_share)
    for peer in peers:
        without = market.peered([other for other in peers if other != peer])
        outside = profits(market, without, settle(without, demand, True), demand, cost_share)
        row = market.index(peer)
        found[peer] = float(inside[row]), float(outside[row])
    return found
