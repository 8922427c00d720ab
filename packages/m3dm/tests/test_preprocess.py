"""Preparing scans: the plane, the part, the square, and which pixel goes where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3dm.preprocess import (
    PreparationOptions,
    fit_plane,
    frame_points,
    largest_cluster,
    largest_component,
    pad_square,
    preprocess,
)
from m3dm.resize import nearest, normalise_rgb, resize, resize_rgb
from m3dm.scan import Scan, ScanError, has_point


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_only_the_part_is_left_of_a_scan_on_its_plane(raw_scan) -> None:
    scan = raw_scan("bagel")
    done = preprocess(scan, PreparationOptions(side=0))
    height = scan.xyz[done.points][:, 2]
    assert height.max() < 0.45 - 0.0045  # the plane is at 0.45 m and takes 5 mm with it
    assert 0.05 < done.points.mean() < 0.5
    outside = ~(done.points | (done.rgb != 0).any(-1))
    assert outside.mean() > 0.4
    # Pixels of the part without a point, 1 in 100, keep their colour.
    gaps = (done.rgb != 0).any(-1) & ~done.points
    assert gaps.sum() > 20


def test_a_scan_that_is_prepared_is_not_changed_itself(raw_scan) -> None:
    scan = raw_scan()
    before = scan.xyz.copy(), scan.rgb.copy()
    preprocess(scan)
    assert (scan.xyz == before[0]).all() and (scan.rgb == before[1]).all()


def test_a_plane_is_found_among_other_points_whatever_the_units() -> None:
    rng = np.random.default_rng(0)
    normal = np.array([0.1, -0.2, 1.0]) / np.linalg.norm([0.1, -0.2, 1.0])
    flat = rng.uniform(-0.2, 0.2, (2000, 3))
    flat -= (flat @ normal - 0.4)[:, None] * normal
    noisy = np.concatenate([flat + rng.normal(0, 0.0003, flat.shape), rng.uniform(-0.2, 0.6, (700, 3))])
    plane = fit_plane(noisy.astype(np.float32))
    assert abs(plane.normal @ normal) > 0.99999
    assert abs(plane.offset) == pytest.approx(0.4, abs=2e-4)


def test_components_link_over_gaps_up_to_the_length_and_no_further() -> None:
    xyz = np.zeros((40, 60, 3), np.float32)
    rows, columns = np.mgrid[:40, :60]
    xyz[..., 0], xyz[..., 1], xyz[..., 2] = columns * 0.001, rows * 0.001, 0.4
    valid = np.ones((40, 60), bool)
    valid[:, 20:22] = False  # a gap of 2 mm
    valid[:, 45:58] = False  # and one of 13 mm
    found = largest_component(xyz, valid, link=0.006)
    assert found[:, :45].sum() == valid[:, :45].sum()
    assert not found[:, 58:].any()
    assert overlap(found, largest_cluster(xyz, valid, 0.006, 5)) == 1.0


def test_noise_of_dbscan_is_no_part() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(0.1, 3, (30, 30, 3)).astype(np.float32)  # scattered far and wide
    xyz[:6, :6] = np.float32([0.3, 0.3, 0.4]) + rng.normal(0, 0.001, (6, 6, 3))
    found = largest_cluster(xyz, np.ones((30, 30), bool), 0.006, 10)
    assert found[:6, :6].mean() > 0.9
    assert found.sum() <= 36


@pytest.mark.parametrize(("size", "side"), [((80, 60), 100), ((100, 100), 100), ((101, 250), 300)])
def test_padding_keeps_the_scan_in_the_middle_of_a_square(size: tuple[int, int], side: int) -> None:
    rng = np.random.default_rng(0)
    scan = Scan(rng.integers(1, 255, (*size, 3), dtype=np.uint8), None, np.ones(size, bool))
    done = pad_square(scan)
    assert done.size == (side, side)
    assert done.mask.sum() == size[0] * size[1]
    rows, columns = np.argwhere(done.mask).min(0)
    assert (rows, columns) == ((side - size[0]) // 2, (side - size[1]) // 2)
    assert (done.rgb[done.mask] == scan.rgb.reshape(-1, 3)).all()


def test_points_and_masks_are_taken_from_the_same_rows_unless_asked_otherwise() -> None:
    size = 800
    xyz = np.broadcast_to(np.arange(1, size + 1)[:, None, None], (size, size, 3)).astype(np.float32)
    mask = np.zeros((size, size), bool)
    mask[401:405] = True
    scan = Scan(None, xyz, mask)
    same = resize(scan)
    rows = np.flatnonzero(same.mask[:, 0])
    assert set(same.xyz[rows, 0, 0].astype(int) - 1) <= set(range(401, 405))
    shifted = resize(scan, points="corner")
    gap = nearest(size, 224) - nearest(size, 224, "corner")
    assert gap.mean() == pytest.approx(1.7, abs=0.2)  # source pixels by which the published rule is off
    assert (same.xyz[:, 0, 0] - shifted.xyz[:, 0, 0]).mean() == pytest.approx(gap.mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xyz": np.zeros((200, 200, 3), np.float32)}, "only 0 points in the frame"),
        (
            {"xyz": np.dstack([*np.mgrid[:200, :200] * 0.001, np.full((200, 200), 0.4)]).astype(np.float32)},
            "no point is left",
        ),
    ],
)
def test_a_scan_without_a_plane_or_a_part_says_so(
    raw_scan, change: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ScanError, match=f"potato/good/0: .*{message}"):
        preprocess(replace(raw_scan(), **change))


@pytest.mark.parity
def test_preparing_gives_the_recorded_masks(parity) -> None:
    case = parity("preprocess.npz")
    scan = Scan(None, case["organized"])
    frame = frame_points(scan)
    plane = fit_plane(frame)
    found = np.append(plane.normal, plane.offset)
    found *= np.sign(found[2]) * np.sign(case["plane"][2])
    np.testing.assert_allclose(found, case["plane"] / np.linalg.norm(case["plane"][:3]), rtol=0, atol=1e-4)
    options = PreparationOptions(clean="none", pad=0, side=0)
    assert overlap(preprocess(scan, options).points, case["mask_after_plane"].astype(bool)) > 0.999
    padded = pad_square(preprocess(scan, options))
    assert padded.size == tuple(case["padded_shape"][:2])
    for clean in ("components", "dbscan"):
        done = preprocess(scan, PreparationOptions(clean=clean, side=0))
        assert overlap(done.points, case["mask_after_clean"].astype(bool)) > 0.999, clean


@pytest.mark.parity
def test_resizing_takes_the_recorded_rows_and_colours(parity) -> None:
    case = parity("resize.npz")
    heights = [int(name.rsplit("_", 1)[1]) for name in case if name.startswith("xyz_nearest_")]
    assert heights
    for height in heights:
        np.testing.assert_array_equal(nearest(height, 224, "corner"), case[f"xyz_nearest_{height}"])
        np.testing.assert_array_equal(nearest(height, 224, "centre"), case[f"gt_nearest_{height}"])
    np.testing.assert_array_equal(resize_rgb(case["rgb_in"], 28), case["rgb_bicubic28"])
    np.testing.assert_allclose(
        normalise_rgb(case["rgb_bicubic28"]), case["rgb_normalised"], rtol=0, atol=1e-5
    )


def test_a_point_on_an_axis_is_lost_by_the_published_rule_alone() -> None:
    xyz = np.array([[[0.0, 0.1, 0.4], [0.1, 0.1, 0.4], [0, 0, 0]]], np.float32)
    assert has_point(xyz).tolist() == [[True, True, False]]
    assert has_point(xyz, "all").tolist() == [[False, True, False]]
