"""From the rows of catalog files to offers that can be rented: hosts added, prices checked, duplicates joined, one order.

A price of 0 or none is never free: without a price on demand a row is left out, without one on spot it is not offered there. Of two prices of
one offer the higher is kept, so that no plan promises a price that may not hold. All of it is counted.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sky_broker import gcp_hosts
from sky_broker.catalog_csv import CsvFile

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
NAMES = ("accelerator", "instance_type", "location", "zone")
NUMBERS = ("count", "vcpus", "memory_gib", "usd", "spot_usd")


@dataclass
class Report:
    """What was found wrong in the files of a catalog, in rows, and what was made of it.

    Attributes:
        rows: read.
        offers: that came out.
        repaired: whose last column had lost its quotes; read as if it had them.
        without_price: no price on demand, or 0; left out.
        zero_spot: a spot price of 0; not offered on spot.
        spot_above_on_demand: kept as they are.
        duplicates: repeat another offer to the last figure; left out.
        conflicting: repeat another offer at another price; the higher prices are kept.
        accelerators_alone: an accelerator without a machine; those of GCP get their hosts, others are left out.
        composed: offers made of an accelerator and a host.
        hosts_only: machines of GCP that cannot be rented without their accelerator; no offers by themselves.
        unnamed: no region, or a number of accelerators and no name for them; left out.
        sha256: of each file's content, by cloud.
        as_of: the day of each cloud's prices, as it was given; "" where it was not.
    """

    rows: int = 0
    offers: int = 0
    repaired: int = 0
    without_price: int = 0
    zero_spot: int = 0
    spot_above_on_demand: int = 0
    duplicates: int = 0
    conflicting: int = 0
    accelerators_alone: int = 0
    composed: int = 0
    hosts_only: int = 0
    unnamed: int = 0
    sha256: dict[str, str] = field(default_factory=dict)
    as_of: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """All the numbers, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if isinstance(value, int)}


@dataclass
class _Rows:
    """Columns of one length; names are codes into a list of their own."""

    names: dict[str, Codes]
    numbers: dict[str, Floats]
    spelled: dict[str, list[str]]

    def take(self, rows: NDArray[np.bool_] | Ints) -> _Rows:
        pick = {name: column[rows] for name, column in self.names.items()}
        return _Rows(pick, {name: column[rows] for name, column in self.numbers.items()}, self.spelled)

    def __len__(self) -> int:
        return len(self.numbers["usd"])


def build_table(files: dict[str, CsvFile], as_of: dict[str, str]) -> pa.Table:
    """One table of offers.

    Args:
        files: cloud -> what was read of it.
        as_of: cloud -> the day of its prices.

    Returns:
        Dictionary columns accelerator ("" for none), instance_type, location (cloud:region) and zone ("" for any); float columns
        count, vcpus, memory_gib, usd ($/h on demand) and spot_usd (NaN where not offered). In the order of accelerator, count,
        instance type, location and zone; each offer once. The schema's metadata holds the report.
    """
    report = Report(as_of={cloud: as_of.get(cloud, "") for cloud in files})
    parts = []
    for cloud, file in files.items():
        report.rows += file.rows
        report.repaired += file.repaired
        report.sha256[cloud] = file.sha256
        parts.append(_usable(cloud, _decoded(cloud, file.table), report))
    joined = _joined(parts)
    ordered = _once(joined, report)
    report.offers = len(ordered)
    return _table(ordered).replace_schema_metadata({"report": json.dumps(dataclasses.asdict(report))})


def report_of(table: pa.Table) -> Report:
    """The report that a table carries."""
    return Report(**json.loads(table.schema.metadata[b"report"]))


def _decoded(cloud: str, table: pa.Table) -> _Rows:
    """The columns of a file under our names; code 0 stands for an empty name."""
    names, spelled = {}, {}
    for ours, theirs in zip(
        NAMES, ("AcceleratorName", "InstanceType", "Region", "AvailabilityZone"), strict=True
    ):
        if theirs in table.column_names:
            column = table[theirs].chunk(0)
            names[ours] = column.indices.fill_null(-1).to_numpy(zero_copy_only=False) + np.int32(1)
            spelled[ours] = ["", *column.dictionary.to_pylist()]
        else:
            names[ours], spelled[ours] = np.zeros(table.num_rows, np.int32), [""]
    spelled["location"] = [f"{cloud}:{region}" if region else "" for region in spelled["location"]]
    numbers = {
        ours: table[theirs].to_numpy()
        for ours, theirs in zip(
            NUMBERS, ("AcceleratorCount", "vCPUs", "MemoryGiB", "Price", "SpotPrice"), strict=True
        )
    }
    numbers["count"] = np.where(names["accelerator"] == 0, np.nan_to_num(numbers["count"]), numbers["count"])
    return _Rows(names, numbers, spelled)


def _usable(cloud: str, rows: _Rows, report: Report) -> _Rows:
    unnamed = (rows.names["accelerator"] == 0) & (rows.numbers["count"] > 0)
    unnamed |= rows.names["location"] == 0
    priced = rows.numbers["usd"] > 0  # NaN is not
    report.unnamed += int(unnamed.sum())
    report.without_price += int((~priced & ~unnamed).sum())
    if not priced.all() or unnamed.any():
        rows = rows.take(priced & ~unnamed)
    spot = rows.numbers["spot_usd"]
    zero = spot <= 0
    report.zero_spot += int(zero.sum())
    report.spot_above_on_demand += int((spot > rows.numbers["usd"]).sum())
    rows.numbers["spot_usd"] = np.where(zero, np.nan, spot)
    alone = rows.names["instance_type"] == 0
    report.accelerators_alone += int(alone.sum())
    if cloud != "gcp":
        return rows.take(~alone) if alone.any() else rows
    return _with_hosts(rows, alone, report)


def _with_hosts(rows: _Rows, alone: NDArray[np.bool_], report: Report) -> _Rows:
    """Rows of GCP: each accelerator with each machine of its zone that may carry it, and the machines that stand alone."""
    types, kinds = rows.spelled["instance_type"], rows.spelled["accelerator"]
    stands = np.array([bool(name) and gcp_hosts.stands_alone(name) for name in types])
    machine = stands[rows.names["instance_type"]]
    report.hosts_only += int((~machine & ~alone).sum())
    in_zone: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for row in np.flatnonzero(~alone):
        in_zone[int(rows.names["location"][row]), int(rows.names["zone"][row])].append(int(row))
    gpu, host = [], []
    for row in np.flatnonzero(alone):
        kind, count = kinds[rows.names["accelerator"][row]], float(rows.numbers["count"][row])
        if gcp_hosts.brings_its_host(kind):
            gpu.append(int(row))
            host.append(-1)
            continue
        for other in in_zone[int(rows.names["location"][row]), int(rows.names["zone"][row])]:
            name = types[rows.names["instance_type"][other]]
            if gcp_hosts.may_host(kind, count, name, float(rows.numbers["vcpus"][other])):
                gpu.append(int(row))
                host.append(other)
    report.composed += sum(other >= 0 for other in host)
    composed = _composed(rows, np.array(gpu, np.int64), np.array(host, np.int64))
    return _joined([rows.take(machine), composed])


def _composed(rows: _Rows, gpu: Ints, host: Ints) -> _Rows:
    made = rows.take(gpu)
    tpu = host < 0
    made.spelled = {**rows.spelled, "instance_type": [*rows.spelled["instance_type"], "TPU-VM"]}
    made.names["instance_type"] = np.where(
        tpu, len(rows.spelled["instance_type"]), rows.names["instance_type"][host]
    )
    for name in ("usd", "spot_usd"):  # a spot offer needs a spot price of both
        made.numbers[name] = made.numbers[name] + np.where(tpu, 0.0, rows.numbers[name][host])
    for name in ("vcpus", "memory_gib"):
        made.numbers[name] = np.where(tpu, made.numbers[name], rows.numbers[name][host])
    return made


def _joined(parts: Sequence[_Rows]) -> _Rows:
    if len(parts) == 1:
        return parts[0]
    spelled: dict[str, list[str]] = {}
    names: dict[str, Codes] = {}
    for name in NAMES:
        code: dict[str, int] = {"": 0}
        columns = []
        for part in parts:
            new = np.array([code.setdefault(word, len(code)) for word in part.spelled[name]], np.int32)
            columns.append(new[part.names[name]])
        spelled[name], names[name] = list(code), np.concatenate(columns)
    numbers = {name: np.concatenate([part.numbers[name] for part in parts]) for name in NUMBERS}
    return _Rows(names, numbers, spelled)


def _once(rows: _Rows, report: Report) -> _Rows:
    """In order, each offer once."""
    columns: list[Ints | Codes] = [
        rows.names["accelerator"],
        _counts(rows),
        *(rows.names[name] for name in NAMES[1:]),
    ]
    key = np.zeros(len(rows), np.int64)
    for column in columns:
        key = key * (int(column.max(initial=0)) + 1) + column
    order = np.argsort(key)
    key = key[order]
    rows = rows.take(order)
    new = np.ones(len(key), bool)
    new[1:] = key[1:] != key[:-1]
    if new.all():
        return rows
    first = np.flatnonzero(new)
    usd, spot = rows.numbers["usd"], rows.numbers["spot_usd"]
    dearest = np.maximum.reduceat(usd, first), np.fmax.reduceat(spot, first)
    group = np.cumsum(new) - 1
    same = (usd == dearest[0][group]) & ((spot == dearest[1][group]) | np.isnan(dearest[1][group]))
    agree = np.logical_and.reduceat(same, first)
    size = np.diff(first, append=len(key))
    report.duplicates += int((size[agree] - 1).sum())
    report.conflicting += int((size[~agree] - 1).sum())
    kept = rows.take(first)
    kept.numbers["usd"], kept.numbers["spot_usd"] = dearest
    return kept


def _counts(rows: _Rows) -> Ints:
    """Codes of the numbers of accelerators; most rows have none."""
    code = np.zeros(len(rows), np.int64)
    some = rows.names["accelerator"] > 0
    _, code[some] = np.unique(rows.numbers["count"][some], return_inverse=True)
    return code


def _table(rows: _Rows) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name in NAMES:
        width = np.int16 if len(rows.spelled[name]) < 2**15 else np.int32
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(rows.names[name].astype(width)), rows.spelled[name]
        )
    for name in NUMBERS:
        exact = name in ("usd", "spot_usd")
        columns[name] = pa.array(rows.numbers[name].astype(np.float64 if exact else np.float32))
    return pa.table(columns)
