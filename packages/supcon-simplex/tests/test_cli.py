"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offprints.testing import Ended, call, metrics_of, presets

TINY = [
    "heads=[ce,sc]",
    "dataset.per_class=20",
    "model.widths=[64,64]",
    "model.features=16",
    "training.epochs=2",
    "training.batches=20",
    "training.batch_size=64",
    "training.learning_rate=0.05",
    "training.power=1",
    "probe.steps=1000",
    "grid.shares=[0.4,0.9]",
    "grid.seeds=2",
    "grid.draws=20",
    "ensemble.widths=[16,16]",
    "ensemble.batch_size=16",
    "ensemble.most_steps=100",
    "threads=1",
]


def supcon(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from supcon_simplex.cli import main

    return call(main, "supcon-simplex", folder, *options)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    done = supcon(folder, *TINY, "hydra.run.dir=run")
    assert done.code == 0, done.err
    return folder / "run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = supcon(folder, "task=train", *TINY, "hydra.run.dir=run")
    assert done.code == 0, done.err
    return folder / "run"


def test_the_main_job_sets_losses_side_by_side_and_fits_noise(compared: Path) -> None:
    found = metrics_of(compared)
    for head in ("ce", "sc"):
        assert found[f"{head}/test/accuracy"] > 0.3
        assert found[f"{head}/train/gap"] > 0
        assert found[f"{head}/train/gap"] == pytest.approx(
            found[f"{head}/train/full_loss"] - found[f"{head}/train/bound"]
        )
    assert {
        "slope/sc",
        "slope/sc_low",
        "slope/ce_high",
        "slope/sc_minus_ce",
        "steps/ce_0.9",
        "censored/sc",
    } <= set(found)
    drawn = {path.stem for path in (compared / "figures").glob("*.png")}
    assert drawn == {"cosines", "class_cosines", "gap", "nc1_quotient", "timetofit_flip"}
    runs = pd.read_csv(compared / "fit_times.csv")
    assert len(runs) == 2 * 2 * 2
    assert (runs[runs["censored"]]["steps"] == 100).all()


def test_the_same_seed_gives_the_same_numbers(compared: Path, tmp_path: Path) -> None:
    done = supcon(tmp_path, *TINY, "hydra.run.dir=run")
    assert done.code == 0, done.err
    np.testing.assert_equal(metrics_of(tmp_path / "run"), metrics_of(compared))


def test_a_trained_run_is_evaluated_to_the_same_numbers(trained: Path, tmp_path: Path) -> None:
    done = supcon(tmp_path, "task=evaluate", f"checkpoint='{trained}'", "threads=1", "hydra.run.dir=run")
    assert done.code == 0, done.err
    again, first = metrics_of(tmp_path / "run"), metrics_of(trained)
    for name in ("test/accuracy", "test/nearest_mean", "train/accuracy", "train/simplex_distance"):
        assert again[name] == first[name]
    assert min(first["test/accuracy"], first["test/nearest_mean"]) > 0.5


def test_a_trained_run_predicts_rows_of_a_file(trained: Path, tmp_path: Path) -> None:
    from supcon_simplex.datasets import load

    test = load("digits").test
    np.savez(tmp_path / "rows.npz", x=test.inputs)
    ask = ["task=predict", f"checkpoint='{trained}'", "threads=1"]
    done = supcon(tmp_path, *ask, f"predict.rows='{tmp_path / 'rows.npz'}'", "hydra.run.dir=run")
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "run" / "predictions.csv")
    right = (table["class"].to_numpy() == test.labels).mean()
    assert right == pytest.approx(metrics_of(trained)["test/accuracy"])
    assert list(table.columns[:2]) == ["class", "probability"]
    np.savez(tmp_path / "rows.npz", x=test.inputs[:, :5])
    done = supcon(tmp_path, *ask, f"predict.rows='{tmp_path / 'rows.npz'}'", "hydra.run.dir=other")
    assert done.code == 2
    assert "trained on rows of shape (64,)" in done.err
    np.savez(tmp_path / "rows.npz", x=np.full((2, 64), np.nan))
    done = supcon(tmp_path, *ask, f"predict.rows='{tmp_path / 'rows.npz'}'", "hydra.run.dir=none")
    assert done.code == 2
    assert "row 0 holds a number that is not finite" in done.err


def test_a_run_that_is_stopped_and_resumed_has_the_numbers_of_an_unbroken_one(
    compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from supcon_simplex.batched_mlp import Ensemble
    from supcon_simplex.training import Trainer

    step, advance, steps, looks = Trainer.step, Ensemble.advance, 0, 0

    def stopping(self: Trainer, batch: object) -> object:
        nonlocal steps
        steps += 1
        if steps == 47:
            raise KeyboardInterrupt
        return step(self, batch)  # type: ignore[arg-type]

    def giving_up(self: Ensemble) -> None:
        nonlocal looks
        looks += 1
        if looks == 6:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Trainer, "step", stopping)
    assert supcon(tmp_path, *TINY, "hydra.run.dir=run").code == 130
    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(Ensemble, "advance", giving_up)
    assert supcon(tmp_path, "resume=run").code == 130
    monkeypatch.setattr(Ensemble, "advance", advance)
    resumed = supcon(tmp_path, "resume=run")
    assert resumed.code == 0, resumed.err
    np.testing.assert_equal(metrics_of(tmp_path / "run"), metrics_of(compared))


def test_the_caption_of_time_to_fit_says_which_labels_are_noisy(tmp_path: Path) -> None:
    done = supcon(tmp_path, "task=timetofit", *TINY, "grid.noise=uniform", "hydra.run.dir=run")
    assert done.code == 0, done.err
    drawn = (tmp_path / "run" / "figures" / "timetofit_uniform.png").read_bytes()
    assert b"by the share of labels that were drawn afresh" in drawn


def test_rows_of_your_own_are_trained_on(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    label = np.repeat(["left", "right"], 40)
    x = draw.standard_normal((80, 3)) + np.where(label == "left", -3, 3)[:, None]
    pd.DataFrame(x, columns=["a", "b", "c"]).assign(label=label).to_csv(tmp_path / "rows.csv", index=False)
    options = ["task=train", "dataset=file", "dataset.name=rows.csv", "model.head=ce", "model.features=8"]
    short = [
        "training.epochs=2",
        "training.batches=30",
        "training.batch_size=16",
        "training.learning_rate=0.05",
    ]
    done = supcon(tmp_path, *options, *short, "threads=1", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert metrics_of(tmp_path / "run")["test/accuracy"] == 1
    assert json.loads((tmp_path / "run" / "results.json").read_text())["dataset"]["sha256"].keys() == {
        "rows.csv"
    }


def test_every_preset_is_one_that_the_command_reads() -> None:
    from supcon_simplex.cli import TASKS
    from supcon_simplex.config import Config
    from supcon_simplex.datasets import NAMES
    from supcon_simplex.heads import HEADS
    from supcon_simplex.networks import NETWORKS

    found = presets("supcon_simplex", Config)
    for name, config in found.items():
        assert config.task in TASKS
        assert config.dataset.name in NAMES
        assert config.model.network in NETWORKS
        assert config.model.head in HEADS
        if name.startswith(("fashion", "mnist", "cifar10_", "cifar100_")):
            assert config.model.head in name.split("_", 1)[1]
        if "timetofit" in name:
            assert config.grid.seeds >= 5
            assert len(config.grid.shares) == 9
    assert len(found) > 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["training.epoch=3"], "epochs"),
        (["model.head=triplet", "task=train"], "ce_sphere"),
        (["heads=[ce,ce]"], "each once"),
        (["heads=[sc,scc]"], "scc"),
        (["dataset.name=fashion"], "fashion-mnist"),
        (["dataset.per_class=101"], "smallest class has 100"),
        (["dataset.noise_share=2"], "share of noisy labels"),
        (["dataset.subset_seed=1", "dataset.per_class=null"], "per_class"),
        (["model.network=resnet18"], "use mlp"),
        (["model.features=4", "heads=[ce_fixed]"], "features"),
        (["training.augment=standard"], "vectors"),
        (["model.projection=8", "task=train", "model.head=ce"], "model.head=sc"),
        (["grid.noise=none"], "noise"),
        (["precision=fp16"], "fp16"),
        (["task=evaluate"], "checkpoint="),
        (["task=predict", "checkpoint=nowhere"], "not the directory of a run"),
        (["task=fit"], "timetofit"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = supcon(tmp_path, *TINY, *options, "hydra.run.dir=run")
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_file_that_does_not_fit_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,label\n1,x\n2,x\n")
    done = supcon(tmp_path, "task=train", "dataset=file", "dataset.name=rows.csv", "hydra.run.dir=run")
    assert done.code == 2
    assert "two classes" in done.err


def test_help_names_tasks_experiments_and_options(tmp_path: Path) -> None:
    done = supcon(tmp_path, "--help")
    assert done.code == 0
    for name in ("timetofit", "fashion_sc", "model.final_relu", "training.power", "grid.slope_from"):
        assert name in done.out
