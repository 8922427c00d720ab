"""The task `catalog`: what a catalog holds and what was wrong in it, a question to it, and what changed since another."""

from __future__ import annotations

import pandas as pd

from offprints.app import Results, Run
from offprints.tables import show

from sky_broker.catalog import Catalog
from sky_broker.catalog_diff import diff
from sky_broker.config import Config
from sky_broker.places import allows, check_residency


def catalog_task(config: Config, run: Run) -> Results:
    """Say what is in a catalog, answer a question, or compare it with a later one."""
    options = config.catalog
    catalog = Catalog.load(options.source, cache=options.cache)
    run.dataset(f"catalog {options.source}", catalog.report.sha256)
    show(_clouds(catalog), f"{options.source}: {len(catalog):,} offers")
    counts = catalog.report.counts
    show(pd.DataFrame({"": list(counts), "rows": list(counts.values())}), "what was found in its files")
    metrics = {f"catalog/{name}": float(value) for name, value in counts.items()}
    if options.accelerators is not None:
        found = catalog.offers(
            options.accelerators, clouds=options.clouds or None, spot=options.spot
        ).by_price()
        if options.residency:
            residency = check_residency(options.residency)
            inside = [allows(residency, name) for name in catalog.locations]
            found = found.take(pd.Series(inside).to_numpy()[found.location])
        frame = found.take(slice(0, 20)).table().to_pandas() if len(found) else pd.DataFrame()  # type: ignore[arg-type]
        show(frame, f"{options.accelerators}: {len(found):,} offers, the cheapest first")
        metrics |= {"query/offers": float(len(found))}
        if len(found):
            metrics["query/cheapest"] = float(found.usd.min())
    if options.other is not None:
        later = Catalog.load(options.other, cache=options.cache)
        run.dataset(f"catalog {options.other}", later.report.sha256)
        change = diff(catalog, later)
        for name, table in (
            ("added", change.added),
            ("removed", change.removed),
            ("changed", change.changed),
        ):
            metrics[f"diff/{name}"] = float(len(table))
            if len(table):
                show(table.head(20), f"{name}: {len(table):,}")
        metrics["diff/same"] = float(change.same)
        metrics["diff/median_ratio"] = float(change.changed["ratio"].median()) if len(change.changed) else 1.0
    return Results(metrics)


def _clouds(catalog: Catalog) -> pd.DataFrame:
    rows = []
    cloud_of = [name.partition(":")[0] for name in catalog.locations]
    clouds = pd.Series(cloud_of).to_numpy()[catalog.codes("location")]
    spot = catalog.column("spot_usd")
    for cloud in catalog.clouds:
        own = clouds == cloud
        rows.append(
            {
                "cloud": cloud,
                "as of": catalog.report.as_of.get(cloud, ""),
                "offers": int(own.sum()),
                "regions": sum(one == cloud for one in cloud_of),
                "on spot": int((own & ~pd.isna(spot)).sum()),
                "with accelerators": int((own & (catalog.codes("accelerator") > 0)).sum()),
            }
        )
    return pd.DataFrame(rows)
