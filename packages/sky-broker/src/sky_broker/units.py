"""Amounts as people write them: "500 GB", "36 h", "300 USD", "50 kg". A number without its unit is an error.

Gigabytes are decimal, 10^9 bytes, everywhere in this package; GiB and TiB are read and converted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from offprints.errors import InputError

_AMOUNT = re.compile(r"^\s*([+-]?(?:\d+(?:[_,]\d{3})*|\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z$€²/]*)\s*$")
_BYTES = {
    "B": 1e-9,
    "KB": 1e-6,
    "MB": 1e-3,
    "GB": 1.0,
    "TB": 1e3,
    "PB": 1e6,
    "KiB": 2**10 / 1e9,
    "MiB": 2**20 / 1e9,
    "GiB": 2**30 / 1e9,
    "TiB": 2**40 / 1e9,
    "PiB": 2**50 / 1e9,
}
_HOURS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1 / 3600),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 1 / 60),
    **dict.fromkeys(("h", "hour", "hours"), 1.0),
    **dict.fromkeys(("d", "day", "days"), 24.0),
}
_DOLLARS = {"USD": 1.0, "$": 1.0}
_KILOGRAMS = {"g": 1e-3, "kg": 1.0, "t": 1e3}


def gigabytes(text: object, what: str = "size") -> float:
    """Decimal gigabytes of "500 GB", "80 TB" or "1 GiB".

    Args:
        text: the amount; not a bare number.
        what: how the message calls it.

    Raises:
        InputError: no number, no unit or an unknown one, or less than 0.
    """
    return _amount(text, _BYTES, what, "500 GB")


def hours(text: object, what: str = "time") -> float:
    """Hours of "36 h", "10 min" or "2 d"; raises as `gigabytes` does."""
    return _amount(text, _HOURS, what, "36 h")


def dollars(text: object, what: str = "budget") -> float:
    """US dollars of "300 USD" or "300 $"; raises as `gigabytes` does."""
    return _amount(text, _DOLLARS, what, "300 USD")


def kilograms(text: object, what: str = "carbon") -> float:
    """Kilograms of "50 kg", "800 g" or "2 t"; raises as `gigabytes` does."""
    return _amount(text, _KILOGRAMS, what, "50 kg")


def _amount(text: object, units: Mapping[str, float], what: str, example: str) -> float:
    written = str(text).strip()
    if written.startswith("$") and "$" in units:
        written = written[1:] + " $"
    found = _AMOUNT.match(written)
    if isinstance(text, bool) or found is None or not found[1].strip("+-.")[:1].isdigit():
        raise InputError(f"{what}: {text!r} is no amount; write it as in {example!r}")
    if not found[2]:
        raise InputError(f"{what}: {text!r} has no unit; write it as in {example!r}")
    if found[2] not in units:
        known = {name.lower(): name for name in units}
        hint = f"; did you mean {known[found[2].lower()]}?" if found[2].lower() in known else ""
        raise InputError(f"{what}: the unit of {text!r} is none of {', '.join(units)}{hint}")
    value = float(re.sub("[_,]", "", found[1])) * units[found[2]]
    if not 0 <= value < math.inf:
        raise InputError(f"{what}: {text!r} is negative or has no end; it must be 0 or more")
    return value
