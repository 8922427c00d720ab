"""The task `market`: the same made-up users without a broker, with one, and with peering; then a specialised cloud enters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from offprints.app import Results, Run
from offprints.errors import InputError
from offprints.tables import show

from sky_broker import plots_market
from sky_broker.catalog import Catalog
from sky_broker.config import Config
from sky_broker.market import (
    Demand,
    Market,
    Settlement,
    best_responses,
    defections,
    made_up_demand,
    settle,
)
from sky_broker.network import NetworkGrid, cloud_of
from sky_broker.task_options import MarketConfig
from sky_broker.transfer_task import network_of

STAGES = ("prepare", "train", "serve")
WAYS = ("locked in", "brokered", "brokered, peering")


def market_task(config: Config, run: Run) -> Results:
    """Let made-up users run their jobs at real prices without a broker, with one and with peering, and a specialised cloud enter."""
    options = config.market
    catalog = Catalog.load(config.catalog.source, cache=config.catalog.cache)
    run.dataset(f"catalog {config.catalog.source}", catalog.report.sha256)
    incumbent = real_market(catalog, network_of(config.network, run), options.homes)
    entered = _entered(incumbent, options, catalog)
    demand = _demand(entered, options, config.seed, options.median_gigabytes)
    before, after = _ways(incumbent, demand), _ways(entered, demand)
    table = pd.concat([_table(incumbent, before, "before"), _table(entered, after, "after")])
    show(table, f"{options.users:,} users, median {options.median_gigabytes:g} GB; {options.entrant} enters")
    run.figure(
        "shares",
        plots_market.shares(entered.clouds, {way: s.shares for way, s in after.items()}),
        "The share of each cloud in what is paid for computing",
    )
    sweep = _sweep(entered, options, config.seed)
    run.figure(
        "sweep",
        plots_market.sweep(sweep),
        "What users save by a broker, and what the specialised cloud has of their computing, by the size of their data",
    )
    games = _games(entered, demand, options)
    run.figure(
        "prices",
        plots_market.prices(entered.clouds, {way: game.factors for way, game in games.items()}),
        "How clouds change their prices, round after round",
    )
    left = defections(entered, demand, entered.clouds, options.cost_share)
    show(
        pd.DataFrame(
            [(cloud, inside, outside, outside - inside) for cloud, (inside, outside) in left.items()],
            columns=["cloud", "keeps in the peering, $", "alone outside, $", "gains by leaving, $"],
        ),
        "who gains by leaving the peering",
    )
    metrics = _metrics(entered, options, after)
    metrics |= {f"test/gains_by_leaving_{cloud_of(cloud)}": out - into for cloud, (into, out) in left.items()}
    metrics |= {f"test/game_settled_{_key(way)}": float(game.settled) for way, game in games.items()}
    metrics |= {
        f"test/price_{_key(way)}_{cloud_of(cloud)}": float(factor)
        for way, game in games.items()
        for cloud, factor in zip(entered.clouds, game.factors[-1], strict=True)
    }
    details: dict[str, Any] = {"sweep": sweep.to_dict("list"), "clouds": list(entered.clouds)}
    return Results(metrics, details)


def real_market(catalog: Catalog, grid: NetworkGrid, locations: list[str]) -> Market:
    """List prices of three stages in some locations, and egress among them.

    Args:
        catalog: prices of machines.
        grid: prices of egress.
        locations: cloud:region, one for each cloud.

    Raises:
        InputError: a location is unknown, or a cloud is there twice.
    """
    if len({cloud_of(location) for location in locations}) < len(locations):
        raise InputError(f"a market has one location for each cloud; these are {', '.join(locations)}")
    usd, _ = grid.submatrices(locations, need="price")
    return Market(tuple(locations), STAGES, np.array([stage_prices(catalog, one) for one in locations]), usd)


def stage_prices(catalog: Catalog, location: str) -> list[float]:
    """$/h of each stage in a location, NaN where it is not to be had: 32 vCPUs and 64 GiB, four V100, one T4.

    Training is priced by the V100, four times the least that one costs in a machine of any number of them.
    """
    general = catalog.offers(cpus="32+", memory="64+", regions=[location])
    bare = [offer.usd_per_hour for offer in general if not offer.accelerator]
    v100 = [
        4 * offer.usd_per_hour / offer.count
        for count in (1, 2, 4, 8)
        for offer in catalog.offers(f"V100:{count}", regions=[location])
    ]
    t4 = [offer.usd_per_hour for offer in catalog.offers("T4:1", regions=[location])]
    return [min(found, default=float("nan")) for found in (bare, v100, t4)]


def _entered(incumbent: Market, options: MarketConfig, catalog: Catalog) -> Market:
    prices = stage_prices(catalog, options.entrant)
    offered = {stage: price for stage, price in zip(STAGES, prices, strict=True) if not np.isnan(price)}
    abroad = incumbent.egress.max(axis=1)  # what each takes at most from another cloud
    return incumbent.entered(options.entrant, offered, options.entrant_egress, abroad)


def _demand(entered: Market, options: MarketConfig, seed: int, median_gigabytes: float) -> Demand:
    if len(options.homes) != len(options.home_shares) or not sum(options.home_shares) > 0:
        raise InputError("market.home_shares has a number for each of market.homes, and not all are 0")
    shares = dict(zip(options.homes, options.home_shares, strict=True))
    return made_up_demand(entered, options.users, seed, options.hours, median_gigabytes, shares)


def _ways(prices: Market, demand: Demand) -> dict[str, Settlement]:
    peered = prices.peered(prices.clouds)
    return dict(
        zip(
            WAYS,
            (settle(prices, demand, False), settle(prices, demand, True), settle(peered, demand, True)),
            strict=True,
        )
    )


def _table(prices: Market, ways: dict[str, Settlement], when: str) -> pd.DataFrame:
    rows = []
    for way, found in ways.items():
        shares = {
            f"{cloud_of(cloud)} %": 100 * share
            for cloud, share in zip(prices.clouds, found.shares, strict=True)
        }
        rows.append(
            {
                "entry": when,
                "users": way,
                "users pay, $": found.cost.sum(),
                "egress, $": found.egress.sum(),
                "HHI": found.hhi,
            }
            | shares
        )
    return pd.DataFrame(rows)


def _sweep(entered: Market, options: MarketConfig, seed: int) -> pd.DataFrame:
    """What users save by a broker, and who computes, by the size of their data."""
    rows = []
    for gigabytes in options.sweep_gigabytes:
        ways = _ways(entered, _demand(entered, options, seed, gigabytes))
        locked = ways[WAYS[0]].cost.sum()
        row: dict[str, float] = {"gigabytes": gigabytes}
        for way in WAYS[1:]:
            row[f"saving {way}"] = 1 - ways[way].cost.sum() / locked
            row[f"entrant {way}"] = float(ways[way].shares[-1])
        rows.append(row)
    return pd.DataFrame(rows)


def _games(entered: Market, demand: Demand, options: MarketConfig) -> dict[str, Any]:
    peered = entered.peered(entered.clouds)
    rest = options.cost_share, options.price_steps, options.rounds
    return {
        WAYS[0]: best_responses(entered, demand, False, *rest),
        WAYS[1]: best_responses(entered, demand, True, *rest),
        WAYS[2]: best_responses(peered, demand, True, *rest),
    }


def _metrics(entered: Market, options: MarketConfig, ways: dict[str, Settlement]) -> dict[str, float]:
    locked = ways[WAYS[0]].cost.sum()
    found: dict[str, float] = {}
    for way, settlement in ways.items():
        key = _key(way)
        found[f"test/saving_{key}"] = float(1 - settlement.cost.sum() / locked)
        found[f"test/hhi_{key}"] = settlement.hhi
        found[f"test/egress_share_{key}"] = float(settlement.egress.sum() / settlement.cost.sum())
        found[f"test/entrant_share_{key}"] = float(settlement.shares[-1])
    return found


def _key(way: str) -> str:
    return way.replace(", ", "_").replace(" ", "_")
