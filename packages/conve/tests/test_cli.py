"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.testing import Ended, call, presets

SMALL = ["experiment=smoke", "model.dim=12", "training.epochs=1", "precision=fp32", "threads=1"]


def conve(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from conve.cli import main

    return call(main, "conve", folder, *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = conve(folder, *SMALL, "hydra.run.dir=run")
    assert done.code == 0, done.err
    return folder / "run"


def test_the_main_job_leaves_results_figures_and_a_checkpoint(trained: Path) -> None:
    results = json.loads((trained / "results.json").read_text())
    assert results["dataset"]["name"] == "cldr"
    assert 0 < results["metrics"]["test/mrr"] < 1
    assert results["metrics"]["frequency/mrr"] > results["metrics"]["inverse/mrr"]
    figures = {path.stem for path in (trained / "figures").glob("*.png")}
    assert figures == {"training", "baselines", "excess", "reliability"}
    assert (trained / "checkpoints" / "last.ckpt").exists()


def test_a_trained_model_predicts_and_leaves_known_facts_out(trained: Path) -> None:
    from conve import Predictor

    predictor = Predictor.from_run(trained)
    asked = {"head": "territory:CH", "relation": "uses_currency"}
    everything = predictor.top_k(**asked, k=predictor.graph.num_entities)
    new = predictor.top_k(**asked, k=5, filtered=True)
    assert everything["score"].is_monotonic_decreasing
    assert (everything["known"] != "").sum() >= 1
    assert set(new["known"]) == {""}
    assert everything["probability"].between(0, 1).all()


def test_the_exported_model_scores_the_same(trained: Path, tmp_path: Path) -> None:
    from conve import export_npz, export_parquet, export_program
    from conve.runs import open_run

    opened = open_run(trained)
    with np.load(export_npz(opened.model, opened.graph, tmp_path / "m.npz"), allow_pickle=False) as arrays:
        assert tuple(arrays["entities"]) == opened.graph.entities.names
        assert np.array_equal(arrays["entity"], opened.model.state_dict()["entity"].numpy())
    assert export_parquet(opened.model, opened.graph, tmp_path / "m.parquet").stat().st_size > 1000
    program = torch.export.load(str(export_program(opened.model, opened.graph, tmp_path / "m.pt2"))).module()
    head, relation = torch.tensor([5, 6, 7]), torch.tensor([1, 0, 3])
    torch.testing.assert_close(program(head, relation), opened.model.score_tails(head, relation))


def test_every_preset_is_one_that_the_command_reads() -> None:
    from conve.config import Config

    tasks = {config.task for config in presets("conve", Config).values()}
    assert tasks == {"train", "inverse", "survey"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["training.epoch=3"], "epochs"),
        (["experiment=umsl"], "umls"),
        (["training.epochs=many"], "epochs"),
        (["model.dim=7", "model.shape=[3,2]"], "valid"),
        (["dataset=folder", "dataset.folder=nowhere"], "nowhere"),
        (["task=predict", "checkpoint=nowhere"], "not the directory of a run"),
        (["evaluation.split=tests"], "evaluation.split=tests is unknown"),
        (["evaluation.ties=kind"], "evaluation.ties=kind is unknown"),
        (["task=inverse", "inverse.threshold=null"], "threshold must be"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = conve(tmp_path, *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_an_empty_split_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    (tmp_path / "facts" / "train.txt").write_text("a\tr\tb\nb\tr\tc\nc\tr\td\n")
    done = conve(tmp_path, *SMALL, "dataset=folder", "dataset.folder=facts", "hydra.run.dir=run")
    assert done.code == 2, done.err
    assert "the test split is empty" in done.err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_raw_ranks_do_not_stand_beside_filtered_baselines(trained: Path, tmp_path: Path) -> None:
    done = conve(tmp_path, *SMALL, "evaluation.filtered=false", "hydra.run.dir=run")
    assert done.code == 0, done.err
    raw, filtered = (
        json.loads((folder / "results.json").read_text())["metrics"] for folder in (tmp_path / "run", trained)
    )
    assert raw["test/mrr"] < filtered["test/mrr"]
    assert raw["valid/mrr"] == filtered["valid/mrr"]  # by which the epoch is chosen
    assert not any(name.startswith(("frequency/", "inverse/")) for name in raw)


def test_a_second_run_of_the_same_model_does_not_take_the_first_ones_place(
    trained: Path, tmp_path: Path
) -> None:
    done = conve(tmp_path, *SMALL, "seed=1", "hydra.run.dir=other")
    assert done.code == 0, done.err
    found = []
    for name, against in (("alone", []), ("beside", [f"evaluation.against={tmp_path / 'other'}"])):
        done = conve(tmp_path, "task=analyse", f"checkpoint={trained}", *against, f"hydra.run.dir={name}")
        assert done.code == 0, done.err
        metrics = json.loads((tmp_path / name / "results.json").read_text())["metrics"]
        found.append({key: value for key, value in metrics.items() if key.startswith("in_degree")})
    assert found[0] == found[1] != {}


def test_a_baseline_of_other_data_is_not_compared_with(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    for split, facts in (("train", "a\tr\tb\nb\tr\tc\nc\tr\td\n"), ("test", "a\tr\tc\n")):
        (tmp_path / "facts" / f"{split}.txt").write_text(facts)
    done = conve(tmp_path, *SMALL, "dataset=folder", "dataset.folder=facts", "hydra.run.dir=other")
    assert done.code == 0, done.err
    for task in ("analyse", "evaluate"):
        both = [f"checkpoint={trained}", f"evaluation.against={tmp_path / 'other'}"]
        done = conve(tmp_path, f"task={task}", *both, f"hydra.run.dir={task}")
        assert done.code == 2, done.err
        assert "other data" in done.err


def test_an_unknown_entity_gets_the_nearest_names(trained: Path) -> None:
    from offprints.triples import UnknownName

    from conve import Predictor

    with pytest.raises(UnknownName, match="territory:CH"):
        Predictor.from_run(trained).top_k(head="territory:ch", relation="uses_currency")
