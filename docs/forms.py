"""How numbers look in tables and in sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offprints.paper import number_text


def plain(value: Any) -> str:
    """A count or a large number with its thousands apart, another one as in the tables of results, a name as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else number_text(value)


def seconds(value: float | None) -> str:
    """A duration with a unit that suits it."""
    if value is None:
        return ""
    scale, unit = (1e6, "µs") if value < 1e-3 else (1e3, "ms") if value < 1 else (1.0, "s")
    return f"{value * scale:.3g} {unit}"


def number(value: float | None, form: str, unit: str = "") -> str:
    """A number, or nothing where none was measured."""
    return "" if value is None else f"{value:{form}}{unit}"


def ratio(value: float | None) -> str:
    """How many times faster; one or two digits say enough."""
    return number(value, ".2f" if (value or 0) < 10 else ".0f", "×")


# The keys of benchmarks/results.json that have a form of their own.
BENCHMARK: dict[str, Callable[[Any], str]] = {
    "ours_seconds": seconds,
    "peer_seconds": seconds,
    "ratio": ratio,
    "ours_peak_mb": lambda value: number(value, ".0f", " MB"),
    "peer_peak_mb": lambda value: number(value, ".0f", " MB"),
    "bound_share": lambda value: number(value, ".0%"),
}
