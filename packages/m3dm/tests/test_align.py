"""Alignment of point features, point groups, and histograms of points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from torch.nn import functional as F

from offprints.errors import InputError

from m3dm.align import EPSILON, alignment, interpolation, pool_pixels, pooling_matrix
from m3dm.features import PatchFeatures
from m3dm.fpfh import FPFH, PUBLISHED
from m3dm.grouping import farthest_points, nearest_points
from m3dm.scan import Scan, ScanError


@given(seed=st.integers(0, 999))
def test_weights_of_centres_sum_to_1_and_a_centre_takes_its_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, 3)).astype(np.float32)
    points = np.concatenate([rng.normal(size=(30, 3)).astype(np.float32), centres[:5]])
    weights = interpolation(points, centres)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)
    assert weights.min() >= 0
    features = rng.normal(size=(20, 4))
    # At a centre the two next ones still weigh what the epsilon leaves them: more, the nearer they are.
    near = EPSILON / pdist(centres).min() ** 2
    np.testing.assert_allclose(
        (weights @ features)[30:], features[:5], atol=4 * near * np.abs(features).max() + 1e-9
    )
    np.testing.assert_allclose(weights @ np.full((20, 1), 3.5), 3.5, atol=1e-12)


def test_the_matrix_is_what_interpolating_and_pooling_pixel_by_pixel_is(good_scans: list[Scan]) -> None:
    scan = good_scans[0]
    valid = scan.points
    points = scan.xyz[valid]
    centres = points[farthest_points(points, 64)]
    features = np.random.default_rng(0).normal(size=(64, 5))
    matrix, seen = alignment(scan, centres, pooling="published")
    dense = np.zeros((5, *scan.size))
    dense[:, valid] = (interpolation(points, centres) @ features).T
    plain = F.adaptive_avg_pool2d(F.avg_pool2d(torch.from_numpy(dense)[None], 3, 1), 56)[0].numpy()
    np.testing.assert_allclose(matrix @ features, plain.reshape(5, -1).T, atol=1e-4)
    pooled = F.adaptive_avg_pool2d(F.avg_pool2d(torch.from_numpy(valid[None, None].astype(float)), 3, 1), 56)[
        0, 0
    ].numpy()
    assert (seen == (pooled.ravel() > 0)).all()
    mean, inner = alignment(scan, centres)
    np.testing.assert_allclose(mean[inner].sum(1), 1, atol=1e-4)  # a mean over points, at the outline too
    assert inner.sum() < seen.sum() and seen[inner].all()


def test_a_constant_feature_stays_constant_on_every_patch_that_sees_the_part(good_scans: list[Scan]) -> None:
    valid = good_scans[0].points
    values, seen = pool_pixels(np.full((valid.sum(), 1), 2.5, np.float32), valid)
    np.testing.assert_allclose(values[seen], 2.5, atol=1e-5)
    assert not values[~seen].any()
    published, _ = pool_pixels(np.full((valid.sum(), 1), 2.5, np.float32), valid, pooling="published")
    assert published[seen].min() < 1.0  # zeros of the background count


def test_features_of_a_coarser_grid_are_repeated_two_by_two() -> None:
    found = PatchFeatures(
        np.arange(4.0)[:, None].astype(np.float32), (2, 2), np.array([True, False, True, True])
    ).on((4, 4))
    assert found.values.reshape(4, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert found.valid.reshape(4, 4)[0].tolist() == [True, True, False, False]


@given(seed=st.integers(0, 999))
def test_farthest_points_are_the_farthest_and_groups_the_nearest(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(60, 3)).astype(np.float32)
    chosen = farthest_points(points, 12)
    assert chosen[0] == 0
    for k in range(1, 12):
        gap = ((points[:, None] - points[chosen[:k]]) ** 2).sum(2).min(1)
        assert gap[chosen[k]] == pytest.approx(gap.max(), rel=1e-5)
    groups = nearest_points(points, points[chosen], 7)
    assert (groups[:, 0] == chosen).all()  # a centre is its own nearest
    for centre, members in zip(chosen, groups, strict=True):
        away = ((points - points[centre]) ** 2).sum(1)
        np.testing.assert_allclose(np.sort(away)[:7], away[members], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("call", [lambda p: farthest_points(p, 9), lambda p: nearest_points(p, p, 9)])
def test_too_few_points_for_the_groups_are_refused(call) -> None:
    with pytest.raises(InputError, match="scan of 8 points"):
        call(np.zeros((8, 3), np.float32))


def test_histograms_do_not_change_when_the_part_is_turned_and_moved(good_scans: list[Scan]) -> None:
    scan = good_scans[0]
    valid = scan.points
    still = FPFH().at_points(scan.xyz, valid)
    angle = 0.7
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32
    )
    moved = np.where(valid[..., None], scan.xyz @ turn.T + np.float32([0.01, -0.02, 0]), 0).astype(np.float32)
    again = FPFH().at_points(moved, valid)
    assert np.abs(still - again).mean() < 0.5  # of 100 in each third; neighbours at the limit may change
    dented = scan.xyz.copy()
    dented[100:112, 100:112, 2] += np.float32(0.002)
    changed = FPFH().at_points(np.where(valid[..., None], dented, 0), valid)
    assert np.abs(still - changed).mean() > 3 * np.abs(still - again).mean()


def test_histograms_are_averaged_over_patches_of_the_part(good_scans: list[Scan]) -> None:
    found = FPFH()(good_scans[0])
    assert found.values.shape == (3136, 33)
    assert found.values[~found.valid].max() == 0
    thirds = found.values[found.valid].reshape(-1, 3, 11).sum(2)
    assert np.median(thirds) == pytest.approx(np.median(thirds[0]), rel=0.05)
    with pytest.raises(ScanError, match="no xyz"):
        FPFH()(good_scans[0].only("rgb"))
    few = np.zeros_like(good_scans[0].xyz)
    few[0, :5] = 1.0
    with pytest.raises(ScanError, match="only 5 points"):
        FPFH()(replace(good_scans[0], xyz=few))


def test_every_other_row_and_column_describes_the_same_patches(good_scans: list[Scan]) -> None:
    all_points, some = FPFH()(good_scans[0]), FPFH(step=2)(good_scans[0])
    both = (all_points.valid & some.valid).sum()
    assert both > 0.9 * max(all_points.valid.sum(), some.valid.sum())


@pytest.mark.parity
def test_interpolation_is_exact_where_the_published_one_is_off(parity) -> None:
    case = parity("interp.npz")
    points, centres, features = case["xyz"][0].T, case["centers"][0].T, case["feats"][0].T
    found = (interpolation(points, centres) @ features).T
    np.testing.assert_allclose(found, case["out_exact_fp64"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found, case["out_reference_fp32"].reshape(found.shape), rtol=0, atol=1e-2)


@pytest.mark.parity
def test_pooling_is_the_published_one(parity) -> None:
    case = parity("pfa.npz")
    mask = case["mask"].astype(bool)
    values, _ = pool_pixels(case["field"][:, mask].T, mask, pooling="published")
    np.testing.assert_allclose(values, case["patch_matrix"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(values.T.reshape(1, 2, 56, 56), case["pooled56"], rtol=0, atol=1e-5)
    coarse = PatchFeatures(case["rgb28"][0].reshape(5, -1).T, (28, 28), np.ones(784, bool))
    np.testing.assert_array_equal(coarse.on((56, 56)).values.T.reshape(1, 5, 56, 56), case["rgb56"])
    np.testing.assert_allclose(pooling_matrix(224, 56).sum(1), 1, atol=1e-12)


@pytest.mark.parity
def test_histograms_are_the_published_ones(parity) -> None:
    case = parity("fpfh.npz")
    valid = (case["organized"] != 0).all(-1)
    assert np.flatnonzero(valid.ravel()).tolist() == case["nonzero_index"].tolist()
    found = PUBLISHED.at_points(case["organized"], valid)
    np.testing.assert_allclose(found, case["fpfh"][valid], rtol=0, atol=1e-3)
