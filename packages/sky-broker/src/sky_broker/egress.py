"""Egress that grows cheaper with the volume of the month: what clouds list for data that leave them, to the last tier.

A schedule is the price of the next gigabyte as a step function of those that left in the same month. Its integral, the bill, is continuous,
rises and is concave, and two shipments of a month cost what one of their sum does. Free allowances of an account are left out: they are
small, and with one the bill would be neither concave nor convex.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from offprints.errors import InputError

from sky_broker.network import NetworkGrid, cloud_of

_TB = 1024.0  # GB, as the clouds' own price pages step


@dataclass(frozen=True)
class EgressSchedule:
    """The price of egress by the volume of a month.

    Attributes:
        above_gb: (k,) where each tier begins, in GB of the month; the first is 0, and they rise.
        usd_per_gb: (k,) price of a gigabyte inside each tier, in $; never rising.

    Raises:
        InputError: the tiers do not begin at 0, do not rise, or grow dearer.
    """

    above_gb: tuple[float, ...]
    usd_per_gb: tuple[float, ...]

    def __post_init__(self) -> None:
        above, prices = np.array(self.above_gb), np.array(self.usd_per_gb)
        if len(above) != len(prices) or len(above) == 0 or above[0] != 0 or not (np.diff(above) > 0).all():
            raise InputError(f"tiers of egress begin at 0 GB and rise, each with a price; these are {above}")
        if not (prices >= 0).all() or not (np.diff(prices) <= 0).all():
            raise InputError(f"tiers of egress never grow dearer and cost 0 $/GB or more; these are {prices}")

    def cost(self, gigabytes: float, already: float = 0.0) -> float:
        """What a shipment costs, in $.

        Args:
            gigabytes: that leave, 0 or more.
            already: what left before in the same month.

        Raises:
            InputError: a volume is negative or no number.
        """
        if not (0 <= gigabytes < np.inf and 0 <= already < np.inf):
            raise InputError(f"{gigabytes} GB after {already} GB: volumes are 0 or more")
        return self._total(already + gigabytes) - self._total(already)

    def price(self, already: float) -> float:
        """The price of the next gigabyte, in $, after so many in the month."""
        return self.usd_per_gb[int(np.searchsorted(self.above_gb, already, side="right")) - 1]

    def discount(self, gigabytes: float) -> float:
        """What so many gigabytes cost over what they would at the price of the first tier; never rising, and 1 where both are nothing."""
        undiscounted = gigabytes * self.usd_per_gb[0]
        return self._total(gigabytes) / undiscounted if undiscounted else 1.0

    def segments(self, gigabytes: float, already: float = 0.0) -> list[tuple[float, float]]:
        """The linear pieces of the bill of a shipment: (GB, $/GB) of each tier that it reaches."""
        ends = (*self.above_gb[1:], np.inf)
        pieces = [
            (min(end, already + gigabytes) - max(start, already), price)
            for start, end, price in zip(self.above_gb, ends, self.usd_per_gb, strict=True)
        ]
        return [(size, price) for size, price in pieces if size > 0]

    def _total(self, gigabytes: float) -> float:
        return sum(size * price for size, price in self.segments(gigabytes))


LISTED = {
    "aws": EgressSchedule((0, 10 * _TB, 50 * _TB, 150 * _TB), (0.09, 0.085, 0.07, 0.05)),
    "azure": EgressSchedule((0, 10 * _TB, 50 * _TB, 150 * _TB), (0.0875, 0.083, 0.07, 0.05)),
    "gcp": EgressSchedule((0, _TB, 10 * _TB), (0.12, 0.11, 0.08)),
}
"""What the clouds list for data that leave them from regions of North America and Europe: 2022, as Skyplane's grid, whose price between two
clouds is the first tier; aws.amazon.com/ec2/pricing, azure.microsoft.com/pricing/details/bandwidth, cloud.google.com/vpc/network-pricing.
Other regions are dearer."""


def monthly_bill(
    grid: NetworkGrid,
    shipments: Iterable[tuple[str, str, float]],
    schedules: Mapping[str, EgressSchedule] = LISTED,
) -> float:
    """What the egress of a month costs, in $, with tiers for what leaves a cloud.

    The grid says what a pair costs at first; the volume that leaves a cloud in the month, to whichever cloud, lowers all its prices to other
    clouds by the same factor: what the schedule takes for the volume over what its first tier would. Where the grid's price is the schedule's
    first tier, that is the schedule itself. Between regions of one cloud the grid's price stays flat.

    Args:
        grid: prices of pairs.
        shipments: (source, target, GB) of one month, in any order.
        schedules: by cloud; a cloud without one keeps its flat prices.

    Raises:
        InputError: a location or pair is not in the grid, or a volume is negative.
    """
    flat: dict[str, float] = {}
    volume: dict[str, float] = {}
    bill = 0.0
    for source, target, gigabytes in shipments:
        if not 0 <= gigabytes < np.inf:
            raise InputError(f"{gigabytes} GB from {source} to {target}: a volume is 0 or more")
        cost = gigabytes * grid.price(source, target)
        cloud = cloud_of(source)
        if cloud == cloud_of(target) or cloud not in schedules:
            bill += cost
        else:
            flat[cloud] = flat.get(cloud, 0.0) + cost
            volume[cloud] = volume.get(cloud, 0.0) + gigabytes
    for cloud, cost in flat.items():
        bill += cost * schedules[cloud].discount(volume[cloud])
    return bill
