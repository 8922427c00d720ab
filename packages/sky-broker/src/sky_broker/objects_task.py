"""The task `objects`: policies for copies of objects, side by side on one trace, beside the best that could have been done."""

from __future__ import annotations

import re

import pandas as pd

from offprints.app import Results, Run
from offprints.tables import show

from sky_broker import plots_objects
from sky_broker.config import Config
from sky_broker.object_optimum import least_cost
from sky_broker.object_traces import GET_USD, PUT_USD, STORAGE_2022, made_up_requests, read_requests
from sky_broker.objects import (
    ALWAYS_EVICT,
    ALWAYS_STORE,
    BreakEvenTtl,
    HistogramTtl,
    ObjectStore,
    replay,
)
from sky_broker.transfer_task import network_of

_POLICIES = (ALWAYS_EVICT, ALWAYS_STORE, BreakEvenTtl(), HistogramTtl())


def objects_task(config: Config, run: Run) -> Results:
    """Replay reads and writes of objects under each policy of keeping copies, beside the least that it could have cost."""
    options = config.objects
    store = ObjectStore.on(network_of(config.network, run), STORAGE_2022, get_usd=GET_USD, put_usd=PUT_USD)
    if options.file is not None:
        requests, sizes = read_requests(options.file)
        end = requests[-1].seconds
        gigabytes: float | dict[str, float] = sizes
    else:
        end = 86_400 * options.days
        requests = made_up_requests(
            config.seed, options.objects, options.days, options.reads_per_day, store.regions
        )
        gigabytes = options.gigabytes
    rows = []
    for policy in _POLICIES:
        bill = replay(policy, store, requests, end, gigabytes)
        rows.append((policy.name, bill.storage_usd, bill.egress_usd, bill.request_usd, bill.usd, bill.hits))
    everywhere = replay(ALWAYS_EVICT, store, requests, end, gigabytes, pinned=store.regions)
    rows.append(
        (
            "replicate everywhere",
            everywhere.storage_usd,
            everywhere.egress_usd,
            everywhere.request_usd,
            everywhere.usd,
            everywhere.hits,
        )
    )
    best = least_cost(store, requests, end, gigabytes, pin_base=options.pin_base)
    table = pd.DataFrame(rows, columns=["policy", "storage $", "egress $", "requests $", "all $", "hits"])
    table["over the optimum"] = table["all $"] / best
    show(
        table,
        f"{len(requests):,} requests to {len({r.name for r in requests}):,} objects; the optimum costs ${best:.2f}",
    )
    run.figure(
        "bills",
        plots_objects.bills(table, best),
        "The bill of each policy by its parts, and the least that it could have been",
    )
    metrics = {
        f"test/cost_{_key(name)}": cost for name, cost in zip(table["policy"], table["all $"], strict=True)
    }
    return Results(metrics | {"test/cost_optimum": best, "test/requests": float(len(requests))})


def _key(policy: str) -> str:
    return re.sub("[^a-z]+", "_", policy.lower())
