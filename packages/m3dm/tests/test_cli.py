"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open3d
import pandas as pd
import pytest
import tifffile
from PIL import Image

from offprints.errors import InputError
from offprints.testing import Ended, call, metrics_of, presets

from m3dm import mvtec3d

SMALL = ["experiment=smoke", "threads=1"]


def m3dm(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from m3dm.cli import main

    return call(main, "m3dm", folder, *options)


def caption(run: Path, figure: str) -> str:
    """What a figure of a run says that it shows."""
    with Image.open(run / "figures" / f"{figure}.png") as drawn:
        return drawn.info["Description"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    done = m3dm(folder, *SMALL, "cache=cache", "hydra.run.dir=run")
    assert done.code == 0, done.err
    return folder


def test_the_main_job_leaves_a_table_figures_and_a_gallery(compared: Path) -> None:
    run = compared / "run"
    found = metrics_of(run)
    assert found["full/i_auroc"] == found["full/potato/i_auroc"]  # one category
    assert found["full/p_auroc"] > 0.9 and 0.75 < found["full/aupro"] <= 1  # half of it is chance
    table = pd.read_csv(run / "modes.csv")
    assert list(table["mode"]) == ["rgb", "xyz", "full"]
    assert {path.stem for path in (run / "figures").glob("*.png")} == {
        "modes",
        "examples",
        "potato_scores",
        "potato_pro",
    }
    assert caption(run, "examples").endswith("the anomaly maps by points, by colours and by both")
    assert caption(run, "potato_scores").endswith("by mode full")
    page = (run / "gallery_potato.html").read_text()
    assert page.count("<article") == 9 and page.count("<canvas") == 9
    assert "http" not in page  # nothing is loaded from elsewhere
    results = json.loads((run / "results.json").read_text())
    assert set(results["dataset"]["sha256"]) >= {"mvtec3d-potato-train/mvtec3d-potato-train"}


def test_a_run_is_repeated_to_the_same_numbers_and_resumed_with_what_is_kept(
    compared: Path, monkeypatch
) -> None:
    from m3dm.detector import M3DM

    whole = M3DM.fit_features

    def stopping(self: M3DM, features: object) -> M3DM:
        if self.options.mode == "full":
            raise KeyboardInterrupt
        return whole(self, features)

    monkeypatch.setattr(M3DM, "fit_features", stopping)
    stopped = m3dm(compared, *SMALL, "hydra.run.dir=again")
    assert stopped.code != 0
    assert not (compared / "again" / "results.json").exists()
    kept = {
        path: path.stat().st_mtime_ns for path in (compared / "again" / "cache").rglob("*") if path.is_file()
    }
    assert len(kept) > 30
    monkeypatch.setattr(M3DM, "fit_features", whole)
    resumed = m3dm(compared, "resume=again")
    assert resumed.code == 0, resumed.err
    assert metrics_of(compared / "again") == metrics_of(compared / "run")
    assert all(path.stat().st_mtime_ns == made for path, made in kept.items())


def test_one_mode_is_evaluated_as_the_comparison_does(compared: Path) -> None:
    done = m3dm(compared, *SMALL, "task=evaluate", "detector.mode=xyz", "cache=cache", "hydra.run.dir=one")
    assert done.code == 0, done.err
    assert caption(compared / "one", "examples").endswith("the anomaly maps by points")
    ours, theirs = metrics_of(compared / "one"), metrics_of(compared / "run")
    for name in ("i_auroc", "p_auroc", "aupro", "aupro_01"):
        assert ours[f"test/{name}"] == theirs[f"xyz/{name}"]
        assert ours[f"test/potato/{name}"] == theirs[f"xyz/potato/{name}"]


def test_every_preset_is_one_that_the_command_reads() -> None:
    from m3dm.config import Config
    from m3dm.runs import chosen_modes

    for name, config in presets("m3dm", Config).items():
        assert chosen_modes([config.mode or config.detector.mode])
        assert chosen_modes(config.compare.modes)
        if name.startswith("fewshot_"):
            assert config.dataset.shots == int(name.split("_")[1])


@pytest.mark.parametrize("mode", ["depth", "cfm", "btf"])
def test_baselines_are_evaluated_by_the_same_task(compared: Path, mode: str) -> None:
    done = m3dm(
        compared,
        *SMALL,
        "task=evaluate",
        f"mode={mode}",
        "cfm.epochs=2",
        "cfm.hidden=32",
        "cache=cache",
        f"hydra.run.dir={mode}",
    )
    assert done.code == 0, done.err
    assert 0 <= metrics_of(compared / mode)["test/i_auroc"] <= 1


def test_from_a_folder_of_good_parts_to_verdicts_on_new_ones(compared: Path, tmp_path: Path) -> None:
    scans = compared / "cache" / "synthetic-0"
    for split, name in (("train", "good"), ("test", "new")):
        for number, scan in enumerate(mvtec3d(scans, "potato", split)):
            for kind in ("rgb", "xyz"):
                (tmp_path / name / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(scan.rgb).save(tmp_path / name / "rgb" / f"{number}.png")
            tifffile.imwrite(tmp_path / name / "xyz" / f"{number}.tiff", scan.xyz, photometric="minisblack")
    done = m3dm(
        tmp_path, "task=fit", "dataset.layout=folder", "dataset.root=good", "threads=1", "hydra.run.dir=fit"
    )
    assert done.code == 0, done.err
    fit = metrics_of(tmp_path / "fit")
    assert fit["fit/scans"] == 6 and fit["fit/megabytes"] < 50
    assert 0 < fit["threshold/expected"] < fit["threshold/bound"] < 1
    done = m3dm(
        tmp_path, "task=predict", "checkpoint=fit", "predict.input=new", "threads=1", "hydra.run.dir=judged"
    )
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "judged" / "predictions.csv").set_index("scan")
    assert len(table) == 9 and table["p"].between(0, 1).all()
    # Dents come first, in three grades, then good ones, then stains.
    assert table["score"][[1, 2, 8]].min() > table["score"][[3, 4, 5]].max()
    least = pytest.approx(1 / 7)  # no good part of six scores as high
    assert table["p_xyz"][2] == least and table["p_rgb"][8] == least
    assert {"p_xyz", "p_rgb", "fired", "verdict"} <= set(table.columns)
    cloud = open3d.io.read_point_cloud(str(tmp_path / "judged" / "ply" / "0.ply"))
    assert len(cloud.points) > 1000
    assert np.asarray(Image.open(tmp_path / "judged" / "maps" / "0.png")).shape == (224, 224, 3)
    assert "canvas" in (tmp_path / "judged" / "gallery.html").read_text()
    single = ["predict.rgb=new/rgb/0.png", "predict.xyz=new/xyz/0.tiff"]
    done = m3dm(
        tmp_path,
        "task=predict",
        "checkpoint=fit/model.safetensors",
        *single,
        "threads=1",
        "hydra.run.dir=one",
    )
    assert done.code == 0, done.err
    one = pd.read_csv(tmp_path / "one" / "predictions.csv")
    assert one["score"][0] == pytest.approx(table.loc[0, "score"])


def test_weights_that_lie_elsewhere_by_now_are_looked_for_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def looked(*what: object) -> None:
        asked.append(what)
        raise InputError("looked")

    monkeypatch.setattr("m3dm.cli.load_model", looked)
    moved = ["backbone.rgb_weights=moved.pth", "device=cpu"]
    assert m3dm(tmp_path, "task=predict", "checkpoint=fit.safetensors", *moved).code == 2
    assert asked == [(Path("fit.safetensors"), {"rgb": "moved.pth"}, "cpu")]


def test_made_up_scans_are_written_in_both_layouts(tmp_path: Path) -> None:
    for layout in ("mvtec3d", "eyecandies"):
        done = m3dm(
            tmp_path,
            *SMALL,
            "task=synth",
            f"dataset.layout={layout}",
            f"out={layout}",
            "synthetic.side=100",
            f"hydra.run.dir=run-{layout}",
        )
        assert done.code == 0, done.err
    assert len(list((tmp_path / "mvtec3d").rglob("*.tiff"))) == 15
    assert len(list((tmp_path / "eyecandies").rglob("*_depth.png"))) == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["detector.mod=full"], "mod"),
        (["detector.mode=depth"], "rgb+xyz"),
        (["compare.modes=[depht]"], "depth"),
        (["backbone.rgb=vit"], "random weights are no backbone"),
        (["backbone.xyz=point_transformer"], "backbone.xyz_weights"),
        (["backbone.rgb=resnet"], "smallnet"),
        (["dataset.layout=mvtec"], "mvtec3d"),
        (["dataset.layout=mvtec3d"], "dataset.root"),
        (["dataset.layout=mvtec3d", "dataset.root=nowhere"], "no folder nowhere"),
        (["synthetic.categories=[apple]"], "apple"),
        (["dataset.shots=99"], "6 good scans"),
        (["prepare.clean=all"], "components"),
        (["task=fit"], "dataset.root"),
        (
            [
                "task=fit",
                "dataset.layout=mvtec3d",
                "dataset.root='{cache}/synthetic-0'",
                "dataset.categories=[potato]",
                "dataset.shots=99",
            ],
            "6 good scans",
        ),
        (["task=predict"], "checkpoint="),
        (["task=predict", "checkpoint=nowhere"], "no model"),
        (["detector.folds=50"], "folds=50"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    compared: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    cache = compared / "cache"
    done = m3dm(tmp_path, *SMALL, f"cache='{cache}'", *(option.format(cache=cache) for option in options))
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err
