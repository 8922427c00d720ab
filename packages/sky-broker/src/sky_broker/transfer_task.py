"""The task `transfer`: one transfer beside its baselines, or many pairs of regions at once."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pandas as pd

from offprints.app import Results, Run
from offprints.atomic import write_text
from offprints.errors import InputError
from offprints.logging import console
from offprints.tables import show

from sky_broker import plots_transfer
from sky_broker.config import Config, NetworkConfig
from sky_broker.network import NetworkGrid
from sky_broker.skyplane import SKYPLANE_PROFILES
from sky_broker.task_options import TransferConfig
from sky_broker.transfer import TransferPlan, direct_transfer, plan_transfer, ron_transfer

_DONE = "pairs.json"


def transfer_task(config: Config, run: Run) -> Results:
    """Move data between two regions over the cheapest paths for a rate, or the fastest for a price; or look at many pairs."""
    options = config.transfer
    grid = network_of(config.network, run)
    if options.pairs < 0:
        raise InputError(f"transfer.pairs={options.pairs} must be 0 or more")
    return _pairs(grid, config, run) if options.pairs else _one(grid, options, run)


def network_of(config: NetworkConfig, run: Run, tiers: bool = False) -> NetworkGrid:
    """The network that the options ask for, recorded where it is a published data set.

    Args:
        config: the options.
        run: to record in.
        tiers: whether the task knows egress by the tiers of a month.

    Raises:
        InputError: there is no such network or cloud, or tiers are asked for that the task does not know.
    """
    if config.egress not in ("flat", "tiered"):
        raise InputError(f"network.egress={config.egress}; flat or tiered was expected")
    if config.egress == "tiered" and not tiers:
        raise InputError("network.egress=tiered is for task=optimize; other tasks plan at flat prices")
    if config.source == "embedded":
        grid = NetworkGrid.embedded()
    elif config.source == "skyplane":
        run.dataset(SKYPLANE_PROFILES.name, SKYPLANE_PROFILES.verify())
        grid = NetworkGrid.from_skyplane()
    else:
        grid = NetworkGrid.from_skyplane(config.source)
    return grid.with_peering(config.peering) if config.peering else grid


def _one(grid: NetworkGrid, options: TransferConfig, run: Run) -> Results:
    ends = grid, options.source, options.target, options.gigabytes
    plan = plan_transfer(
        *ends, rate_gbps=options.rate_gbps, usd_per_gb=options.usd_per_gb, vm_limit=options.vm_limit
    )
    baselines = {
        "direct": direct_transfer(*ends, vm_limit=options.vm_limit),
        "ron": ron_transfer(*ends, vm_limit=options.vm_limit),
    }
    console().print(plan.explain(), highlight=False, soft_wrap=True)
    plans = {"overlay": plan, **baselines}
    show(_table(plans), f"{options.gigabytes:g} GB from {options.source} to {options.target}")
    run.figure("paths", plots_transfer.paths(plan), "The routes of the plan; the wider, the more data")
    curve = _curve(ends, options.vm_limit)
    run.figure("rates", plots_transfer.rates(curve, plans), "What the cheapest plan costs at each rate")
    metrics = {
        f"{name}/{key}": value
        for name, found in plans.items()
        for key, value in (("gbps", found.gbps), ("usd_per_gb", found.usd_per_gb), ("hours", found.hours))
    }
    return Results(
        metrics | {"overlay/bound_usd": plan.bound_usd, "overlay/usd": plan.usd, "overlay/gap": plan.gap},
        {
            "paths": [[list(path.locations), path.gbps, path.usd_per_gb] for path in plan.paths],
            "vms": dict(plan.vms),
        },
    )


def _curve(ends: tuple[NetworkGrid, str, str, float], vm_limit: int) -> list[TransferPlan]:
    """Cheapest plans from a tenth of the highest rate to all of it."""
    most = plan_transfer(*ends, usd_per_gb=1e6, vm_limit=vm_limit).gbps
    return [
        plan_transfer(*ends, rate_gbps=float(rate), vm_limit=vm_limit)
        for rate in most * np.linspace(0.1, 1.0, 19) * (1 - 1e-6)
    ]


def _table(plans: dict[str, TransferPlan]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "plan": list(plans),
            "Gbps": [plan.gbps for plan in plans.values()],
            "minutes": [60 * plan.hours for plan in plans.values()],
            "$": [plan.usd for plan in plans.values()],
            "$/GB": [plan.usd_per_gb for plan in plans.values()],
            "VMs": [sum(plan.vms.values()) for plan in plans.values()],
            "paths": [len(plan.paths) for plan in plans.values()],
        }
    )


def _pairs(grid: NetworkGrid, config: Config, run: Run) -> Results:
    """Gain of relays over many pairs: of the best single one, and of an overlay that may cost a little more."""
    options = config.transfer
    pairs = [
        pair
        for pair in itertools.permutations(grid.locations, 2)
        if np.isfinite(grid.gbps[grid.index(pair[0]), grid.index(pair[1])])
    ]
    order = np.random.default_rng(config.seed).permutation(len(pairs))[: options.pairs]
    path = run.directory / _DONE
    rows = json.loads(path.read_text(encoding="utf-8")) if run.resuming and path.exists() else []
    with run.progress(len(order), "pairs", done=len(rows)) as bar:
        for place in order[len(rows) :]:
            with run.uninterrupted():
                rows.append(_gain(grid, pairs[place], options))
                write_text(path, json.dumps(rows))
            bar.advance(1, {"overlay_gain": rows[-1]["overlay_gain"]})
    table = pd.DataFrame(rows)
    run.figure(
        "gains",
        plots_transfer.gains({name: table[f"{name}_gain"].to_numpy() for name in ("relay", "overlay")}),
        "How many pairs of regions gain how much over the direct path",
    )
    metrics: dict[str, float] = {"test/pairs": float(len(table))}
    for name in ("relay", "overlay"):
        gain = table[f"{name}_gain"]
        metrics |= {
            f"test/{name}_gain_mean": float(gain.mean()),
            f"test/{name}_gain_median": float(gain.median()),
            f"test/{name}_gain_p95": float(gain.quantile(0.95)),
            f"test/{name}_gain_over_tenth": float((gain > 1.1).mean()),
            f"test/{name}_price_ratio_mean": float(table[f"{name}_price_ratio"].mean()),
        }
    show(table.nlargest(10, "overlay_gain"), "the ten pairs that gain most")
    return Results(metrics, {"pairs": rows})


def _gain(grid: NetworkGrid, pair: tuple[str, str], options: TransferConfig) -> dict[str, Any]:
    source, target = pair
    ends = grid, source, target, options.gigabytes
    direct = direct_transfer(*ends, vm_limit=options.vm_limit)
    relay = ron_transfer(*ends, vm_limit=options.vm_limit)
    ceiling = options.dearer * direct.usd_per_gb
    overlay = plan_transfer(*ends, usd_per_gb=ceiling, vm_limit=options.vm_limit) if ceiling > 0 else direct
    row: dict[str, Any] = {"source": source, "target": target, "direct_gbps": direct.gbps}
    for name, plan in (("relay", relay), ("overlay", overlay)):
        row[f"{name}_gain"] = plan.gbps / direct.gbps
        row[f"{name}_price_ratio"] = plan.usd_per_gb / direct.usd_per_gb if direct.usd else math.nan
    return row
