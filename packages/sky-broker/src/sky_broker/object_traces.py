"""Traces of reads and writes: files of your own, and made-up ones; and list prices of storage."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from offprints.content import csv_rows, read_text
from offprints.errors import InputError, MalformedLine, MissingFile

from sky_broker.objects import Request

STORAGE_2022 = {
    "aws:us-east-1": 0.023,
    "aws:eu-west-1": 0.023,
    "aws:ap-northeast-1": 0.025,
    "azure:eastus": 0.0208,
    "azure:westeurope": 0.0196,
    "gcp:us-central1": 0.020,
}
"""$ for a gigabyte and month of the standard class, first tier, in 2022: S3 Standard and Blob Storage Hot as collected by the authors of
SkyStore (github.com/skyplane-project/skystore, storage.csv), Cloud Storage Standard from cloud.google.com/storage/pricing."""
GET_USD, PUT_USD = 4e-7, 5e-6
"""Of a request: S3 Standard in us-east-1 and Blob Storage Hot in eastus, 2022, from the same file."""
_COLUMNS = ("seconds", "kind", "region", "name", "gigabytes")


def read_requests(path: str | Path) -> tuple[list[Request], dict[str, float]]:
    """A trace of your own.

    Args:
        path: CSV with the columns seconds, kind, region, name and gigabytes; gigabytes counts where an object is first written.

    Returns:
        The requests by time, and the size of each object.

    Raises:
        MissingFile: there is no such file.
        InputError: a column is missing, or there is no request.
        MalformedLine: a line does not read.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no trace file {path}")
    requests: list[Request] = []
    sizes: dict[str, float] = {}
    rows = csv_rows(read_text(path), path)
    _, header = next(rows, (1, []))
    if absent := [column for column in _COLUMNS if column not in header]:
        raise InputError(f"{path}: no column {', '.join(absent)}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise MalformedLine(path, line, f"{len(cells)} fields, the header has {len(header)}")
        row = dict(zip(header, cells, strict=True))
        seconds, size = (_number(row[column], path, line) for column in ("seconds", "gigabytes"))
        if row["kind"] not in ("get", "put"):
            raise MalformedLine(path, line, f"the kind is {row['kind']!r}, neither get nor put")
        requests.append(Request(seconds, row["kind"], row["region"], row["name"]))
        sizes.setdefault(row["name"], size)
    if not requests:
        raise InputError(f"{path}: there is no request in it")
    return requests, sizes


def _number(text: str, path: Path, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise MalformedLine(path, line, f"{text!r} is not a number from 0 on")
    return number


def made_up_requests(
    seed: int, objects: int, days: float, reads_per_day: float, regions: tuple[str, ...]
) -> list[Request]:
    """A trace that nobody recorded.

    Each object is written at the start in a region drawn at random and read in bursts: bursts come at random, their rate falling with the
    object's rank as 1 / rank, each from one region and with some ten reads a few hours apart.

    Args:
        seed: of all draws.
        objects: how many.
        days: length.
        reads_per_day: of the first object, on average.
        regions: where reads and writes come from; earlier ones more often.

    Raises:
        InputError: a number is not positive.
    """
    if objects < 1 or not min(days, reads_per_day) > 0:
        raise InputError("a made-up trace has 1 object or more, and days and reads_per_day above 0")
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(regions) + 1)
    weights /= weights.sum()
    found = []
    for rank in range(1, objects + 1):
        name = f"object-{rank}"
        found.append(Request(0.0, "put", str(random.choice(regions, p=weights)), name))
        for start in random.uniform(0, 86_400 * days, random.poisson(days * reads_per_day / rank / 10)):
            region = str(random.choice(regions, p=weights))
            reads = start + np.cumsum(random.exponential(4 * 3600, random.poisson(9) + 1))
            found += [
                Request(float(second), "get", region, name) for second in reads if second < 86_400 * days
            ]
    return sorted(found, key=lambda request: (request.seconds, request.kind == "get"))
