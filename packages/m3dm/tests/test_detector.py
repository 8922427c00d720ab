"""The detector on made-up parts: what each bank can see, what scores mean, and a detector that comes back from its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from offprints.errors import CorruptFile, InputError, MissingFile

from m3dm import FPFH, M3DM, ColourBank, DetectorOptions, Scan, load_model, published_options, save_model
from m3dm.baselines import DepthStatistics, baseline_options
from m3dm.calibration import choose_threshold, p_value
from m3dm.crossmodal import CrossModal, MappingOptions
from m3dm.depth import Height
from m3dm.detector import MODES
from m3dm.evaluation import evaluate_detector, means
from m3dm.features import ScanFeatures, extract, foreground
from m3dm.fusion import FusionOptions
from m3dm.metrics import auroc


@pytest.fixture(scope="module")
def train(good_scans: list[Scan]) -> list[ScanFeatures]:
    return [extract(scan, FPFH(), ColourBank()) for scan in good_scans]


@pytest.fixture(scope="module")
def tests(test_scans: list[Scan]) -> list[ScanFeatures]:
    return [extract(scan, FPFH(), ColourBank()) for scan in test_scans]


def fitted(train: list[ScanFeatures], **options: object) -> M3DM:
    return M3DM(FPFH(), ColourBank(), DetectorOptions(**options)).fit_features(train)


@pytest.mark.parametrize("mode", list(MODES))
def test_each_mode_points_at_the_defects_that_it_can_see(train, tests, test_scans, mode: str) -> None:
    detector = fitted(train, mode=mode)
    found = [detector.predict_features(scan) for scan in tests]
    assert list(found[0].maps) == list(MODES[mode])
    for k in {"rgb": (4, 5), "xyz": (2, 3)}.get(mode, (2, 3, 4, 5)):
        part = foreground(test_scans[k])  # beside it every map is 0, which would make any of them look good
        assert auroc(found[k].map[part], tests[k].mask[part]) > 0.9, (mode, k)
        assert found[k].score > max(said.score for said in found[:2]), (mode, k)


def test_points_say_nothing_of_stains_and_colours_change_no_score_of_points(train, tests, test_scans) -> None:
    detector = fitted(train, mode="xyz")
    stains, good = [detector.predict_features(tests[k]).score for k in (4, 5)], detector.good_scores
    dents = [detector.predict_features(tests[k]).score for k in (2, 3)]
    assert max(stains) < 1.5 * good.max() < min(dents)
    repainted = replace(test_scans[2], rgb=np.full_like(test_scans[2].rgb, 90))
    assert detector.predict(repainted).score == detector.predict(test_scans[2]).score
    colours = fitted(train, mode="rgb")
    noisy = test_scans[4].xyz + np.where(test_scans[4].points[..., None], np.float32(0.0001), np.float32(0))
    assert colours.predict(replace(test_scans[4], xyz=noisy)).score == colours.predict(test_scans[4]).score


def test_the_bank_that_fires_is_that_of_the_modality_that_is_odd(train, tests) -> None:
    detector = fitted(train, mode="rgb+xyz")
    scan = tests[0]
    plain = detector.predict_features(scan)
    some = np.flatnonzero(scan.xyz.valid)[200:260]
    values = scan.xyz.values.copy()
    values[some] += np.float32(90)  # of histograms that sum to 300 or so
    odd = detector.predict_features(replace(scan, xyz=replace(scan.xyz, values=values)))
    assert odd.p_values["xyz"] == pytest.approx(1 / 7)  # no good scan of six is as far
    assert odd.p_values["rgb"] == plain.p_values["rgb"]
    assert odd.p_value == pytest.approx(1 / 7) and plain.p_value >= odd.p_value
    assert odd.fired(0.15)[0] == "xyz"
    assert (odd.maps["rgb"] == plain.maps["rgb"]).all() and odd.map.max() > plain.map.max()


def test_held_out_scores_are_not_those_of_banks_that_hold_the_scan(train) -> None:
    ours, theirs = (fitted(train, mode="xyz", ratio_xyz=0.5, fuser="add", folds=folds) for folds in (3, 0))
    own = [theirs.predict_features(scan).score for scan in train]
    scale = theirs.fuser.state["map_scale"] / ours.fuser.state["map_scale"]
    assert np.median(ours.good_scores) > 1.2 * np.median(own) * float(scale[0])
    assert len(theirs.good_scores) == 0
    assert theirs.predict_features(train[0]).p_value is None
    with pytest.raises(InputError, match="no score of a good part"):
        theirs.threshold()


def test_a_detector_comes_back_from_its_file_to_the_bit(train, tests, tmp_path: Path) -> None:
    options = DetectorOptions(fusion="uff", fuser="calibrated")
    training = FusionOptions(epochs=1, heads=8)
    detector = M3DM(FPFH(), ColourBank(), options, fusion_options=training).fit_features(train)
    save_model(detector, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    for scan in tests:
        ours, theirs = detector.predict_features(scan), again.predict_features(scan)
        assert ours.score == theirs.score and (ours.map == theirs.map).all()
        assert ours.p_values == theirs.p_values
    assert (tmp_path / "m.safetensors").stat().st_size < 50e6
    assert again.threshold() == detector.threshold()


def test_a_file_that_is_no_detector_is_refused(train, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(fitted(train, mode="rgb"), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(CorruptFile, match="truncated"):
        load_model(path)
    path.write_bytes(whole)
    tensors = load_file(path)
    save_file(tensors, path)
    with pytest.raises(CorruptFile, match="no detector"):
        load_model(path)
    told = {"kind": "m3dm", "schema": 99}
    save_file(tensors, path, {"m3dm": json.dumps(told)})
    with pytest.raises(InputError, match="schema 99"):
        load_model(path)
    path.write_bytes(whole)
    length = int.from_bytes(whole[:8], "little")
    held = json.loads(whole[8 : 8 + length])["__metadata__"]
    del tensors["bank.rgb.rows"]
    save_file(tensors, path, held)
    with pytest.raises(CorruptFile, match=r"bank\.rgb\.rows"):
        load_model(path)
    with pytest.raises(MissingFile):
        load_model(tmp_path / "none")
    with pytest.raises(InputError, match="nothing to save"):
        save_model(M3DM(rgb=ColourBank(), options=DetectorOptions(mode="rgb")), path)


def test_the_published_options_are_theirs_and_change_what_they_change(train, tests) -> None:
    options = published_options(fusion="concat")
    theirs = M3DM(FPFH(), ColourBank(), options).fit_features(train)
    own = fitted(train, ratio_rgb=0.04, ratio_fusion=0.01)
    # One scale for all banks, of points' mean and colours' deviation; each bank's own otherwise.
    scales = {(bank.mean, bank.std) for bank in theirs.banks.values()}
    assert len(scales) == 1
    assert len({(bank.mean, bank.std) for bank in own.banks.values()}) == 3
    patches = sum(int(scan.xyz.valid.sum()) for scan in train)
    assert len(theirs.banks["xyz"]) == int(0.1 * patches)
    assert len(theirs.banks["fusion"]) == pytest.approx(0.01 * patches, rel=0.05)
    found = [theirs.predict_features(scan) for scan in tests]
    assert min(found[k].score for k in (2, 3)) > max(found[k].score for k in (0, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "depth"}, "mode=depth"),
        ({"fuser": "mean"}, "fuser=mean"),
        ({"folds": 1}, "folds=1"),
        ({"ratio_rgb": 2.0}, "ratio"),
        ({"stride": 0}, "stride"),
        ({"fusion": "sum"}, "fusion=sum"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DetectorOptions(**options)


def test_what_a_detector_cannot_learn_from_is_refused(train, tests, good_scans: list[Scan]) -> None:
    with pytest.raises(InputError, match="defective"):
        fitted([*train, tests[2]])
    with pytest.raises(InputError, match="no scan"):
        fitted([])
    with pytest.raises(InputError, match="folds=3 need as many scans; there are 1"):
        fitted(train[:1])
    with pytest.raises(InputError, match="needs a backbone of xyz"):
        M3DM(rgb=ColourBank())
    with pytest.raises(InputError, match="learnt nothing"):
        M3DM(FPFH(), ColourBank()).predict(good_scans[0])
    with pytest.raises(InputError, match="no features of xyz"):
        fitted([replace(train[0], xyz=None)], folds=0)


def test_one_good_scan_is_enough_without_folds(train, tests) -> None:
    detector = fitted(train[:1], folds=0, fuser="add", mode="rgb+xyz")
    scores = [detector.predict_features(scan).score for scan in tests]
    assert np.isfinite(scores).all()


def test_an_evaluation_judges_each_scan_by_itself(train, tests) -> None:
    detector = fitted(train)
    whole = evaluate_detector(detector, tests)
    some = evaluate_detector(detector, tests[1:5])
    assert [a.score for a in whole.predictions[1:5]] == [b.score for b in some.predictions]
    assert whole.report.i_auroc == 1 and whole.report.aupro[0.3] > 0.95
    assert set(whole.by_defect) == {"dent", "stain"}
    found = means({"a": whole.metrics(), "b": some.metrics()})
    assert found["aupro"] == pytest.approx((found["a/aupro"] + found["b/aupro"]) / 2)
    with pytest.raises(InputError, match="both good and defective"):
        evaluate_detector(detector, tests[:2])
    with pytest.raises(InputError, match="no mask"):
        evaluate_detector(detector, [tests[0], replace(tests[2], mask=None)])


@pytest.mark.parametrize("name", ["btf", "patchcore_rgb", "fpfh"])
def test_published_baselines_are_modes(train, tests, name: str) -> None:
    detector = M3DM(FPFH(), ColourBank(), baseline_options(name, DetectorOptions())).fit_features(train)
    assert len(detector.banks) == 1
    assert detector.predict_features(tests[2]).map.shape == (224, 224)


def test_statistics_of_depth_see_a_part_that_lies_otherwise_and_need_two(good_scans, test_scans) -> None:
    heights = [extract(scan, Height(), None) for scan in good_scans]
    detector = DepthStatistics().fit_features(heights)
    same = detector.predict_features(heights[0]).score
    raised = replace(heights[0], xyz=replace(heights[0].xyz, values=heights[0].xyz.values + np.float32(0.02)))
    assert detector.predict_features(raised).score > same
    with pytest.raises(InputError, match="needs two"):
        DepthStatistics().fit_features(heights[:1])
    with pytest.raises(InputError, match="height"):
        detector.predict_features(extract(test_scans[0], FPFH(), None))


def test_crossmodal_mapping_fails_where_colours_and_shape_do_not_go_together(train, tests) -> None:
    detector = CrossModal(MappingOptions(epochs=8, hidden=64)).fit_features(train)
    losses = [row["train/loss"] for row in detector.outcome.history]
    assert losses[-1] < 0.8 * losses[0]
    dent = detector.predict_features(tests[2])
    assert dent.map[tests[2].mask].mean() > 1.5 * np.median(dent.map[dent.map > 0])
    with pytest.raises(InputError, match="both points and colours"):
        CrossModal().fit_features([replace(train[0], rgb=None)])


@given(count=st.integers(1, 60), seed=st.integers(0, 99))
def test_p_values_of_good_parts_are_uniform_and_never_0(count: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=count)
    values = [p_value(float(score), np.delete(scores, k)) for k, score in enumerate(scores)]
    assert min(values) == pytest.approx(1 / count)
    assert sorted(values) == pytest.approx(list(np.arange(1, count + 1) / count))


def test_a_threshold_keeps_its_promise_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(400):
        chosen = choose_threshold(rng.random(80), rate=0.1, confidence=0.9)
        assert chosen.met and chosen.bound <= 0.1
        broken += 1 - chosen.value > 0.1  # of uniform scores this is the true false-alarm rate
    assert broken / 400 < 0.13
    few = choose_threshold(rng.random(10), rate=0.05)
    assert not few.met and few.bound == pytest.approx(1 - 0.05**0.1)
    for wrong in ({"rate": 0.0}, {"rate": 0.1, "confidence": 1.0}):
        with pytest.raises(InputError, match=list(wrong)[-1]):
            choose_threshold(rng.random(5), **wrong)
