"""In which country a region lies, and which jurisdictions that puts it under; what residency is checked against.

Source: the providers' public lists of regions, as of May 2026; members of the European Union and the European Economic Area.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterable
from importlib import resources

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.network import region_of

EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)
EEA = EU | {"IS", "LI", "NO"}
_MARKETPLACE = re.compile(
    r"^vast:.*, ([A-Z]{2}), [A-Z]{2}$"
)  # a marketplace of hosts names the country itself


@functools.cache
def jurisdictions(location: str) -> frozenset[str]:
    """The jurisdictions of a location.

    Args:
        location: cloud:region, or a zone of it.

    Returns:
        The code of its country, such as "DE", with "EU" and "EEA" where it belongs to them; empty where it is unknown, so that no
        residency ever allows it.
    """
    host = _MARKETPLACE.match(location)
    country = host[1] if host else _countries().get(region_of(location))
    if country is None:
        return frozenset()
    unions = {name for name, members in (("EU", EU), ("EEA", EEA)) if country in members}
    return frozenset({country, *unions})


def known_jurisdictions() -> frozenset[str]:
    """All that a residency may name."""
    return frozenset({*_countries().values(), *EEA, "EU", "EEA"})


def check_residency(names: Iterable[str]) -> frozenset[str]:
    """The same names, if each is a jurisdiction.

    Raises:
        InputError: one is not; names the nearest.
    """
    found = frozenset(names)
    for wrong in sorted(found - known_jurisdictions()):
        raise InputError(
            f"residency: {wrong!r} is no jurisdiction; a country such as DE, EU or EEA was expected"
            f"{closest(wrong, known_jurisdictions())}"
        )
    return found


def allows(residency: frozenset[str] | None, location: str) -> bool:
    """Whether data or a task of this residency may be at a location; None is anywhere."""
    return residency is None or bool(residency & jurisdictions(location))


@functools.cache
def _countries() -> dict[str, str]:
    text = (resources.files("sky_broker") / "embedded" / "countries.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["location"]: row["country"] for row in rows}
