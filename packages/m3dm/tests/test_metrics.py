"""Metrics: identities of the curves, the oracle of every threshold, and the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from offprints.errors import InputError

from m3dm.metrics import OverlapCurve, auroc, evaluate, regions, sampled_aupro, sampled_curve

SHAPE = (3, 6, 6)
LIMITS = (0.3, 0.1, 0.05, 0.01)


def some_masks(seed: int, share: float = 0.2) -> np.ndarray:
    masks = np.random.default_rng(seed).random(SHAPE) < share
    masks[0, 0, 0], masks[0, 5, 5] = True, False
    return masks


def curve_by_every_threshold(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The definition, one threshold after the other."""
    parts = []
    for number, mask in enumerate(masks):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        parts += [maps[number][labels == k] for k in range(1, count + 1)]
    good = maps[~masks]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        points.append(((good >= threshold).mean(), np.mean([(part >= threshold).mean() for part in parts])))
    x, y = np.array(points).T
    return x, y


@given(
    maps=arrays.arrays(np.float32, SHAPE, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
    seed=st.integers(0, 99),
    limit=st.sampled_from([1.0, 0.3, 0.05]),
)
def test_the_curve_is_that_of_every_threshold_ties_included(
    maps: np.ndarray, seed: int, limit: float
) -> None:
    masks = some_masks(seed)
    x, y = curve_by_every_threshold(maps, masks)
    fine = np.union1d(x, np.linspace(0, limit, 7))
    fine = fine[fine <= limit]
    expected = 0.0
    for (x0, y0), (x1, y1) in zip(zip(x, y, strict=False), zip(x[1:], y[1:], strict=False), strict=False):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        expected += (end - x0) * (y0 + y_end) / 2
    assert OverlapCurve(maps, masks).area(limit) == pytest.approx(expected / limit, abs=1e-12)
    assert OverlapCurve(maps, masks).p_auroc == pytest.approx(
        roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12
    )


@given(seed=st.integers(0, 999), limit=st.sampled_from(LIMITS))
def test_a_monotone_change_of_scores_changes_nothing(seed: int, limit: float) -> None:
    maps, masks = np.random.default_rng(seed).normal(size=SHAPE), some_masks(seed)
    changed = np.exp(3 * maps) - 7
    assert OverlapCurve(maps, masks).area(limit) == OverlapCurve(changed, masks).area(limit)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_perfect_map_has_1_and_a_constant_map_half_the_limit(limit: float) -> None:
    masks = some_masks(1)
    assert OverlapCurve(masks.astype(np.float32), masks).area(limit) == pytest.approx(1.0)
    assert OverlapCurve(np.ones(SHAPE), masks).area(limit) == pytest.approx(limit / 2)


def test_regions_touch_at_corners_and_count_alike_whatever_their_size() -> None:
    chain = np.eye(5, dtype=bool)
    assert regions(chain)[1] == 1
    masks = np.zeros((1, 8, 8), bool)
    masks[0, 0, 0] = True  # a region of one pixel
    masks[0, 4:, 4:] = True  # and one of sixteen
    maps = np.zeros((1, 8, 8))
    maps[0, 0, 0] = 1.0
    curve = OverlapCurve(maps, masks)
    assert curve.regions == 2
    assert curve.pro[2] == pytest.approx(0.5)  # finding the small one alone is half


def test_one_region_alone_makes_the_curve_the_roc_curve() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros(SHAPE, bool)
    masks[1, 1:4, 2:5] = True
    maps = rng.normal(size=SHAPE) + masks
    assert OverlapCurve(maps, masks).area(1.0) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))


def test_the_sampled_curve_is_below_the_exact_one_where_it_matters() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 40, 40), bool)
    masks[:3, 10:16, 10:16] = True
    maps = rng.normal(size=masks.shape) + 2.5 * masks
    exact = OverlapCurve(maps, masks)
    assert sampled_aupro(maps, masks, 0.01) < exact.area(0.01) - 0.02
    assert sampled_aupro(maps, masks, 0.3) == pytest.approx(exact.area(0.3), abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.zeros(SHAPE, bool)}, "no mask has a defective pixel"),
        ({"masks": np.ones(SHAPE, bool)}, "every pixel is defective"),
        ({"maps": np.full(SHAPE, np.nan)}, "not finite"),
        ({"maps": np.zeros((3, 5, 6))}, "both must be"),
        ({"labels": [False] * 3}, "needs both kinds"),
        ({"scores": [0.0, np.nan, 1.0]}, "not finite"),
    ],
)
def test_what_has_no_metric_is_an_error_and_no_number(change: dict[str, object], message: str) -> None:
    given = {
        "scores": [0.0, 1.0, 2.0],
        "labels": [False, True, True],
        "maps": np.zeros(SHAPE),
        "masks": some_masks(0),
    }
    with pytest.raises(InputError, match=message):
        evaluate(**{**given, **change})


@given(seed=st.integers(0, 999))
def test_the_area_under_roc_counts_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 5, 12), np.arange(12) % 3 == 0
    pairs = [(b > g) + 0.5 * (b == g) for b in scores[labels] for g in scores[~labels]]
    assert auroc(scores, labels) == pytest.approx(np.mean(pairs))


@pytest.mark.parity
@pytest.mark.parametrize("family", ["cont", "ties"])
def test_metrics_are_the_recorded_ones(parity, family: str) -> None:
    cases = parity("aupro.npz")
    maps, masks = cases[f"{family}_maps"], cases[f"{family}_gts"].astype(bool)
    curve = OverlapCurve(maps, masks)
    assert curve.regions == cases[f"{family}_n_components"]
    assert curve.p_auroc == pytest.approx(float(cases[f"{family}_pixel_auroc"]), abs=1e-9)
    labels = masks.any((1, 2))
    assert auroc(maps.max((1, 2)), labels) == pytest.approx(
        float(cases[f"{family}_image_auroc_max"]), abs=1e-9
    )
    for k, limit in enumerate(cases["limits"]):
        assert curve.area(float(limit)) == pytest.approx(float(cases[f"{family}_aupro_exact"][k]), abs=1e-9)
        for count, name in ((100, "ref100"), (99, "cfm99")):
            expected = float(cases[f"{family}_aupro_{name}"][k])
            assert sampled_aupro(maps, masks, float(limit), count) == pytest.approx(expected, abs=1e-9)
    fpr, pro = sampled_curve(maps, masks)
    np.testing.assert_allclose(fpr, cases[f"{family}_fpr100"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(pro, cases[f"{family}_pro100"], rtol=0, atol=1e-12)
