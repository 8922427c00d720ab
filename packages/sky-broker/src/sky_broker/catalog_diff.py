"""What changed between two days of a catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sky_broker.catalog import Catalog

if TYPE_CHECKING:
    import pandas as pd

KEY = ("accelerator", "count", "instance_type", "location", "zone")


@dataclass(frozen=True)
class CatalogDiff:
    """Offers that came, went or changed their price.

    Attributes:
        added: those of the later catalog that the earlier one has not; columns KEY, usd and spot_usd.
        removed: the other way round.
        changed: those with another price; KEY, usd_before, usd, spot_usd_before, spot_usd and ratio, which is the price on demand
            after to before.
        same: how many have the same prices.
    """

    added: pd.DataFrame
    removed: pd.DataFrame
    changed: pd.DataFrame
    same: int


def diff(before: Catalog, after: Catalog) -> CatalogDiff:
    """Compare two catalogs offer by offer.

    Args:
        before: the earlier one.
        after: the later one.

    Returns:
        What came, went and changed, each in the order of the catalog. A spot price that came or went is a change.
    """
    both = _frame(before).merge(
        _frame(after), on=list(KEY), how="outer", suffixes=("_before", ""), indicator="side", sort=True
    )
    added = both[both["side"] == "right_only"][[*KEY, "usd", "spot_usd"]]
    removed = both[both["side"] == "left_only"][[*KEY, "usd_before", "spot_usd_before"]]
    common = both[both["side"] == "both"]
    moved = (common["usd"] != common["usd_before"]) | ~_alike(common["spot_usd"], common["spot_usd_before"])
    changed = common[moved][[*KEY, "usd_before", "usd", "spot_usd_before", "spot_usd"]]
    return CatalogDiff(
        added.reset_index(drop=True),
        removed.rename(columns={"usd_before": "usd", "spot_usd_before": "spot_usd"}).reset_index(drop=True),
        changed.assign(ratio=changed["usd"] / changed["usd_before"]).reset_index(drop=True),
        int((~moved).sum()),
    )


def _frame(catalog: Catalog) -> pd.DataFrame:
    names = {
        name: np.array(catalog.names(name), object)[catalog.codes(name)] for name in KEY if name != "count"
    }
    numbers = {name: catalog.column(name) for name in ("count", "usd", "spot_usd")}
    import pandas as pd  # takes longer than all the rest of the package, and only this asks it

    return pd.DataFrame({**names, **numbers})


def _alike(one: pd.Series, other: pd.Series) -> pd.Series:
    return (one == other) | (one.isna() & other.isna())
