"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from offprints.testing import Ended, call, presets

from ke_gcn.cli import curve

SMALL = ["experiment=smoke", "threads=1"]


def ke_gcn(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from ke_gcn.cli import main

    return call(main, "ke-gcn", folder, *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = ke_gcn(folder, *SMALL, "hydra.run.dir=run")
    assert done.code == 0, done.err
    return folder / "run"


def test_the_main_job_leaves_results_figures_and_correspondences(trained: Path) -> None:
    results = json.loads((trained / "results.json").read_text())
    assert results["dataset"]["name"] == "cldr-twins"
    metrics = results["metrics"]
    assert metrics["test/hits@1"] > 0.1  # of 1,262 candidates chance hits one in a thousand
    assert metrics["test/hits@1"] == pytest.approx(
        (metrics["test/left_hits@1"] + metrics["test/right_hits@1"]) / 2
    )
    assert {path.stem for path in (trained / "figures").glob("*.png")} == {"training", "degree", "relations"}
    entities = pd.read_csv(trained / "entities.tsv", sep="\t")
    assert list(entities.columns) == ["left", "right", "score", "rank", "mutual"]
    assert (entities["rank"] <= 10).all()
    best = entities[entities["rank"] == 1]
    assert entities["mutual"].sum() == metrics["correspondences/mutual"]
    assert (
        best["score"].ge(entities.groupby(entities.index // 10)["score"].transform("max")[best.index]).all()
    )
    assert pd.read_csv(trained / "relations.tsv", sep="\t")["left"].nunique() == 10


def test_results_tell_a_long_training_in_few_rows_and_begin_and_end_where_it_does() -> None:
    history = [{"epoch": i + 1.0, "train/loss": 1 / (i + 3)} for i in range(2_000)]
    for row in history[9::10]:
        row["valid/mrr"] = 2 / 3
    told = curve(history)
    assert len(told) == 60
    assert (told[0]["epoch"], told[-1]["epoch"]) == (10, 2_000)
    assert {row["valid/mrr"] for row in told} == {0.666667}
    assert len(curve(history[:9])) == 9  # without a validation, all that there is


def test_a_trained_alignment_is_evaluated_to_the_same_numbers(trained: Path, tmp_path: Path) -> None:
    done = ke_gcn(
        tmp_path,
        "task=evaluate",
        f"checkpoint='{trained}'",
        "evaluation.csls=5",
        "threads=1",
        "hydra.run.dir=run",
    )
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    trained_metrics = json.loads((trained / "results.json").read_text())["metrics"]
    for name in ("hits@1", "left_mrr", "right_hits@10"):
        assert found[f"test/{name}"] == trained_metrics[f"test/{name}"]
    assert found["csls/mrr"] != found["test/mrr"]
    assert 0 < found["test/mutual"] < 1


def test_a_trained_alignment_ranks_candidates_and_is_exported(trained: Path, tmp_path: Path) -> None:
    options = [f"checkpoint='{trained}'", "threads=1", "hydra.run.dir=run"]
    done = ke_gcn(tmp_path, "task=predict", "predict.entity=Switzerland", "evaluation.k=4", *options)
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "run" / "predictions.tsv", sep="\t")
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert set(table["left"]) == {"Switzerland"}
    assert table["score"].is_monotonic_decreasing
    all_rows = pd.read_csv(trained / "entities.tsv", sep="\t")
    expected = all_rows[all_rows["left"] == "Switzerland"]["right"].head(4)
    assert list(table["right"]) == list(expected)

    wrong = ke_gcn(tmp_path, "task=predict", "predict.entity=Switzerlund", options[0], "hydra.run.dir=other")
    assert wrong.code == 2
    assert "Switzerland" in wrong.err

    path = tmp_path / "out.npz"
    done = ke_gcn(tmp_path, "task=export", f"export.path='{path}'", options[0], "hydra.run.dir=exported")
    assert done.code == 0, done.err
    with np.load(path) as arrays:
        assert arrays["entity"].shape == (len(arrays["left"]), 16)
        assert "Switzerland" in arrays["entities"]
    done = ke_gcn(tmp_path, "task=export", "export.format=sssom", options[0], "hydra.run.dir=mapping")
    assert done.code == 0, done.err
    mapping = pd.read_csv(tmp_path / "mapping" / "alignment.sssom.tsv", sep="\t")
    assert len(mapping) == all_rows["mutual"].sum()
    assert mapping["similarity_score"].between(0, 1).all()


def test_a_run_that_is_stopped_half_way_and_resumed_has_the_numbers_of_an_unbroken_one(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ke_gcn.alignment import AlignmentLoss

    whole = AlignmentLoss.__call__

    def stopping(self: AlignmentLoss, epoch: int) -> torch.Tensor:
        if epoch == 13:
            raise KeyboardInterrupt
        return whole(self, epoch)

    monkeypatch.setattr(AlignmentLoss, "__call__", stopping)
    stopped = ke_gcn(tmp_path, *SMALL, "hydra.run.dir=run")
    assert stopped.code != 0
    assert not (tmp_path / "run" / "results.json").exists()
    monkeypatch.setattr(AlignmentLoss, "__call__", whole)
    resumed = ke_gcn(tmp_path, "resume=run")
    assert resumed.code == 0, resumed.err
    ours, theirs = (
        json.loads((folder / "results.json").read_text())["metrics"] for folder in (tmp_path / "run", trained)
    )
    assert {name: value for name, value in ours.items() if name.startswith(("test/", "valid/"))} == {
        name: value for name, value in theirs.items() if name.startswith(("test/", "valid/"))
    }


def two_rings(folder: Path) -> list[str]:
    """Files of two graphs of one form and of half of the pairs; the options that name them."""
    for side in ("a", "b"):
        (folder / side).mkdir()
        ring = [f"{side}{i}\tnext{side}\t{side}{(i + 1) % 12}" for i in range(12)]
        chord = [f"{side}{i}\tfar{side}\t{side}{(i * i + 3) % 12}" for i in range(12)]
        (folder / side / "train.txt").write_text("\n".join(ring + chord) + "\n")
    (folder / "seeds.tsv").write_text("".join(f"a{i}\tb{i}\n" for i in range(0, 12, 2)))
    paths = ["dataset.left=a", "dataset.right=b", "dataset.seeds=seeds.tsv"]
    return ["dataset=folder", *paths, "dataset.valid_share=0"]


def test_relations_whose_pairs_nobody_knows_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    done = ke_gcn(tmp_path, *SMALL, *two_rings(tmp_path), "evaluation.of=relations", "hydra.run.dir=run")
    assert done.code == 2, done.err
    assert "no pairs of relations are known" in done.err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_two_folders_and_seeds_in_correspondences_out(tmp_path: Path) -> None:
    folders = two_rings(tmp_path)
    options = ["model.dim=16", "model.layers=0", "training.epochs=150", "threads=1", "hydra.run.dir=run"]
    done = ke_gcn(tmp_path, *folders, *options)
    assert done.code == 0, done.err
    found = pd.read_csv(tmp_path / "run" / "entities.tsv", sep="\t")
    best = found[found["rank"] == 1]
    right = best["left"].str[1:] == best["right"].str[1:]
    unknown = best["left"].str[1:].astype(int) % 2 == 1
    assert right[unknown].mean() > 0.5  # six entities that no seed names, among twelve candidates each
    relations = pd.read_csv(tmp_path / "run" / "relations.tsv", sep="\t")
    assert set(relations["right"]) == {"nextb", "farb"}


def test_every_preset_is_one_that_the_command_reads() -> None:
    from ke_gcn.config import Config
    from ke_gcn.registry import score_named

    found = presets("ke_gcn", Config)
    for name, config in found.items():
        assert config.task in ("align", "classify")
        score = score_named(config.model.score)
        assert config.model.dim % score.components == 0
        # One width for all scores of a table: TransH and TransD have rows of twice the dimension.
        if config.task == "align" and name != "smoke":
            assert config.model.dim * score.relation_factor == 200
        if name.startswith("relations_"):
            assert not config.dataset.relations_shared  # or all answers would be given
            assert config.evaluation.of == "relations"
        if name.endswith("fixed_relations"):
            assert not config.model.update_relations
    assert len(found) > 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["training.epoch=3"], "epochs"),
        (["model.score=TransX"], "TransE"),
        (["model.score=RotatE", "model.dim=7"], "multiple of 2"),
        (["dataset.name=dbp"], "zh_en"),
        (["dataset=folder", "dataset.left=no", "dataset.right=no", "dataset.seeds=no"], "no folder"),
        (["dataset.keep=2"], "keep"),
        (["evaluation.metric=l3"], "cosine"),
        (["model.backend=cupy"], "numba"),
        (["dataset.seed_share=0"], "seed_share"),
        (["evaluation.of=words"], "relations"),
        (["loss.hard_among=3"], "more than negatives"),
        (["task=evaluate"], "checkpoint="),
        (["task=predict", "checkpoint=nowhere"], "not the directory of a run"),
        (["model.baseline=mtransx"], "mtranse"),
        (["evaluation.k=0"], "evaluation.k=0"),
        (["evaluation.csls=-1"], "evaluation.csls=-1"),
        (["dataset.seeds=pairs.tsv"], "dataset.seeds goes with dataset=folder"),
        (["task=classify", "dataset=wordnet", "model.baseline=rgcn"], "task=align"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = ke_gcn(tmp_path, *SMALL, "training.epochs=1", *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err
