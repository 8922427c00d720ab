"""What exists where, at what price: offers of machines by cloud and region.

    catalog = Catalog.load("embedded")
    catalog.offers("V100:1", spot="allowed", regions=["aws:us-east-1"]).cheapest()

A catalog is an Arrow table in the order of accelerator and count, so that a question about one accelerator looks at its rows only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from offprints.errors import InputError, MissingFile
from offprints.user_errors import closest

from sky_broker.catalog_build import Report, build_table, report_of
from sky_broker.catalog_cache import cached
from sky_broker.catalog_csv import read_csv
from sky_broker.snapshot import SKY_CATALOG, SNAPSHOT_DATES

SPOT = ("never", "allowed", "required")
_AT_LEAST = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(\+?)\s*$")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Offer:
    """One machine that can be rented, on demand or on spot.

    Attributes:
        location: cloud:region.
        zone: of the region, "" where the catalog does not say.
        instance_type: the provider's name; with GCP that of the host.
        accelerator: name, "" for none.
        count: accelerators of a machine; may be a fraction.
        vcpus: of a machine; NaN where the catalog does not say.
        memory_gib: of a machine; NaN where the catalog does not say.
        usd_per_hour: in the mode that it is rented in.
        spot: whether the provider may take it back.
    """

    location: str
    zone: str
    instance_type: str
    accelerator: str
    count: float
    vcpus: float
    memory_gib: float
    usd_per_hour: float
    spot: bool

    @property
    def cloud(self) -> str:
        """Of the location."""
        return self.location.partition(":")[0]

    def __str__(self) -> str:
        gpu = f" with {self.accelerator}:{self.count:g}" if self.accelerator else ""
        return f"{self.instance_type}{gpu} in {self.location}{' on spot' if self.spot else ''}"


@dataclass(frozen=True)
class Offers(Sequence[Offer]):
    """Some offers of a catalog: a view, whose rows are read when they are asked for.

    Attributes:
        catalog: that they are of.
        rows: (k,) row numbers in its table.
        spot: (k,) whether each is rented on spot.
        usd: (k,) $/h in that mode.
    """

    catalog: Catalog
    rows: Rows
    spot: NDArray[np.bool_]
    usd: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        return self.catalog.offer(int(self.rows[place]), bool(self.spot[place]))

    def __iter__(self) -> Iterator[Offer]:
        return (self[place] for place in range(len(self)))

    def take(self, places: NDArray[np.generic]) -> Offers:
        """Those at some places, or where a mask is true."""
        return Offers(self.catalog, self.rows[places], self.spot[places], self.usd[places])

    @cached_property
    def location(self) -> NDArray[np.int64]:
        """(k,) codes into `catalog.locations`."""
        return self.catalog.codes("location")[self.rows].astype(np.int64)

    def cheapest(self) -> Offer:
        """The one of the lowest price; of several, the first by name.

        Raises:
            InputError: there is none.
        """
        if not len(self):
            raise InputError("no offer of the catalog meets the request")
        offer: Offer = self[int(np.argmin(self.usd))]
        return offer

    def by_price(self) -> Offers:
        """The same from the cheapest on."""
        return self.take(np.argsort(self.usd, kind="stable"))

    def table(self) -> pa.Table:
        """An Arrow table of them, with what they cost as usd_per_hour and spot."""
        table = self.catalog.table.take(pa.array(self.rows)).drop_columns(["usd", "spot_usd"])
        return table.append_column("usd_per_hour", pa.array(self.usd)).append_column(
            "spot", pa.array(self.spot)
        )


class Catalog:
    """Offers of machines.

    Args:
        table: as `catalog_build.build_table` makes it.

    Attributes:
        table: of Arrow.
        report: what was wrong in the files that it is from.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self.report: Report = report_of(table)
        self._codes: dict[str, NDArray[np.int16] | NDArray[np.int32]] = {}
        self._names: dict[str, list[str]] = {}

    @classmethod
    def load(
        cls,
        source: str | Path | Mapping[str, str | Path] = "embedded",
        as_of: Mapping[str, str] | None = None,
        cache: str | Path | None = None,
    ) -> Catalog:
        """Read a catalog.

        Args:
            source: "embedded", dated offers of four clouds that come with the package; "snapshot", the catalogs of $OFFPRINTS_DATA, whose
                checksums are verified; a folder with a folder for each cloud that has one vms*.csv or vms*.csv.gz; or cloud -> file.
            as_of: cloud -> the day of its prices, where the source does not say.
            cache: folder for parsed tables; None takes the user's cache folder. What was read once is mapped into memory afterwards.

        Raises:
            MissingFile: there is nothing to read; says where it was looked for.
            MalformedLine: a row does not read.
            InputError: a column is missing.
        """
        if source == "embedded":
            with resources.as_file(resources.files("sky_broker") / "embedded") as folder:
                files = {path.stem: path for path in sorted((folder / "catalog").glob("*.csv"))}
                dates = {cloud: _first_comment(path) for cloud, path in files.items()}
                return cls(build_table({cloud: read_csv(path) for cloud, path in files.items()}, dates))
        if source == "snapshot":
            SKY_CATALOG.verify()
            source, as_of = SKY_CATALOG.directory(), {**SNAPSHOT_DATES, **(as_of or {})}
        files = (
            {cloud: Path(path) for cloud, path in source.items()}
            if isinstance(source, Mapping)
            else _files(Path(source))
        )
        dates = dict(as_of or {})
        return cls(cached(files, dates, None if cache is None else Path(cache)))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def codes(self, name: str) -> NDArray[np.int16] | NDArray[np.int32]:
        """(offers,) codes of a column of names, into `names`."""
        if name not in self._codes:
            self._codes[name] = _chunk(self.table, name).indices.to_numpy()
        return self._codes[name]

    def column(self, name: str) -> NDArray[np.float64]:
        """(offers,) a column of numbers: count, vcpus, memory_gib, usd or spot_usd."""
        numbers: NDArray[np.float64] = _chunk(self.table, name).to_numpy()
        return numbers

    def names(self, name: str) -> list[str]:
        """What the codes of a column stand for."""
        if name not in self._names:
            self._names[name] = _chunk(self.table, name).dictionary.to_pylist()
        return self._names[name]

    @cached_property
    def locations(self) -> list[str]:
        """All of them; `Offers.location` are codes into it."""
        return self.names("location")

    @cached_property
    def clouds(self) -> list[str]:
        """All clouds of it, in order."""
        return sorted({location.partition(":")[0] for location in self.locations} - {""})

    @cached_property
    def accelerators(self) -> list[str]:
        """The names of all accelerators, "" for none first."""
        return self.names("accelerator")

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where each accelerator's rows begin."""
        return np.searchsorted(self.codes("accelerator"), np.arange(len(self.accelerators) + 1))

    def offer(self, row: int, spot: bool = False) -> Offer:
        """One row as an offer."""
        text = {
            name: self.names(name)[self.codes(name)[row]]
            for name in ("location", "zone", "instance_type", "accelerator")
        }
        price = float(self.column("spot_usd" if spot else "usd")[row])
        count, vcpus, memory = (float(self.column(name)[row]) for name in ("count", "vcpus", "memory_gib"))
        return Offer(**text, count=count, vcpus=vcpus, memory_gib=memory, usd_per_hour=price, spot=spot)

    def offers(
        self,
        accelerators: str | Sequence[tuple[str, float]] | None = None,
        *,
        cpus: str | float | None = None,
        memory: str | float | None = None,
        instance_type: str | None = None,
        clouds: Collection[str] | None = None,
        regions: Collection[str] | None = None,
        spot: str = "never",
    ) -> Offers:
        """What meets a request.

        Args:
            accelerators: "V100:4", "V100" for one, or several with a comma for any of them; None asks for no accelerator and takes machines with and without.
            cpus: "8" for so many vCPUs exactly, "8+" for at least so many.
            memory: the same in GiB.
            instance_type: the provider's name.
            clouds: only these.
            regions: only these locations, cloud:region.
            spot: "never", "allowed" (both modes of what has a spot price) or "required".

        Returns:
            The offers, in the order of the table.

        Raises:
            InputError: the catalog knows no such accelerator, machine, cloud or region; names the nearest.
        """
        chosen = self.rows_of(accelerators)
        for name, asked in (("vcpus", cpus), ("memory_gib", memory)):
            if asked is not None:
                chosen = chosen[self.at_least(name, asked)[chosen]]
        if instance_type is not None:
            chosen = chosen[self.codes("instance_type")[chosen] == self._code("instance_type", instance_type)]
        if clouds is not None or regions is not None:
            chosen = chosen[self.where(clouds, regions)[self.codes("location")[chosen]]]
        return self.priced(chosen, spot)

    def rows_of(self, accelerators: str | Sequence[tuple[str, float]] | None) -> Rows:
        """The rows that have any of these accelerators; all rows for None."""
        if accelerators is None:
            return np.arange(len(self))
        wanted = parse_accelerators(accelerators) if isinstance(accelerators, str) else accelerators
        found = []
        for name, count in dict.fromkeys(wanted):
            code = self._code("accelerator", name)
            rows = np.arange(self._starts[code], self._starts[code + 1])
            found.append(rows[np.abs(self.column("count")[rows] - count) < 1e-4])
        return np.sort(np.concatenate(found))

    def at_least(self, name: str, asked: str | float) -> NDArray[np.bool_]:
        """(offers,) which have a number of vcpus or memory_gib, "8", or at least so many, "8+"."""
        value, open_ended = parse_at_least(asked)
        column = self.column(name)
        fits: NDArray[np.bool_] = column >= value if open_ended else np.abs(column - value) < 1e-4
        return fits

    def where(
        self, clouds: Collection[str] | None = None, regions: Collection[str] | None = None
    ) -> NDArray[np.bool_]:
        """(locations,) which are of these clouds and among these regions.

        Raises:
            InputError: the catalog knows no such cloud or region.
        """
        for wrong in sorted(set(clouds or ()) - set(self.clouds)):
            raise InputError(f"the catalog has no cloud {wrong!r}{closest(wrong, self.clouds)}")
        for wrong in sorted(set(regions or ()) - set(self.locations)):
            raise InputError(f"the catalog has no region {wrong!r}{closest(wrong, self.locations)}")
        return np.array(
            [
                (clouds is None or name.partition(":")[0] in clouds) and (regions is None or name in regions)
                for name in self.locations
            ]
        )

    def priced(self, rows: Rows, spot: str) -> Offers:
        """Rows as offers in the modes that `spot` lets them have."""
        if spot not in SPOT:
            raise InputError(f"spot is {spot!r}; it must be one of {', '.join(SPOT)}")
        on_demand = Offers(self, rows, np.zeros(len(rows), bool), self.column("usd")[rows])
        if spot == "never":
            return on_demand
        price = self.column("spot_usd")[rows]
        has = ~np.isnan(price)
        on_spot = Offers(self, rows[has], np.ones(int(has.sum()), bool), price[has])
        if spot == "required":
            return on_spot
        return Offers(
            self,
            np.concatenate([on_demand.rows, on_spot.rows]),
            np.concatenate([on_demand.spot, on_spot.spot]),
            np.concatenate([on_demand.usd, on_spot.usd]),
        )

    @cached_property
    def _code_of(self) -> dict[str, dict[str, int]]:
        return {
            name: {word.lower(): code for code, word in enumerate(self.names(name)) if word}
            for name in ("accelerator", "instance_type")
        }

    def _code(self, column: str, name: str) -> int:
        code = self._code_of[column].get(name.lower())
        if code is None:
            what = column.replace("_", " ")
            raise InputError(f"the catalog has no {what} {name!r}{_nearest(name, self.names(column))}")
        return code


def parse_accelerator(text: str) -> tuple[str, float]:
    """Name and number of "V100:4"; "V100" is one.

    Raises:
        InputError: the number is none.
    """
    name, colon, count = str(text).partition(":")
    try:
        number = float(count) if colon else 1.0
    except ValueError:
        number = 0.0
    if not name or not 0 < number < 1e6:
        raise InputError(f"accelerators: {text!r} is not written as name:number, such as V100:4")
    return name.strip(), number


def parse_accelerators(text: str) -> tuple[tuple[str, float], ...]:
    """Names and numbers of "V100:4" or "V100:4, A100"; raises as `parse_accelerator` does."""
    return tuple(parse_accelerator(part.strip()) for part in text.split(","))


def parse_at_least(text: str | float) -> tuple[float, bool]:
    """The number of "8" or "8+", and whether more will do.

    Raises:
        InputError: it is neither.
    """
    found = _AT_LEAST.match(str(text))
    if found is None or isinstance(text, bool):
        raise InputError(f"{text!r} is no number such as 8, or 8+ for at least 8")
    amount = float(found[1])
    if math.isinf(amount):
        raise InputError(f"{text!r} is a number without end")
    return amount, bool(found[2])


def _chunk(table: pa.Table, name: str) -> pa.Array:
    return table[name].chunk(0) if table[name].num_chunks else table[name].combine_chunks()


def _nearest(name: str, known: Sequence[str]) -> str:
    """The end of a message, with few of many names: a catalog has thousands of them."""
    import difflib

    lower = {word.lower(): word for word in known if word}
    near = [lower[word] for word in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)]
    return f"; did you mean {', '.join(near)}?" if near else f"; it has {len(lower)} of them"


def _files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        found = sorted([*place.glob("vms*.csv"), *place.glob("vms*.csv.gz")])
        if len(found) > 1:
            raise InputError(
                f"{place} has {len(found)} catalogs, {', '.join(path.name for path in found)}; name one"
            )
        if found:
            files[place.name] = found[0]
    if not files:
        raise MissingFile(
            f"{folder} holds no catalog: a folder for each cloud with one vms*.csv or vms*.csv.gz was expected"
        )
    return files


def _first_comment(path: Path) -> str:
    """The day in the name of an embedded file's column of dates; each file has one day."""
    header, first = path.read_text(encoding="utf-8").splitlines()[:2]
    return first.split(",")[header.split(",").index("AsOf")]
