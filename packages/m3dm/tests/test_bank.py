"""The coreset, the nearest row, scores and maps: each fast way is held to the plain one."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from offprints.errors import InputError

from m3dm.bank import BankOptions, MemoryBank, image_score, neighbours_of
from m3dm.coreset import cover_radius, greedy_coreset, greedy_coreset_plain, project
from m3dm.maps import eight_bit_blur, heat_map
from m3dm.neighbours import Neighbours


def rows_of(kind: str, seed: int, count: int = 90, dim: int = 21) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "random":
        return rng.normal(size=(count, dim)).astype(np.float32)
    if kind == "clusters":
        centres = rng.normal(size=(4, dim)) * 10
        return (centres[rng.integers(4, size=count)] + rng.normal(size=(count, dim)) * 0.01).astype(
            np.float32
        )
    if kind == "grid":  # full of ties
        return rng.integers(0, 2, (count, dim)).astype(np.float32)
    if kind == "copies":
        return np.repeat(rng.normal(size=(count // 3, dim)), 3, 0).astype(np.float32)
    far = rng.normal(size=(count, dim)) + 1e4  # far from the origin, where a product loses digits
    return far.astype(np.float32)


KINDS = ["random", "clusters", "grid", "copies", "far"]


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 99), block=st.sampled_from([1, 7, 64]))
def test_the_lazy_coreset_has_the_rows_and_the_order_of_the_plain_loop(
    kind: str, seed: int, block: int
) -> None:
    rows = rows_of(kind, seed)
    assert greedy_coreset(rows, 60, block).tolist() == greedy_coreset_plain(rows, 60).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_coreset_of_all_rows_has_each_once(kind: str) -> None:
    assert sorted(greedy_coreset(rows_of(kind, 0), 90).tolist()) == list(range(90))


def test_the_lazy_coreset_of_thousands_of_rows_is_that_of_the_plain_loop() -> None:
    rng = np.random.default_rng(0)
    rows = np.tanh(rng.normal(size=(1500, 6)) @ rng.normal(size=(6, 80))).astype(np.float32)
    assert greedy_coreset(rows, 150).tolist() == greedy_coreset_plain(rows, 150).tolist()


@given(seed=st.integers(0, 99))
def test_the_radius_never_grows_and_is_at_most_twice_the_best(seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(10, 2)).astype(np.float32)
    chosen = greedy_coreset(rows, 10)
    radii = [cover_radius(rows, chosen[:k]) for k in range(1, 11)]
    assert all(a >= b - 1e-6 for a, b in pairwise(radii))
    assert radii[-1] == pytest.approx(0, abs=1e-6)
    away = cdist(rows, rows)
    best = min(away[:, list(some)].min(1).max() for some in combinations(range(10), 3))
    assert radii[2] <= 2 * best + 1e-5


@pytest.mark.parametrize(
    ("rows", "count", "message"),
    [
        (np.zeros((4, 2)), 0, "1 to all"),
        (np.zeros((4, 2)), 5, "1 to all"),
        (np.full((4, 2), np.nan), 2, "not finite"),
        (np.zeros(4), 2, "must be"),
    ],
)
def test_a_coreset_that_cannot_be_is_refused(rows: np.ndarray, count: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        greedy_coreset(rows, count)


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 99), axes=st.sampled_from([2, 8, 48]))
def test_the_nearest_row_is_the_one_of_all_distances(kind: str, seed: int, axes: int) -> None:
    rows = rows_of(kind, seed)
    patches = np.concatenate([rows_of(kind, seed + 1, 40), rows[:5]])
    distance, found = Neighbours(rows, axes).query(patches)
    away = cdist(patches.astype(np.float64), rows.astype(np.float64))
    np.testing.assert_allclose(distance, away.min(1), rtol=1e-5, atol=1e-6)
    assert (found == away.argmin(1)).all() or np.allclose(away[np.arange(45), found], away.min(1), rtol=1e-12)
    assert (distance[-5:] == 0).all()


def test_the_order_of_patches_changes_nothing_and_a_patch_that_moves_away_scores_higher() -> None:
    rows, patches = rows_of("random", 0), rows_of("random", 1)
    bank = Neighbours(rows)
    distance, _ = bank.query(patches)
    turned, _ = bank.query(patches[::-1].copy())
    assert (turned[::-1] == distance).all()
    further, _ = bank.query(patches * 3)
    assert (further > distance).all()


def test_a_bank_keeps_the_share_it_is_told_and_refuses_what_cannot_be() -> None:
    patches = rows_of("random", 0, 200)
    for subset, count in (("greedy", 20), ("random", 20), ("all", 200)):
        bank = MemoryBank.fit(patches, BankOptions(0.1, subset))
        assert len(bank) == count
        assert bank.query(patches)[0].min() == 0
    assert len(MemoryBank.fit(patches, BankOptions(0.1, limit=7))) == 7
    assert cover_radius(patches, greedy_coreset(patches, 20)) < cover_radius(
        patches, np.random.default_rng(0).permutation(200)[:20]
    )
    with pytest.raises(InputError, match="keeps 0 of 5"):
        MemoryBank.fit(patches[:5])
    with pytest.raises(InputError, match="would be empty"):
        MemoryBank.fit(patches[:0])
    with pytest.raises(InputError, match="all features"):
        MemoryBank.fit(np.ones((50, 3), np.float32))
    with pytest.raises(InputError, match="rows of 21 numbers"):
        bank.query(patches[:, :4])
    with pytest.raises(InputError, match="not finite"):
        bank.query(np.full((2, 21), np.inf, np.float32))
    for wrong in ({"ratio": 0.0}, {"ratio": 1.5}, {"subset": "some"}, {"eps": 1.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            BankOptions(**wrong)


def test_few_columns_are_not_projected() -> None:
    rows = rows_of("random", 0)
    assert (project(rows) == rows).all()
    assert project(np.random.default_rng(0).normal(size=(50, 2000))).shape[1] < 200


def test_the_published_blur_has_256_steps_and_ours_does_not() -> None:
    distances = np.random.default_rng(0).random(3136)
    ours, theirs = (heat_map(distances, (56, 56), blur=blur) for blur in ("gaussian", "published"))
    assert len(np.unique(theirs)) <= 256 < len(np.unique(ours))
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95
    assert not eight_bit_blur(np.zeros((5, 5), np.float32)).any()
    with pytest.raises(InputError, match="blur=box"):
        heat_map(distances, (56, 56), blur="box")


@pytest.mark.parity
def test_the_order_of_a_coreset_is_the_recorded_one(parity) -> None:
    case = parity("coreset.npz")
    features = case["features"].astype(np.float32)
    chosen = greedy_coreset(features, int(case["n"]))
    assert chosen.tolist() == case["idx_float32"].tolist()
    assert cover_radius(features, chosen) == pytest.approx(float(case["cover_radius"]), abs=1e-4)
    rows = project(case["features_proj"].astype(np.float32), float(case["proj_eps"]), int(case["proj_seed"]))
    assert rows.shape[1] == int(case["proj_dim"])
    np.testing.assert_allclose(rows[:8], case["proj_first8"], rtol=0, atol=1e-5)
    assert greedy_coreset(rows, int(case["n_proj"])).tolist() == case["idx_proj_float32"].tolist()


@pytest.mark.parity
def test_scores_and_maps_are_the_recorded_ones(parity) -> None:
    case = parity("score.npz")
    patch, bank = case["patch"], case["bank"]
    distance, nearest = Neighbours(bank).query(patch)
    np.testing.assert_allclose(distance, case["min_dist"], rtol=0, atol=1e-4)
    assert nearest.tolist() == case["min_idx"].tolist()
    at = int(distance.argmax())
    assert neighbours_of(bank, int(nearest[at])).tolist() == case["nn3_of_mstar"].ravel().tolist()
    for variant, tolerance in (("triple", 1e-4), ("single", 1e-4), ("double", 1e-6)):
        found = image_score(patch[at], float(distance[at]), int(nearest[at]), bank, variant)
        assert found == pytest.approx(float(case[f"s_{variant}"]), abs=tolerance)
    side = int(np.sqrt(len(patch)))
    for blur, name in (
        ("none", "map224_bilinear"),
        ("published", "map224_pil_blur"),
        ("gaussian", "map224_gauss_sigma4"),
    ):
        found = heat_map(distance, (side, side), blur=blur)
        expected = case[name].astype(np.float32).reshape(224, 224)
        if blur != "published":
            np.testing.assert_allclose(found, expected, rtol=0, atol=5e-3)
            continue
        # Recorded in float16. A pixel that lies between two of the 256 steps may fall on either side of it, and no further.
        half, step = np.abs(expected) * 2.0**-11, float(distance.max()) / 255
        assert (np.abs(found - expected) <= half + step).all()
        assert (np.abs(found - expected) <= half).mean() > 0.99
