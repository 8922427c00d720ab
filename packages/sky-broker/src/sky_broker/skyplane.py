"""Skyplane's grids as its authors publish them: what a gigabyte costs and how fast it goes between any two of 63 regions.

Two gzip or plain CSV files. `cost.csv` has src, dest, src_tier, dest_tier and cost in $/GB; `throughput.csv` what iperf3 sent over 64
connections in 5 seconds between one VM at either end, in bit/s. Premium tiers at both ends are read, the others are left out. Of a pair
that was measured twice the first row of the file counts, so that the same file always gives the same grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offprints.content import csv_rows, find, read_text
from offprints.data import DataFile, Dataset
from offprints.errors import InputError, MalformedLine, MissingFile

Floats = NDArray[np.float64]
_TIER = "PREMIUM"

SKYPLANE_PROFILES = Dataset(
    name="skyplane-profiles",
    title="Skyplane's grids of egress prices and TCP throughput, January to May 2022",
    licence="Apache-2.0",
    citation=(
        "Jain et al. 2023, Skyplane: Optimizing Transfer Cost and Throughput Using Cloud-Aware Overlays, NSDI; folder profiles of "
        "github.com/skyplane-project/skyplane before commit 3efc9769"
    ),
    files=(
        DataFile(
            "cost.csv",
            sha256="72e9417e7d075a2222ea1e1c64cf2a3880ffff91162320328afee44cfe26ebc0",
            size=229_483,
        ),
        DataFile(
            "throughput.csv",
            sha256="910ada7c7e27f4e79dc14951a77ee6679a0be7a71bdd4c50a1a77a7ca6693c7e",
            size=3_684_176,
        ),
    ),
)
DATASETS = (SKYPLANE_PROFILES,)


def read_grids(folder: Path) -> tuple[tuple[str, ...], Floats, Floats]:
    """Read both grids of a folder.

    Args:
        folder: holds cost.csv and throughput.csv, plain or with .gz added.

    Returns:
        The n locations in the order of their names, $/GB as (n, n) and Gbps as (n, n), both from row to column; NaN where the files have
        no figure, and on the diagonal 0 and infinity.

    Raises:
        MissingFile: a file is not there.
        MalformedLine: a row does not read; names file and line.
        InputError: a file lacks a column.
    """
    prices = _read(folder, "cost.csv", ("src", "dest", "src_tier", "dest_tier", "cost"))
    rates = _read(
        folder, "throughput.csv", ("src_region", "dst_region", "src_tier", "dst_tier", "throughput_sent")
    )
    locations = tuple(sorted({name for pair in prices for name in pair}))
    row = {name: number for number, name in enumerate(locations)}
    usd_per_gb = np.full((len(locations), len(locations)), np.nan)
    gbps = usd_per_gb.copy()
    for (source, target), usd in prices.items():
        usd_per_gb[row[source], row[target]] = usd
    for (source, target), bits in rates.items():
        if source in row and target in row:  # without a price a place is no use to a broker
            gbps[row[source], row[target]] = bits / 1e9
    np.fill_diagonal(usd_per_gb, 0.0)
    np.fill_diagonal(gbps, np.inf)
    return locations, usd_per_gb, gbps


def _read(folder: Path, name: str, columns: tuple[str, str, str, str, str]) -> dict[tuple[str, str], float]:
    """The figure of each ordered pair, the first of the file where it stands there twice."""
    path = find(folder, name)
    if path is None:
        raise MissingFile(f"{folder} has no {name}, nor {name}.gz")
    return _pairs(csv_rows(read_text(path), path), path, columns)


def _pairs(
    rows: Iterator[tuple[int, list[str]]], path: Path, columns: tuple[str, str, str, str, str]
) -> dict[tuple[str, str], float]:
    _, header = next(rows, (1, ["none"]))
    absent = [column for column in columns if column not in header]
    if absent:
        raise InputError(f"{path}: no column {', '.join(absent)}; it has {', '.join(header)}")
    places = [header.index(column) for column in columns]
    found: dict[tuple[str, str], float] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise MalformedLine(path, line, f"{len(row)} fields, the header has {len(header)}")
        source, target, source_tier, target_tier, figure = (row[place] for place in places)
        if source_tier != _TIER or target_tier != _TIER:
            continue
        try:
            value = float(figure)
        except ValueError:
            raise MalformedLine(path, line, f"{columns[4]} is {figure!r}, not a number") from None
        if not 0 <= value < np.inf:
            raise MalformedLine(path, line, f"{columns[4]} is {value}, not a number from 0 on")
        found.setdefault((source, target), value)
    return found
