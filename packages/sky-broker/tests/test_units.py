"""Amounts with their units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from sky_broker import units


@given(st.floats(0, 1e9, allow_nan=False))
def test_a_size_is_read_back_in_every_unit(value: float) -> None:
    assert units.gigabytes(f"{value!r} GB") == value
    assert units.gigabytes(f"{value!r} TB") == pytest.approx(1000 * value)


def test_binary_units_are_not_decimal_ones() -> None:
    assert units.gigabytes("1 GiB") == 2**30 / 1e9
    assert units.gigabytes("1 TiB") == 2**40 / 1e9


def test_times_money_and_mass_come_in_their_own_units() -> None:
    assert units.hours("90 min") == 1.5
    assert units.hours("2 d") == 48
    assert units.dollars("$1,200.50") == units.dollars("1200.5 USD") == 1200.5
    assert units.kilograms("2 t") == 2000


@pytest.mark.parametrize(
    "wrong", ["500", "GB", "-1 GB", "1e400 GB", "many GB", "5 gallons", "1.2.3 GB", "", "nan GB"]
)
def test_what_is_no_size_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(InputError, match="size"):
        units.gigabytes(wrong)


def test_a_unit_in_the_wrong_case_is_named() -> None:
    with pytest.raises(InputError, match="did you mean GB"):
        units.gigabytes("5 gb")
