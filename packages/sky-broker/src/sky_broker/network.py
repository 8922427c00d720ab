"""What moving data between two places costs and how long it takes: a price and a rate for each ordered pair of regions.

Gigabytes are decimal (10^9 bytes), rates are in gigabits per second. Inside a region data move free and at once. What the grid does not
know is an error and never 0 $/GB: a pair that seems to be free would draw every plan to itself.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.skyplane import SKYPLANE_PROFILES, Floats, read_grids

_ZONE = re.compile(r"^(gcp:.+\d)-[a-z]$|^(aws:.+-\d+)[a-z]$")


def region_of(location: str) -> str:
    """The region of a zone: "gcp:us-central1" for "gcp:us-central1-a", "aws:us-west-2" for "aws:us-west-2b"; else what it was."""
    found = _ZONE.match(location)
    return (found[1] or found[2]) if found else location


def cloud_of(location: str) -> str:
    """The cloud of a location: "aws" of "aws:us-east-1".

    Raises:
        InputError: it is not written cloud:region.
    """
    cloud, colon, region = location.partition(":")
    if not (cloud and colon and region):
        raise InputError(f"{location!r} is no location; they are written cloud:region, such as aws:us-east-1")
    return cloud


@dataclass(frozen=True, eq=False)
class NetworkGrid:
    """Prices of egress and rates of transfer between n locations.

    Attributes:
        locations: their names, cloud:region; of GCP with the letter of the zone that was measured. `index` takes any zone of a region.
        usd_per_gb: (n, n) float64, from row to column; NaN where unknown, 0 on the diagonal.
        gbps: (n, n) float64, what one VM at either end sends over 64 TCP connections; NaN where unmeasured, infinity on the diagonal.

    Raises:
        InputError: a location is there twice, a matrix has another shape, or a figure is negative.
    """

    locations: tuple[str, ...]
    usd_per_gb: Floats
    gbps: Floats

    def __post_init__(self) -> None:
        n = len(self.locations)
        regions = [region_of(location) for location in self.locations]
        if twice := sorted({name for name in regions if regions.count(name) > 1}):
            raise InputError(f"a grid has each region once; {', '.join(twice)} is there more often")
        for name in ("usd_per_gb", "gbps"):
            matrix = np.array(getattr(self, name), dtype=np.float64)
            if matrix.shape != (n, n):
                raise InputError(f"{name} has the shape {matrix.shape}, not ({n}, {n}) as the locations")
            if (matrix < 0).any():
                raise InputError(f"{name} has a negative figure")
            np.fill_diagonal(matrix, 0.0 if name == "usd_per_gb" else np.inf)
            matrix.flags.writeable = False
            object.__setattr__(self, name, matrix)

    @classmethod
    def from_skyplane(cls, folder: str | Path | None = None) -> NetworkGrid:
        """The 63 regions that Skyplane measured in 2022.

        Args:
            folder: holds its cost.csv and throughput.csv, read as they are; None takes the published files of $OFFPRINTS_DATA, whose
                checksums are verified.

        Raises:
            MissingFile: with the folder that was looked in.
            ChecksumMismatch: a published file is not what was published.
            MalformedLine: a row does not read.
        """
        if folder is None:
            SKYPLANE_PROFILES.verify()
            folder = SKYPLANE_PROFILES.directory()
        return cls(*read_grids(Path(folder)))

    @classmethod
    def embedded(cls) -> NetworkGrid:
        """Sixteen regions of AWS, Azure and GCP on three continents, an excerpt of Skyplane's grids; embedded/network.csv says more."""
        text = (resources.files("sky_broker") / "embedded" / "network.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
        locations = tuple(dict.fromkeys(row["src"] for row in rows))
        index = {name: number for number, name in enumerate(locations)}
        usd_per_gb = np.full((len(locations), len(locations)), np.nan)
        gbps = usd_per_gb.copy()
        for row in rows:
            pair = index[row["src"]], index[row["dest"]]
            usd_per_gb[pair], gbps[pair] = float(row["usd_per_gb"]), float(row["gbps"])
        return cls(locations, usd_per_gb, gbps)

    @cached_property
    def clouds(self) -> tuple[str, ...]:
        """The cloud of each location."""
        return tuple(cloud_of(location) for location in self.locations)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {region_of(location): number for number, location in enumerate(self.locations)}

    def __contains__(self, location: str) -> bool:
        return region_of(location) in self._row

    def index(self, location: str) -> int:
        """The row and column of a location; of a zone, those of its region.

        Raises:
            InputError: the grid does not have it; names the nearest one.
        """
        row = self._row.get(region_of(location))
        if row is None:
            raise InputError(f"the network grid has no {location!r}{closest(location, self.locations)}")
        return row

    def price(self, source: str, target: str) -> float:
        """What a gigabyte costs, in $: 0 inside a region.

        Raises:
            InputError: a location or the price of the pair is unknown.
        """
        return self._known("price", source, target)

    def rate(self, source: str, target: str) -> float:
        """How fast one pair of VMs sends, in Gbps: infinity inside a region.

        Raises:
            InputError: a location is unknown, or the pair was not measured.
        """
        return self._known("rate", source, target)

    def hours(self, gigabytes: float, source: str, target: str) -> float:
        """How long one pair of VMs takes for so much; 0 inside a region and for nothing at all."""
        return 0.0 if gigabytes == 0 else 8 * gigabytes / (3600 * self.rate(source, target))

    def submatrices(self, locations: Sequence[str], need: str = "both") -> tuple[Floats, Floats]:
        """Prices and rates among some locations.

        Args:
            locations: k names; two zones of a region count as one place.
            need: which of the two must be known throughout: "both", "price" or "rate".

        Returns:
            $/GB as (k, k) and Gbps as (k, k), from row to column; 0 and infinity between zones of a region.

        Raises:
            InputError: a location is not in the grid, or what is needed of a pair is not; names them.
        """
        rows = [self.index(location) for location in locations]
        square = np.ix_(rows, rows)
        for what, matrix in self._figures.items():
            unknown = np.isnan(matrix[square])
            if need in ("both", what) and unknown.any():
                source, target = (locations[place[0]] for place in np.nonzero(unknown))
                self._known(what, source, target)
        return self.usd_per_gb[square], self.gbps[square]

    @property
    def _figures(self) -> dict[str, Floats]:
        return {"price": self.usd_per_gb, "rate": np.where(self.gbps > 0, self.gbps, np.nan)}

    def _known(self, what: str, source: str, target: str) -> float:
        """The price or the rate of a pair, or an error that names it."""
        matrix = self.usd_per_gb if what == "price" else self.gbps
        figure = float(matrix[self.index(source), self.index(target)])
        if math.isnan(figure) or (what == "rate" and figure == 0):
            raise InputError(
                f"the {what} from {source} to {target} is not in the network grid; leave one of the two out, or give the grid it"
            )
        return figure

    def with_peering(self, clouds: Iterable[str], within: bool = True) -> NetworkGrid:
        """The same network after some clouds have agreed to let data go among themselves free of charge.

        Args:
            clouds: the names of those that peer.
            within: data between two regions of one of them go free as well. They would anyhow, by way of another peer; False keeps those
                prices, which then only a plan without relays pays.

        Raises:
            InputError: the grid has no region of a cloud.

        Source: reciprocal data peering of Stoica and Shenker 2021, "From Cloud Computing to Sky Computing", HotOS.
        """
        peers = set(clouds)
        if unknown := sorted(peers - set(self.clouds)):
            raise InputError(
                f"the network grid has no cloud {unknown[0]!r}{closest(unknown[0], self.clouds)}"
            )
        member = np.array([cloud in peers for cloud in self.clouds])
        free = member[:, None] & member
        if not within:
            free &= np.array(self.clouds)[:, None] != np.array(self.clouds)
        return replace(self, usd_per_gb=np.where(free, 0.0, self.usd_per_gb))

    def joined(self, location: str, usd_per_gb: float, gbps: float) -> NetworkGrid:
        """The same network with a further place, such as a specialised cloud that nobody has measured.

        The way in is free of charge there; each other place takes for it what it takes at most from another cloud.

        Args:
            location: cloud:region, new to the grid.
            usd_per_gb: what the new place takes for a gigabyte that leaves.
            gbps: rate of a pair of VMs in either direction.

        Raises:
            InputError: the place is in the grid already, the price is negative or the rate is not positive.
        """
        if location in self:
            raise InputError(f"{location} is in the network grid already")
        if not usd_per_gb >= 0 or not 0 < gbps < np.inf:
            raise InputError(
                f"{location}: a price of {usd_per_gb} $/GB and a rate of {gbps} Gbps; from 0 on, and above 0"
            )
        if cloud_of(location) in self.clouds:
            raise InputError(f"{location}: the grid has other regions of that cloud, and prices among them")
        n = len(self.locations)
        prices, rates = np.full((n + 1, n + 1), float(usd_per_gb)), np.full((n + 1, n + 1), float(gbps))
        prices[:n, :n], rates[:n, :n] = self.usd_per_gb, self.gbps
        abroad = np.array(self.clouds)[:, None] != np.array(self.clouds)
        known = abroad & ~np.isnan(self.usd_per_gb)
        most = np.where(known, self.usd_per_gb, -np.inf).max(axis=1, initial=-np.inf)
        prices[:n, n] = np.where(known.any(axis=1), most, np.nan)
        return NetworkGrid((*self.locations, location), prices, rates)
