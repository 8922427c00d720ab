"""Grams of CO2 equivalent of an hour of a machine.

    g/h = (vcpus * (min + u * (max - min)) + accelerators * u * TDP) / 1000 * PUE * grams per kWh of the grid

with u the utilisation, .5 where nobody measured it. What is not known - a grid, an accelerator's power, a number of vCPUs - makes the
figure NaN, and a plan that has to account for carbon leaves such an offer out; it never counts as nothing.

Source: the method of Cloud Carbon Footprint, its mean watts per vCPU over a provider's processors and its PUE; the accelerators' thermal
design power from their vendors' data sheets. Embodied carbon is not counted, and neither is the idle power of accelerators.
"""

from __future__ import annotations

import csv
import functools
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from sky_broker.catalog import Offers
from sky_broker.network import region_of

# Mean over the processors of coefficients-<cloud>-use.csv, ccf-coefficients b0032d92: watts of an idle and of a busy vCPU.
WATTS_PER_VCPU = {"aws": (1.0113, 3.8128), "azure": (0.8472, 3.6933), "gcp": (0.7002, 3.1899)}
PUE = {"aws": 1.135, "azure": 1.185, "gcp": 1.1}
TDP_WATTS = {
    "A10": 150.0,
    "A10G": 300.0,
    "A100": 400.0,
    "A100-80GB": 400.0,
    "B200": 1000.0,
    "H100": 700.0,
    "H100-MEGA": 700.0,
    "H200": 700.0,
    "K80": 150.0,  # a card of 300 W holds two of what the catalog counts
    "L4": 72.0,
    "M60": 150.0,  # as with the K80
    "MI25": 300.0,
    "MI300X": 750.0,
    "P100": 250.0,
    "P4": 75.0,
    "T4": 70.0,
    "V100": 300.0,
    "V100-32GB": 300.0,
}


@functools.cache
def grid_intensity() -> dict[str, float]:
    """Location -> g CO2e per kWh; of AWS, Azure and GCP regions only."""
    text = (resources.files("sky_broker") / "embedded" / "grid_carbon.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["location"]: float(row["grams_per_kwh"]) for row in rows}


def intensity(location: str) -> float:
    """Grams of CO2e per kWh at a location, or a zone of it; NaN where unknown."""
    return grid_intensity().get(region_of(location), float("nan"))


def grams_per_hour(offers: Offers, utilisation: float = 0.5) -> NDArray[np.float64]:
    """What each offer emits in an hour.

    Args:
        offers: k of them.
        utilisation: of vCPUs and accelerators, from 0 to 1.

    Returns:
        (k,) g CO2e per hour; NaN where something is unknown.
    """
    catalog, rows = offers.catalog, offers.rows
    clouds = [name.partition(":")[0] for name in catalog.locations]
    idle, busy, pue = (
        np.array([table.get(cloud, np.nan) for cloud in clouds])
        for table in (
            {cloud: watts[0] for cloud, watts in WATTS_PER_VCPU.items()},
            {cloud: watts[1] for cloud, watts in WATTS_PER_VCPU.items()},
            PUE,
        )
    )
    grid = np.array([intensity(name) for name in catalog.locations])
    place = offers.location
    tdp = np.array([TDP_WATTS.get(name, np.nan) if name else 0.0 for name in catalog.accelerators])
    kind = catalog.codes("accelerator")[rows]
    count = np.where(kind == 0, 0.0, catalog.column("count")[rows])
    cpu = catalog.column("vcpus")[rows] * (idle + utilisation * (busy - idle))[place]
    grams: NDArray[np.float64] = (cpu + count * utilisation * tdp[kind]) / 1000 * (pue * grid)[place]
    return grams
