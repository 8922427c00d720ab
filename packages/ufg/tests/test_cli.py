"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from offprints.testing import Ended, call, metrics_of, presets

import ufg as package
from ufg.config import Config
from ufg.graph_data import TU
from ufg.runs import GRAPH_SETS, build_transform

CONF = Path(package.__file__).parent / "conf"

SMALL = ["training.epochs=4", "model.hidden=4", "threads=1", "precision=fp32"]


def ufg(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from ufg.cli import main

    return call(main, "ufg", folder, *options)


def figures_of(run: Path) -> set[str]:
    return {path.stem for path in (run / "figures").glob("*.png")}


def test_the_frame_of_the_published_setting_is_drawn_and_measured(tmp_path: Path) -> None:
    done = ufg(tmp_path, "task=frame", "preset=paper", "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["frame/upper"] == pytest.approx(1.568, abs=1e-3)
    assert metrics["frame/defect_n8"] < 1e-7
    assert figures_of(tmp_path / "run") == {"frame_defect", "responses"}


def test_the_main_job_sets_framelets_beside_others(tmp_path: Path) -> None:
    done = ufg(tmp_path, "experiment=smoke", *SMALL, "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    for name in ("UFGConv-R", "UFGConv-S", "GCN", "Chebyshev", "SGC", "MLP"):
        assert 0 < metrics[f"{name}/accuracy"] < 1
    assert metrics["denoise/snr_gain_0.2"] > 3
    drawn = {"training", "accuracy", "denoising", "denoising_gain", "frame_defect", "responses"}
    assert figures_of(tmp_path / "run") == drawn


def test_a_trained_network_is_evaluated_to_its_own_figure(tmp_path: Path) -> None:
    done = ufg(tmp_path, "task=node", *SMALL, "hydra.run.dir=run")
    assert done.code == 0, done.err
    again = ufg(tmp_path, "task=evaluate", "checkpoint=run", "hydra.run.dir=again")
    assert again.code == 0, again.err
    first = metrics_of(tmp_path / "run")
    assert metrics_of(tmp_path / "again")["test/accuracy"] == first["test/accuracy"] > 0.1


def test_signals_are_denoised_and_compressed(tmp_path: Path) -> None:
    done = ufg(tmp_path, "task=signal", "signal.noise=[0.2]", "signal.keep=[0.05,0.5]", "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert 0 < metrics["compress/error_0.5"] < metrics["compress/error_0.05"] < 0.5
    assert metrics["denoise/snr_gain_0.2"] > 3


def test_labels_are_smooth_on_the_graph_and_white_noise_is_not(tmp_path: Path) -> None:
    done = ufg(tmp_path, "task=spectrum", "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    of_labels = [value for name, value in metrics.items() if name.startswith("energy/labels")]
    assert sum(of_labels) == pytest.approx(1, abs=1e-5)
    assert max(of_labels) == metrics["energy/labels: low"]  # neighbours are of one class
    assert metrics["energy/white noise: low"] < 0.5 * metrics["energy/labels: low"]
    assert figures_of(tmp_path / "run") == {"energies"}


def test_what_a_trained_network_passes_through_is_drawn(tmp_path: Path) -> None:
    assert ufg(tmp_path, "task=node", "model.learned=2", *SMALL, "hydra.run.dir=run").code == 0
    done = ufg(tmp_path, "task=spectrum", "checkpoint=run", "hydra.run.dir=look")
    assert done.code == 0, done.err
    assert figures_of(tmp_path / "look") == {"energies", "passed"}
    assert ufg(tmp_path, "task=node", "model.kind=mlp", *SMALL, "hydra.run.dir=mlp").code == 0
    refused = ufg(tmp_path, "task=spectrum", "checkpoint=mlp", "hydra.run.dir=none")
    assert refused.code == 2
    assert "no framelet convolutions" in refused.err


STUDY = ["study.repeats=1", "training.epochs=15", "model.hidden=8", "threads=1", "precision=fp32"]


def test_noise_on_the_features_costs_accuracy(tmp_path: Path) -> None:
    done = ufg(tmp_path, "task=noise", "study.rates=[0,1.5]", *STUDY, "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["noise/MLP_0"] > metrics["noise/MLP_1.5"] + 0.2
    assert metrics["noise/GCN_1.5"] > metrics["noise/MLP_1.5"]  # neighbours average the noise out
    assert 0 < metrics["kept/UFGConv-S_0"] < 1
    assert figures_of(tmp_path / "run") == {"noise"}


def test_a_rate_of_noise_that_does_not_fit_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    done = ufg(tmp_path, "task=noise", "study.noise=edges", "study.rates=[0,2]", *STUDY, "hydra.run.dir=run")
    assert done.code == 2
    assert "noise rate 2" in done.err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_sensitivity_changes_one_option_after_the_other(tmp_path: Path) -> None:
    tried = ["study.levels=[1,2]", "study.scale=[]", "study.terms=[2,4]", "study.sigma=[0,1,50]"]
    done = ufg(tmp_path, "task=sensitivity", *tried, *STUDY, "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert {name for name in metrics if name.startswith("levels")} == {
        "levels/accuracy_1",
        "levels/accuracy_2",
    }
    assert not any(name.startswith("scale") for name in metrics)
    # Without a threshold all is kept; behind an enormous one nothing is.
    assert metrics["sigma/kept_0"] > 0.9 > metrics["sigma/kept_1"] > metrics["sigma/kept_50"] == 0
    assert figures_of(tmp_path / "run") == {"sensitivity", "compression"}


@pytest.mark.real_data
def test_a_set_of_graphs_is_trained_on_and_evaluated(tmp_path: Path) -> None:
    if not TU["mutag"].directory().is_dir():
        pytest.skip(f"no MUTAG at {TU['mutag'].directory()}")
    done = ufg(tmp_path, "experiment=mutag_sum", *SMALL, "hydra.run.dir=run")
    assert done.code == 0, done.err
    again = ufg(tmp_path, "task=evaluate", "checkpoint=run", "hydra.run.dir=again")
    assert again.code == 0, again.err
    assert metrics_of(tmp_path / "again")["test/accuracy"] == metrics_of(tmp_path / "run")["test/accuracy"]
    said = ufg(tmp_path, "task=predict", "checkpoint=run", "hydra.run.dir=said")
    assert said.code == 0, said.err
    table = pd.read_csv(tmp_path / "said" / "predictions.tsv", sep="\t")
    assert table["graph"].tolist() == list(range(188))
    right = (table["predicted"] == table["known"])[table["split"] == "test"]
    assert right.mean() == pytest.approx(metrics_of(tmp_path / "run")["test/accuracy"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["transform.term=2"], "terms"),
        (["transform.terms=1"], "2 or more"),
        (["transform.filters=har"], "haar"),
        (["transform.scale=1"], "more than 1"),
        (["dataset.name=core"], "cora"),
        (["dataset.name=mutag"], "task=graph"),
        (["task=graph"], "set of graphs"),
        (["dataset.lambda_max=most"], "lanczos"),
        (["dataset.lambda_max=0"], "positive"),
        (["dataset.edge_noise=2"], "noise rate"),
        (["dataset.labelled=0"], "labelled"),
        (["task=node", "model.kind=gcm"], "gcn"),
        (["task=node", "model.gain=nodes"], "band-channel"),
        (["task=node", "model.shrinkage=sofd"], "garrote"),
        (["task=node", "model.sigma=-1", "model.shrinkage=soft"], "sigma"),
        (["task=node", "training.epochs=0"], "epochs"),
        (["task=signal", "signal.method=bayes"], "universal"),
        (["task=signal", "signal.keep=[2]"], "keep"),
        (["task=noise", "study.noise=words"], "features, edges"),
        (["task=noise", "study.repeats=0"], "repeats"),
        (["task=noise", "study.rates=[]"], "nothing to try"),
        (["task=signal", "signal.noise=[]"], "nothing to denoise"),
        (["task=graph", "dataset.name=mutag", "dataset.edge_noise=0.2"], "one graph"),
        (["task=noise", "dataset.name=mutag"], "task=graph"),
        (
            ["task=sensitivity", "study.levels=[]", "study.scale=[]", "study.terms=[]", "study.sigma=[]"],
            "nothing to try",
        ),
        (["task=node", "model.learned=-1"], "learned"),
        (["transform.filters=cos0"], "1 to 99"),
        (["task=evaluate"], "checkpoint"),
        (["task=evaluate", "checkpoint=nowhere"], "not the directory of a run"),
        (["experiment=cora_x"], "cora_"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = ufg(tmp_path, "signal.noise=[0.2]", *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_missing_data_names_its_folder_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFPRINTS_DATA", str(tmp_path / "empty"))
    done = ufg(tmp_path, "task=node", "dataset.name=cora")
    assert done.code == 2
    assert "offprints-data fetch cora" in done.err


@pytest.fixture(scope="module")
def experiments() -> dict[str, Config]:
    return presets("ufg", Config)


def test_every_preset_is_one_that_the_command_reads(experiments: dict[str, Config]) -> None:
    assert len(experiments) > 60
    for path in CONF.glob("*/*.yaml"):
        assert path.read_text().startswith("# @package _global_\n# "), path.name
    for name, config in experiments.items():
        build_transform(config.transform)
        assert (config.task == "graph") == (config.dataset.name in GRAPH_SETS), name


def test_presets_with_a_tight_frame_have_one(experiments: dict[str, Config]) -> None:
    exact = {name: config.transform for name, config in experiments.items() if "exact_frame" in name}
    assert len(exact) >= 8
    for name, options in exact.items():
        lower, upper = build_transform(options).frame_bounds()
        assert max(upper - 1, 1 - lower) < 2e-6, name
