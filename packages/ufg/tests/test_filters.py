"""The filter banks and their series."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import jv

from offprints.errors import InputError

from ufg import FILTERS, FilterBank, FrameletTransform, chebyshev_table, filter_bank


@pytest.mark.parametrize("name", FILTERS)
def test_squares_of_every_bank_sum_to_one(name: str) -> None:
    x = np.linspace(0, np.pi, 1001)
    assert np.square(FILTERS[name](x)).sum(0) == pytest.approx(1, abs=1e-14)


def test_coefficients_of_haar_are_bessel_functions() -> None:
    k = np.arange(12)
    signs_a = np.array([1, -1, -1, 1] * 3)
    signs_b = np.array([1, 1, -1, -1] * 3)
    expected = np.sqrt(2) * jv(k, np.pi / 4) * np.stack([signs_a, signs_b])
    assert chebyshev_table(filter_bank("haar"), 12) == pytest.approx(expected, abs=1e-14)


def test_coefficients_of_the_linear_bank_are_bessel_functions() -> None:
    k = np.arange(12)
    j = jv(k, np.pi / 2)
    a = np.where(k == 0, 1, np.where(k % 2, j * np.where(k % 4 == 1, -1, 1), 0))
    b1 = np.sqrt(2) * np.where(k % 2, 0, j * np.where(k % 4 == 0, 1, -1))
    b2 = np.where(k == 0, 1, -a)
    assert chebyshev_table(filter_bank("linear"), 12) == pytest.approx(np.stack([a, b1, b2]), abs=1e-14)


def test_coefficients_of_the_quadratic_bank_are_bessel_functions() -> None:
    """cos^3(x/2) = (3 cos(x/2) + cos(3x/2)) / 4 and sin^3(x/2) = (3 sin(x/2) - sin(3x/2)) / 4."""
    k = np.arange(12)
    # cos(m x / 2) at x = (pi/2)(z + 1) is cos(m q (z + 1)), q = pi / 4.
    quarter = np.array([1, 0, -1, 0] * 3), np.array([0, 1, 0, -1] * 3)
    cosine, sine = {}, {}
    for m in (1, 3):
        q = m * np.pi / 4
        cos_z = 2 * jv(k, q) * quarter[0]  # coefficients of cos(q z)
        sin_z = 2 * jv(k, q) * quarter[1]  # and of sin(q z)
        cosine[m] = np.cos(q) * cos_z - np.sin(q) * sin_z
        sine[m] = np.sin(q) * cos_z + np.cos(q) * sin_z
    table = chebyshev_table(filter_bank("quadratic"), 12)
    assert table[0] == pytest.approx((3 * cosine[1] + cosine[3]) / 4, abs=1e-14)
    assert table[3] == pytest.approx((3 * sine[1] - sine[3]) / 4, abs=1e-14)


@pytest.mark.parity
def test_coefficients_are_the_published_ones(parity) -> None:
    recorded = parity("cheb_coef")
    assert len(recorded) == 12
    for case, expected in recorded.items():
        name, terms = case.lower().split("_n")
        found = chebyshev_table(filter_bank(name), int(terms))
        assert found == pytest.approx(expected, abs=1e-12), case


# max over [0, 2] of |sum of squares - 1|, levels, and terms 2, 3, 4, 5, 6, 8, 10
DEFECTS = {
    ("haar", 1): (2.8e-1, 2.5e-2, 3.9e-3, 2.0e-4, 2.0e-5, 5.5e-8, 9.5e-11),
    ("haar", 2): (5.7e-1, 5.1e-2, 5.8e-3, 4.0e-4, 3.0e-5, 8.5e-8, 1.6e-10),
    ("haar", 3): (9.6e-1, 7.7e-2, 8.7e-3, 6.0e-4, 4.5e-5, 1.2e-7, 2.1e-10),
    ("linear", 2): (5.4e-1, 3.1e-1, 2.9e-2, 8.8e-3, 6.2e-4, 8.3e-6, 6.3e-8),
    ("quadratic", 2): (5.4e-1, 4.8e-1, 6.4e-2, 2.6e-2, 3.4e-3, 9.5e-5, 1.6e-6),
}


@pytest.mark.parametrize("case", DEFECTS)
def test_frame_defect_falls_with_the_terms_as_it_should(case: tuple[str, int]) -> None:
    for terms, expected in zip((2, 3, 4, 5, 6, 8, 10), DEFECTS[case], strict=True):
        low, high = FrameletTransform(case[0], levels=case[1], terms=terms).frame_bounds()
        assert max(high - 1, 1 - low) == pytest.approx(expected, rel=0.03), terms


def test_published_setting_is_no_tight_frame() -> None:
    total = FrameletTransform(terms=2).frame_response(np.array([0.0, 2.0]))
    assert total == pytest.approx([1.568, 0.817], abs=1e-3)
    assert FrameletTransform(terms=2).frame_bounds()[0] == pytest.approx(0.644, abs=1e-3)


@pytest.mark.parametrize("terms", [2, 3, 5, 8])
@pytest.mark.parametrize("name", FILTERS)
def test_levels_widen_the_frame_bounds_at_most_as_a_power(name: str, terms: int) -> None:
    one = FrameletTransform(name, levels=1, terms=terms).frame_bounds()
    defect = max(one[1] - 1, 1 - one[0])
    for levels in (2, 3, 4):
        low, high = FrameletTransform(name, levels=levels, terms=terms).frame_bounds()
        assert (1 - defect) ** levels - 1e-12 <= low
        assert high <= (1 + defect) ** levels + 1e-12


def test_series_converge_to_the_filters() -> None:
    u = np.linspace(0, 2, 401)
    for order in ("ascending", "descending"):
        transform = FrameletTransform("linear", levels=3, scale=1.7, terms=24, order=order)
        assert transform.response(u) == pytest.approx(transform.response(u, exact_filters=True), abs=1e-13)


def test_both_orders_share_the_final_low_pass_only() -> None:
    u = np.linspace(0, 2, 51)
    up = FrameletTransform(terms=12).response(u)
    down = FrameletTransform(terms=12, order="descending").response(u)
    assert up[0] == pytest.approx(down[0], abs=1e-12)
    assert np.abs(up[1:] - down[1:]).max() > 0.1


def test_a_bank_of_ones_own_makes_a_tight_frame() -> None:
    angle = np.pi / 2

    def phase(x: np.ndarray) -> np.ndarray:
        return angle * (x / np.pi) ** 2 * (3 - 2 * x / np.pi)

    bank = FilterBank("smooth step", (lambda x: np.cos(phase(x)), lambda x: np.sin(phase(x))))
    low, high = FrameletTransform(bank, terms=40).frame_bounds()
    assert (low, high) == pytest.approx((1, 1), abs=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameletTransform("har"), "haar"),
        (lambda: FrameletTransform(terms=1), "terms"),
        (lambda: FrameletTransform(scale=1.0), "scale"),
        (lambda: FrameletTransform(levels=0), "levels"),
        (lambda: FrameletTransform(order="up"), "ascending"),
        (lambda: FilterBank("lone", (np.cos,)), "at least one"),
        (lambda: FilterBank("loose", (np.cos, np.cos)), "sum to 2"),
        (lambda: FilterBank("torn", (lambda x: x / 0.0, np.cos)), "finite"),
        (lambda: chebyshev_table(filter_bank("haar"), 1), "terms=1"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_what_fits_no_transform_is_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
