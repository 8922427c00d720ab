"""The tasks of the `m3dm` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from offprints.app import Results, Run, command
from offprints.atomic import atomic_write
from offprints.errors import InputError
from offprints.tables import show, write_table

from m3dm import figures
from m3dm.arrays import Mask
from m3dm.calibration import Threshold
from m3dm.config import Config
from m3dm.datasets import ScanFiles, Scans, folder_scans
from m3dm.detector import Prediction
from m3dm.evaluation import Evaluation, evaluate_detector, means
from m3dm.features import ScanFeatures
from m3dm.gallery import export_ply, write_gallery
from m3dm.metrics import OverlapCurve
from m3dm.model_file import load_model, save_model
from m3dm.prepared import prepared
from m3dm.runs import (
    CategoryScans,
    build_detector,
    category_scans,
    chosen_modes,
    describe,
    detector_of,
    good_parts,
    modalities,
    rgb_backbone,
    xyz_backbone,
)
from m3dm.scan import GOOD, Scan
from m3dm.synthetic import count, make_synthetic

_SHOWN = ("i_auroc", "p_auroc", "aupro", "aupro_01")
_MODEL = "model.safetensors"


def compare(config: Config, run: Run) -> Results:
    """Learn from good scans of each category, judge its test scans in every mode; a table, figures and a gallery."""
    modes = chosen_modes(config.compare.modes)
    found: dict[str, dict[str, dict[str, float]]] = {mode: {} for mode in modes}
    scans = category_scans(config, run)
    for number, category in enumerate(scans):
        judged = _judged(config, run, category, modes)
        for mode in modes:
            found[mode][category.name] = judged.evaluations[mode].metrics()
        _draw(config, run, category, judged, modes, first=number == 0)
    table = pd.DataFrame([{"mode": mode, **means(found[mode])} for mode in modes])
    run.figure(
        "modes",
        figures.mode_bars(table),
        "How well each mode finds defective parts and their defects, over all categories",
    )
    write_table(run.directory / "modes.csv", table)
    show(table[["mode", *_SHOWN]], f"means over {', '.join(category.name for category in scans)}")
    metrics = {f"{mode}/{name}": value for mode in modes for name, value in means(found[mode]).items()}
    return Results(metrics, {"modes": table.to_dict("records")})


def evaluate(config: Config, run: Run) -> Results:
    """Learn from good scans and judge test scans in one mode, all categories: a row of the paper's tables."""
    mode = chosen_modes([config.mode or config.detector.mode])[0]
    found = {}
    for number, category in enumerate(category_scans(config, run)):
        judged = _judged(config, run, category, [mode])
        found[category.name] = judged.evaluations[mode].metrics()
        _draw(config, run, category, judged, [mode], first=number == 0)
    rows = [{"category": name, **{key: values[key] for key in _SHOWN}} for name, values in found.items()]
    total = means(found)
    rows.append({"category": "mean", **{key: total[key] for key in _SHOWN}})
    show(pd.DataFrame(rows), f"mode {mode}")
    return Results({f"test/{name}": value for name, value in total.items()})


def synth(config: Config, run: Run) -> Results:
    """Write made-up scans with graded defects in the layout of MVTec 3D-AD or Eyecandies (dataset.layout)."""
    options = replace(config.synthetic, seed=config.seed)
    layout = "mvtec3d" if config.dataset.layout == "synthetic" else config.dataset.layout
    root = Path(config.out) if config.out else run.directory / "scans"
    with run.progress(count(options), "making scans") as bar:
        make_synthetic(root, options, layout, lambda: bar.advance(1))
    run.log.info("wrote %s", root)
    return Results({"synth/scans": float(count(options)), "synth/categories": float(len(options.categories))})


def fit(config: Config, run: Run) -> Results:
    """Learn from a folder of good parts (dataset.layout=folder dataset.root=PATH) and save the detector."""
    mode = config.detector.mode
    scans = good_parts(config, run)
    wanted = modalities(mode)
    xyz = xyz_backbone(config, run) if "xyz" in wanted else None
    rgb = rgb_backbone(config, run, scans, "good") if "rgb" in wanted else None
    detector = detector_of(config, replace(config.detector, seed=config.seed), xyz, rgb)
    with run.progress(len(scans), "good parts") as bar:
        detector.fit(scans, lambda: bar.advance(1))
    path = run.directory / _MODEL
    save_model(detector, path)
    metrics = {"fit/scans": float(len(scans)), "fit/megabytes": path.stat().st_size / 1e6}
    if len(detector.good_scores):
        chosen = detector.threshold(config.predict.rate, config.predict.confidence)
        metrics |= _told(chosen, run)
    run.log.info("judge parts with: m3dm task=predict checkpoint=%s predict.input=FOLDER", run.directory)
    return Results(metrics)


def predict(config: Config, run: Run) -> Results:
    """Judge scans (predict.input=FOLDER, or predict.rgb and predict.xyz) with a saved detector: checkpoint=RUN or FILE."""
    elsewhere = {"xyz": config.backbone.xyz_weights, "rgb": config.backbone.rgb_weights}
    weights = {modality: path for modality, path in elsewhere.items() if path is not None}
    detector = load_model(_model_path(config.checkpoint), weights, str(run.fabric.device))
    scans = prepared(_asked(config), detector.preparation)
    rows: list[tuple[Scan, Prediction]] = []
    with run.progress(len(scans), "scans") as bar:
        for scan in scans:
            rows.append((scan, detector.predict(scan)))
            bar.advance(1)
    chosen = (
        detector.threshold(config.predict.rate, config.predict.confidence)
        if len(detector.good_scores)
        else None
    )
    highest = figures.brightest([said.score for _, said in rows] + ([chosen.value] if chosen else []))
    table = pd.DataFrame([_row(said, chosen) for _, said in rows]).sort_values("score", ascending=False)
    write_table(run.directory / "predictions.csv", table)
    for scan, said in rows:
        name = said.name.replace("/", "_")
        with atomic_write(run.directory / "maps" / f"{name}.png") as file:
            Image.fromarray(figures.heat_colours(said.map, 0, highest)).save(file, format="PNG")
        if config.predict.ply and scan.xyz is not None:
            export_ply(run.directory / "ply" / f"{name}.ply", scan, said, highest)
    ranked = sorted(rows, key=lambda row: -row[1].score)
    write_gallery(
        run.directory / "gallery.html", ranked, "Predictions", highest, chosen.value if chosen else None
    )
    show(table.head(12), "scans, the most anomalous first")
    metrics = {"predict/scans": float(len(rows))}
    if chosen is not None:
        metrics |= {
            **_told(chosen, run),
            "predict/rejected": float(sum(said.score > chosen.value for _, said in rows)),
        }
    return Results(metrics)


def _groups(modes: Sequence[str]) -> list[list[str]]:
    """Modes that look at the same features together: some baselines describe points in a way of their own."""
    found: dict[frozenset[str], list[str]] = {}
    for mode in modes:
        points = frozenset(modalities(mode) & {"fpfh", "height"})
        found.setdefault(points, []).append(mode)
    return list(found.values())


@dataclass(frozen=True)
class _Judged:
    """What came out of one category: mode -> evaluation, and the kinds and masks of its test scans, in order."""

    evaluations: dict[str, Evaluation]
    kinds: list[str]
    masks: Mask


def _judged(config: Config, run: Run, category: CategoryScans, modes: Sequence[str]) -> _Judged:
    """Learn and judge in every mode."""
    found: dict[str, Evaluation] = {}
    tests: list[ScanFeatures] = []
    for group in _groups(modes):
        features = describe(config, run, category, set().union(*map(modalities, group)))
        tests = features.test
        for mode in group:
            detector = build_detector(config, mode, features.xyz, features.rgb)
            detector.fit_features(features.train)
            with run.progress(len(tests), f"{category.name}, {mode}") as bar:
                found[mode] = evaluate_detector(detector, tests, on_scan=partial(bar.advance, 1))
            run.log.info("%s, %s: %s", category.name, mode, _line(found[mode].metrics()))
    masks = np.stack([scan.mask for scan in tests if scan.mask is not None])
    return _Judged(found, [scan.defect or "defect" for scan in tests], masks)


def _draw(
    config: Config, run: Run, category: CategoryScans, judged: _Judged, modes: Sequence[str], first: bool
) -> None:
    """Figures of one category: of the last mode, which by default has the most banks, and of all modes together."""
    said = judged.evaluations[modes[-1]].predictions
    highest = figures.brightest([float(np.quantile([prediction.score for prediction in said], 0.9))])
    run.figure(
        f"{category.name}_scores",
        figures.score_histograms(said, judged.kinds),
        f"{category.name}: scores of good parts, and of each kind of defect, by mode {modes[-1]}",
    )
    curves = {
        mode: OverlapCurve(np.stack([its.map for its in judged.evaluations[mode].predictions]), judged.masks)
        for mode in modes
    }
    run.figure(
        f"{category.name}_pro",
        figures.overlap_curves(curves),
        f"{category.name}: overlap with the defects, by the share of good pixels that are marked",
    )
    some = _of_each_kind(judged.kinds, config.compare.examples)
    run.figure(
        "examples" if first else f"{category.name}_examples",
        figures.examples([(category.test[i], said[i]) for i in some], highest),
        f"Defects of {category.name}, depths, and the anomaly maps {_banks(said[0])}",
    )
    if config.compare.gallery:
        order = sorted(range(len(said)), key=lambda i: -said[i].score)
        write_gallery(
            run.directory / f"gallery_{category.name}.html",
            [(category.test[i], said[i]) for i in order],
            f"{category.name}: test scans, the most anomalous first ({modes[-1]})",
            highest,
        )


def _banks(said: Prediction) -> str:
    """What the maps of a figure of examples are by, in words."""
    words = {"xyz": "by points", "rgb": "by colours", "fusion": "by both", "both": "by both"}
    *others, last = (words[bank] for bank in said.maps)
    return f"{', '.join(others)} and {last}" if others else last


def _of_each_kind(kinds: Sequence[str], most: int) -> list[int]:
    """The last scan of each kind, which has the highest grade; good ones come last."""
    last = {kind: i for i, kind in enumerate(kinds)}
    defective = [last[kind] for kind in sorted(last) if kind != GOOD][: most - 1]
    return [*defective, last[GOOD]]


def _asked(config: Config) -> Scans:
    asked = config.predict
    if asked.input is not None:
        return folder_scans(asked.input)
    if asked.rgb is None and asked.xyz is None:
        raise InputError("task=predict needs predict.input=FOLDER, or predict.rgb=FILE and predict.xyz=FILE")
    name = Path(asked.rgb or asked.xyz or "").stem
    return Scans(
        name,
        [ScanFiles(name, Path(asked.rgb) if asked.rgb else None, Path(asked.xyz) if asked.xyz else None)],
    )


def _model_path(checkpoint: str | None) -> Path:
    if checkpoint is None:
        raise InputError(
            "this task needs checkpoint=RUN, the directory of a task=fit, or checkpoint=FILE.safetensors"
        )
    path = Path(checkpoint)
    return path / _MODEL if path.is_dir() else path


def _row(said: Prediction, chosen: Threshold | None) -> dict[str, object]:
    row: dict[str, object] = {"scan": said.name, "score": said.score}
    if said.p_value is not None:
        row |= {"p": said.p_value, **{f"p_{name}": value for name, value in said.p_values.items()}}
        row["fired"] = " ".join(said.fired()) or "-"
    if chosen is not None:
        row["verdict"] = "reject" if said.score > chosen.value else "pass"
    return row


def _told(chosen: Threshold, run: Run) -> dict[str, float]:
    """A threshold as metrics; what it can promise is also said in words."""
    promise = (
        f"at most {chosen.bound:.1%} of good parts are rejected, with {chosen.confidence:.0%} confidence"
    )
    short = (
        "" if chosen.met else f"; {chosen.good} good parts are too few to promise the rate that was asked for"
    )
    run.log.info("reject above %.4g: %s%s", chosen.value, promise, short)
    return {
        "threshold/value": chosen.value,
        "threshold/expected": chosen.expected,
        "threshold/bound": chosen.bound,
    }


def _line(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {metrics[name]:.3f}" for name in _SHOWN)


TASKS = {"compare": compare, "evaluate": evaluate, "synth": synth, "fit": fit, "predict": predict}
main = command(
    "m3dm",
    Config,
    TASKS,
    "Multimodal Industrial Anomaly Detection via Hybrid Fusion",
    on_device=("compare", "evaluate", "fit", "predict"),
    with_checkpoint=("predict",),
)
