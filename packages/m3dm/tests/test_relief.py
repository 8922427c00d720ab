"""Curvatures of surfaces whose curvatures are known, however they are turned, and whatever is missing of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3dm import Relief, ScanError
from m3dm.model_file import backbone_of
from m3dm.relief import curvatures, pixel_spacing

SIDE, SPACING = 64, 0.0005
ALL = np.ones((SIDE, SIDE), bool)


def cloud(height, tilt=(0.0, 0.0)):
    """(SIDE, SIDE, 3) points of a graph over a square grid."""
    axis = (np.arange(SIDE) - SIDE / 2) * SPACING
    x, y = np.meshgrid(axis, axis)
    z = 0.4 + height(x, y) + tilt[0] * x + tilt[1] * y
    return np.stack([x, y, z], -1).astype(np.float32)


def middle(values):
    return values[SIDE // 2 - 3 : SIDE // 2 + 3, SIDE // 2 - 3 : SIDE // 2 + 3].reshape(-1, values.shape[-1])


def curvature(xyz, valid=ALL, sigma=3.0):
    """In 1/metre."""
    return middle(Relief.at_pixels(xyz, valid, sigma))[:, :2] / (pixel_spacing(xyz, valid) * sigma)


def test_a_plane_has_none_however_it_is_tilted():
    found = Relief.at_pixels(cloud(lambda x, y: 0 * x, tilt=(0.3, -0.2)), ALL, 2.0)
    assert np.abs(found).max() < 1e-3


@pytest.mark.parametrize("radius", [0.05, 0.1])
def test_a_sphere_has_one_over_its_radius_in_all_directions(radius):
    found = curvature(cloud(lambda x, y: radius - np.sqrt(radius**2 - x**2 - y**2)))
    np.testing.assert_allclose(found, 1 / radius, rtol=0.03)


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4, np.pi / 2])
def test_a_cylinder_has_it_in_one_direction_whichever_that_is(angle):
    radius = 0.06
    found = curvature(
        cloud(lambda x, y: radius - np.sqrt(radius**2 - (np.cos(angle) * x + np.sin(angle) * y) ** 2))
    )
    np.testing.assert_allclose(found[:, 0], 1 / radius, rtol=0.03)
    np.testing.assert_allclose(found[:, 1], 0, atol=0.02 / radius)


def test_a_saddle_bends_both_ways():
    found = curvature(cloud(lambda x, y: 5 * x * y))
    np.testing.assert_allclose(found[:, 0], 5, rtol=0.02)
    np.testing.assert_allclose(found[:, 1], -5, rtol=0.02)


def test_curvatures_of_a_tilted_graph_are_those_of_the_surface():
    """At slope p the arc length grows by sqrt(1 + p²): z = px + r x²/2 bends by r / (1 + p²)^1.5 along x."""
    p, r = 0.7, 3.0
    np.testing.assert_allclose(
        curvatures(np.array([0, p, 0, r / 2, 0, 0.0])), [r / (1 + p**2) ** 1.5, 0], atol=1e-12
    )


def test_gaps_and_outlines_bias_nothing():
    xyz = cloud(lambda x, y: 4 * x**2 - 2 * y**2)
    valid = np.random.default_rng(0).random((SIDE, SIDE)) > 0.3
    valid[:, : SIDE // 2 - 4] = False  # an outline through the window
    whole = curvature(xyz)
    some = Relief.at_pixels(np.where(valid[..., None], xyz, 0), valid, 3.0)
    some = some[SIDE // 2 - 3 : SIDE // 2 + 3, SIDE // 2 - 3 : SIDE // 2 + 3][
        valid[SIDE // 2 - 3 : SIDE // 2 + 3, SIDE // 2 - 3 : SIDE // 2 + 3]
    ]
    np.testing.assert_allclose(
        some[:, :2] / (SPACING * 3), np.broadcast_to(whole[0], (len(some), 2)), rtol=0.05
    )


def test_a_step_is_what_the_fit_leaves():
    flat, stepped = (Relief.at_pixels(cloud(lambda x, y, h=h: h * (x > 0)), ALL, 2.0) for h in (0.0, 0.002))
    column = SIDE // 2
    assert stepped[20:40, column, 2].min() > 0.1 > 100 * flat[..., 2].max()


def test_a_scan_is_described_where_it_has_points(good_scans):
    found = Relief()(good_scans[0])
    assert found.values.shape == (56**2, 9) and np.isfinite(found.values).all()
    assert 100 < found.valid.sum() < 56**2
    with pytest.raises(ScanError, match="no xyz"):
        Relief()(good_scans[0].only("rgb"))
    few = np.zeros_like(good_scans[0].xyz)
    few[0, :3] = 1
    with pytest.raises(ScanError, match="only 3 points"):
        Relief()(replace(good_scans[0], xyz=few))


def test_it_comes_back_from_what_it_says_of_itself(good_scans):
    ours = Relief(scales=(2.0, 4.0), margin=1)
    again = backbone_of(ours.describe())
    np.testing.assert_array_equal(again(good_scans[0]).values, ours(good_scans[0]).values)
