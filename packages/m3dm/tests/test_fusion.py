"""Fusion of features and of decisions: the published numbers, what the published program gets wrong, and signs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from offprints.errors import InputError

from m3dm.decision import FUSERS, Published, fuser_named
from m3dm.features import PatchFeatures
from m3dm.fused import Fusion
from m3dm.fusion import (
    FeatureFusion,
    FusionOptions,
    FusionTrainer,
    load_fusion,
    pairs,
    scrambled_rows,
    train_fusion,
    training_pairs,
)


def places(grid: int, fine: int) -> tuple[PatchFeatures, PatchFeatures]:
    """Points that know their place on a fine grid, and colours that know theirs on a coarse one."""

    def of(n: int) -> PatchFeatures:
        at = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 2)
        return PatchFeatures(at.astype(np.float32), (n, n), np.ones(n * n, bool))

    return of(fine), of(grid)


def test_pairs_meet_their_own_partner_in_training_and_in_use() -> None:
    xyz, rgb = places(28, 56)
    for shape, colour in [pairs(xyz, rgb), *training_pairs([xyz], [rgb])]:
        assert (shape // 2 == colour).all()


def test_as_published_hardly_any_training_pair_does() -> None:
    xyz, rgb = places(28, 56)
    ((shape, colour),) = training_pairs([xyz], [rgb], aligned=False)
    assert (colour == scrambled_rows(rgb.values)).all()
    off = np.abs(shape // 2 - colour)
    assert (off == 0).all(1).mean() == pytest.approx(0.0026, abs=2e-4)
    assert off.mean(0) == pytest.approx([9.0, 8.7], abs=0.4)


def test_training_on_aligned_pairs_learns_what_scrambled_ones_hide() -> None:
    rng = np.random.default_rng(0)
    scans = []
    for _ in range(2):
        seed = rng.normal(size=(64, 6)).astype(np.float32)
        rgb = PatchFeatures(seed, (8, 8), np.ones(64, bool))
        xyz = PatchFeatures(
            np.tanh(rgb.on((16, 16)).values) + 0.1 * rng.normal(size=(256, 6)).astype(np.float32),
            (16, 16),
            np.ones(256, bool),
        )
        scans.append((xyz, rgb))
    losses = {}
    for aligned in (True, False):
        options = FusionOptions(epochs=25, temperature=0.1, aligned=aligned, heads=16)
        _, outcome = train_fusion(*zip(*scans, strict=False), options=options)
        losses[aligned] = outcome.history[-1]["train/loss"] / (2 * 0.1)
    chance = np.log(256)
    assert losses[True] < chance - 1.5  # a patch is one of four that look alike
    assert losses[False] > losses[True] + 1.0


def test_an_untrained_network_finds_nothing_at_the_published_temperature() -> None:
    torch.manual_seed(0)
    network = FeatureFusion(10, 8, 16)
    with torch.inference_mode():
        loss = network.loss(torch.randn(200, 10), torch.randn(200, 8))
    assert float(loss) == pytest.approx(2 * np.log(200), abs=0.3)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scans = [
        (rng.normal(size=(30, 5)).astype(np.float32), rng.normal(size=(30, 4)).astype(np.float32))
        for _ in range(3)
    ]
    options = FusionOptions(epochs=4, heads=8, patches=20, temperature=0.2)

    def trainer(directory: Path | None) -> FusionTrainer:
        torch.manual_seed(1)
        return FusionTrainer(
            FeatureFusion(5, 4, 8), scans, options, seed=3, directory=directory, uninterrupted=None
        )

    whole = trainer(None)
    whole.fit()
    stopped = trainer(tmp_path)
    step, done = stopped.step, []

    def stopping(batch: int) -> torch.Tensor:
        if len(done) == 7:
            raise RuntimeError("killed")
        done.append(batch)
        stopped._save_last()  # as after the seconds that a kill may cost
        return step(batch)

    stopped.step = stopping
    with pytest.raises(RuntimeError, match="killed"):
        stopped.fit()
    again = trainer(tmp_path)
    again.fit()
    for name, value in whole.network.state_dict().items():
        assert (again.network.state_dict()[name] == value).all(), name


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"patches": 1}, {"weight_decay": -1.0}, {"epochs": 0}]
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        FusionOptions(**wrong)


def test_side_by_side_modalities_count_alike_and_common_patches_stay() -> None:
    rng = np.random.default_rng(0)

    def scan() -> tuple[PatchFeatures, PatchFeatures]:
        smooth = 5 + 0.01 * rng.normal(size=(16, 100))
        xyz = PatchFeatures(smooth.astype(np.float32), (4, 4), np.arange(16) > 2)
        rgb = PatchFeatures(
            rng.normal(size=(4, 9)).astype(np.float32), (2, 2), np.array([True, True, True, False])
        )
        return xyz, rgb

    many = [scan() for _ in range(40)]
    fused = Fusion("concat")
    fused.fit([xyz for xyz, _ in many], [rgb for _, rgb in many])
    found = fused(*many[0])
    assert found.grid == (4, 4) and found.values.shape == (16, 109)
    assert found.valid.sum() == 16 - 3 - 4
    some, others = (np.concatenate([fused(*its).values for its in part]) for part in (many[:20], many[20:]))
    # A place of one part is as far from the nearest of another in shape as in colour, however smooth the shape.
    shape, colour = (cdist(some[:, part], others[:, part]).min(1) for part in (slice(100), slice(100, 109)))
    assert shape.mean() == pytest.approx(colour.mean(), rel=0.35)
    plain = Fusion("plain")
    plain.fit([xyz for xyz, _ in many], [rgb for _, rgb in many])
    both = plain(*many[0])
    np.testing.assert_allclose(both.values[:, :100] * 10, many[0][0].values, rtol=1e-6)


@pytest.mark.parity
def test_the_fusion_network_gives_the_recorded_features_loss_and_gradients(parity, tmp_path: Path) -> None:
    case = parity("uff.npz")
    weights = {
        name.removeprefix("w."): torch.from_numpy(value)
        for name, value in case.items()
        if name.startswith("w.")
    }
    torch.save({"model": weights}, tmp_path / "uff.pth")
    network, source = load_fusion(tmp_path / "uff.pth")
    assert source.ignored == ()
    xyz, rgb = torch.from_numpy(case["xyz"]), torch.from_numpy(case["rgb"])
    np.testing.assert_allclose(network(xyz, rgb).detach().numpy(), case["fused"], rtol=0, atol=1e-5)
    keep = (xyz.flatten(0, 1) != 0).all(1)
    assert int(keep.sum()) == int(case["n_patches_used"])
    loss = network.loss(xyz.flatten(0, 1)[keep], rgb.flatten(0, 1)[keep])
    assert loss.item() == pytest.approx(float(case["loss"]), abs=1e-4)
    loss.backward()
    gradients = dict(network.named_parameters())
    for name, tolerance in (("rgb_head_weight", 1e-3), ("xyz_mlp_fc1_weight", 1e-5)):
        parameter = {"rgb_head_weight": "rgb_head.weight", "xyz_mlp_fc1_weight": "xyz_mlp.fc1.weight"}[name]
        np.testing.assert_allclose(
            gradients[parameter].grad.numpy(), case[f"grad_{name}"], rtol=0, atol=tolerance
        )


def good_distances(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = np.array([1.0, 8.0, 3.0])
    return rng.gamma(9, 1 / 9, (20, 3)) * scale, rng.gamma(4, 1 / 4, (20, 12, 12, 3)).astype(
        np.float32
    ) * scale.astype(np.float32)


@pytest.mark.parametrize("name", list(FUSERS))
def test_a_higher_distance_in_any_bank_never_lowers_the_score(name: str) -> None:
    scores, maps = good_distances()
    fuser = fuser_named(name).fit(scores, maps)
    for k in range(3):
        higher, wide = scores.copy(), maps.copy()
        higher[:, k] *= 3
        wide[..., k] *= 3
        assert (fuser.score(higher) >= fuser.score(scores) - 1e-9).all()
        assert (fuser.map(wide) >= fuser.map(maps) - 1e-5).all()
        assert fuser.map(wide).max() > fuser.map(maps).max()
    assert fuser.map(maps).shape == maps.shape[:3]
    assert fuser.parts(maps).shape == maps.shape


def test_what_a_bank_says_on_every_good_part_counts_as_1_or_as_no_deviation() -> None:
    scores, maps = good_distances()
    for name in ("add", "max"):
        peaks = fuser_named(name).fit(scores, maps).parts(maps).max((1, 2))
        np.testing.assert_allclose(peaks.mean(0), 1, rtol=1e-5)
    peaks = fuser_named("calibrated").fit(scores, maps).parts(maps).max((1, 2))
    np.testing.assert_allclose(peaks.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(peaks.std(0), 1, rtol=1e-4)


def test_the_published_machines_weigh_by_how_far_good_parts_are() -> None:
    scores, maps = (part / np.array([1, 10, 2.5]) for part in good_distances())
    weights = Published().fit(scores, maps).state["map_weights"].ravel()
    mean = maps.reshape(-1, 3).mean(0)
    assert weights @ mean / np.linalg.norm(weights) / np.linalg.norm(mean) > 0.99
    assert (weights > 0).all()


@pytest.mark.parametrize(("name", "count"), [("calibrated", 1), ("mahalanobis", 4)])
def test_too_few_good_scans_for_a_rule_are_refused(name: str, count: int) -> None:
    scores, maps = good_distances()
    with pytest.raises(InputError, match="good scans"):
        fuser_named(name).fit(scores[:count], maps[:count])
    with pytest.raises(InputError, match="fuser=mean"):
        fuser_named("mean")


@pytest.mark.parity
def test_the_published_machines_are_the_recorded_ones(parity) -> None:
    case = parity("dlf.npz")
    nus = sorted({name.rsplit("nu", 1)[1] for name in case if name.startswith("s_coef_nu")})
    assert nus
    for nu in nus:
        machine = Published(nu=float(nu))
        for key, rows in (("s", case["X_image"]), ("m", case["X_map"])):
            found = machine._machine(rows).ravel()
            expected = case[f"{key}_coef_nu{nu}"].ravel()
            assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999
        fitted = machine.fit(case["X_image"], case["X_map"])
        # Maps were recorded in float32.
        for rows, name, tolerance in ((case["X_image"], "s", 1e-8), (case["X_map"][:200], "m", 1e-6)):
            weights = fitted.state["score_weights" if name == "s" else "map_weights"]
            told = np.asarray(rows, np.float64) @ weights
            np.testing.assert_allclose(told, case[f"{name}_score_nu{nu}"].ravel(), rtol=0, atol=tolerance)
